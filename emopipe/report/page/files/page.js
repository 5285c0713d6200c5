"use strict";
// Without this script, the page shows everything but the tooltips of charts; tables are then neither sorted nor filtered.

const LONG = 12; // Tables with more rows can be filtered.

// -- charts: drawn again when they come into view, so that they can be touched; until then, their pictures stand there
function draw(figure) {
  const spec = JSON.parse(figure.querySelector("script.spec").textContent);
  const place = document.createElement("div");
  vegaEmbed(place, spec, { renderer: "svg", actions: false }).then(() => {
    const drawn = figure.querySelector(".drawn");
    drawn.replaceChildren(place);
  });
}

const watcher = new IntersectionObserver((entries) => {
  for (const entry of entries) {
    if (entry.isIntersecting) {
      watcher.unobserve(entry.target);
      draw(entry.target);
    }
  }
});
document.querySelectorAll("figure.chart").forEach((figure) => watcher.observe(figure));

// -- tables: a button in each head sorts; numbers by their value, other texts by the alphabet
const value = (cell) => {
  const text = cell.textContent.trim();
  const number = /^[+-]?\d/.test(text) ? parseFloat(text) : NaN;
  return { text, number };
};

function compare(one, other) {
  if (!Number.isNaN(one.number) && !Number.isNaN(other.number)) return one.number - other.number;
  if (Number.isNaN(one.number) !== Number.isNaN(other.number)) return Number.isNaN(one.number) ? 1 : -1;
  return one.text.localeCompare(other.text);
}

function sort(table, column, head) {
  const down = head.getAttribute("aria-sort") === "ascending";
  table.querySelectorAll("th").forEach((other) => other.removeAttribute("aria-sort"));
  head.setAttribute("aria-sort", down ? "descending" : "ascending");
  const rows = [...table.tBodies[0].rows].map((row) => ({ row, key: value(row.cells[column]) }));
  rows.sort((one, other) => (down ? -1 : 1) * compare(one.key, other.key));
  table.tBodies[0].append(...rows.map(({ row }) => row));
}

function filter(table, words) {
  const wanted = words.toLowerCase().split(/\s+/).filter(Boolean);
  let shown = 0;
  for (const row of table.tBodies[0].rows) {
    const text = row.textContent.toLowerCase();
    row.hidden = !wanted.every((word) => text.includes(word));
    shown += !row.hidden;
  }
  return shown;
}

function labelled(text, control) {
  const label = document.createElement("label");
  label.append(`${text} `, control);
  return label;
}

function counter() {
  const output = document.createElement("output");
  output.setAttribute("aria-live", "polite");
  return output;
}

function bar(...parts) {
  const made = document.createElement("div");
  made.className = "filter";
  made.append(...parts);
  return made;
}

for (const table of document.querySelectorAll("table.data")) {
  [...table.tHead.rows[0].cells].forEach((head, column) => {
    const button = document.createElement("button");
    button.type = "button";
    button.append(head.textContent || "kind");
    button.addEventListener("click", () => sort(table, column, head));
    head.replaceChildren(button);
  });
  const rows = table.tBodies[0].rows.length;
  if (rows > LONG) {
    const input = document.createElement("input");
    input.type = "search";
    const output = counter();
    const update = () => (output.textContent = `${filter(table, input.value)} of ${rows} rows`);
    input.addEventListener("input", update);
    update();
    table.parentElement.before(bar(labelled("Rows with", input), output));
  }
}

// -- the gallery: filtered by class and by kind
for (const gallery of document.querySelectorAll(".gallery")) {
  const cards = [...gallery.children];
  const choice = (name, all) => {
    const select = document.createElement("select");
    const values = [...new Set(cards.map((card) => card.dataset[name]))];
    select.append(new Option(all, ""), ...values.map((text) => new Option(text, text)));
    select.addEventListener("change", update);
    return select;
  };
  const output = counter();
  const label = choice("label", "all classes");
  const kind = choice("kind", "best and worst");
  function update() {
    for (const card of cards) {
      const fits = (select, name) => !select.value || card.dataset[name] === select.value;
      card.hidden = !(fits(label, "label") && fits(kind, "kind"));
    }
    output.textContent = `${cards.filter((card) => !card.hidden).length} of ${cards.length} clips`;
  }
  update();
  gallery.before(bar(labelled("Class", label), labelled("Clips", kind), output));
}

// -- print: everything that can be opened is open on paper
let closed = [];
window.addEventListener("beforeprint", () => {
  closed = [...document.querySelectorAll("details:not([open])")];
  closed.forEach((details) => (details.open = true));
});
window.addEventListener("afterprint", () => closed.forEach((details) => (details.open = false)));

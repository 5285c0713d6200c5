"""The page of a run, as a person finds it: with a mouse, a keyboard, a phone, a printer, a screen reader."""

import os
from pathlib import Path

import pytest

LONG = 12
"""Tables with more rows can be filtered."""


def test_it_opens_quickly_without_errors_and_asks_for_nothing_else(browser):
    browser.open()
    opened = browser.run("return performance.timing.loadEventEnd - performance.timing.navigationStart")
    assert 0 < opened < 3000
    assert browser.draw_all() == 0
    assert browser.errors() == []
    asked = browser.requests()
    assert browser.page.as_uri() in asked
    assert [url for url in asked if not url.startswith(("file:", "data:"))] == []


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_it_is_accessible(browser, scheme):
    browser.media(prefers_color_scheme=scheme)
    browser.open()
    browser.draw_all()
    browser.run(Path(os.environ["EMOPIPE_AXE"]).read_text(encoding="utf-8"))
    found = browser.driver.execute_async_script("axe.run().then(arguments[0])")
    assert len(found["passes"]) > 20
    bad = [
        (one["id"], one["nodes"][0]["html"][:200], len(one["nodes"]))
        for one in found["violations"]
        if one["impact"] in ("serious", "critical")
    ]
    assert bad == []


def column(browser, table, number):
    return browser.run(
        "return [...arguments[0].tBodies[0].rows].filter((row) => !row.hidden)"
        ".map((row) => row.cells[arguments[1]].textContent)",
        table,
        number,
    )


def test_a_column_is_sorted_by_mouse_and_by_keyboard(browser):
    browser.open()
    table = next(t for t in browser.all("#results table.data") if t.text.startswith("Results\n"))
    heads = table.find_elements("css selector", "th button")
    number = [head.text for head in heads].index("correct")
    before = column(browser, table, number)
    browser.run("arguments[0].click()", heads[number])
    up = column(browser, table, number)
    values = [int(text.partition("/")[0]) for text in up]
    assert values == sorted(values) and sorted(up) == sorted(before)
    assert table.find_elements("css selector", "th")[number].get_attribute("aria-sort") == "ascending"
    heads[number].send_keys("\ue007")  # Enter
    assert column(browser, table, number)[0] == up[-1]
    assert browser.run("return document.activeElement.tagName") == "BUTTON"


def test_a_long_table_is_filtered(browser):
    browser.open()
    browser.run("document.querySelectorAll('details').forEach((one) => (one.open = true))")
    bars = [bar for bar in browser.all(".filter") if bar.find_elements("css selector", "input")]
    long = [t for t in browser.all("table.data") if browser.run("return arguments[0].tBodies[0].rows.length", t) > LONG]
    assert len(bars) == len(long) > 0
    table, words = long[0], column(browser, long[0], 0)[0]
    bars[0].find_element("css selector", "input").send_keys(words)
    shown = column(browser, table, 0)
    rows = browser.run("return [...arguments[0].tBodies[0].rows].map((r) => [r.hidden, r.textContent])", table)
    assert shown and all(words.lower() in text.lower() for hidden, text in rows if not hidden)
    assert bars[0].find_element("css selector", "output").text.startswith(f"{len(shown)} of ")


def test_the_gallery_shows_faces_and_is_filtered(browser):
    browser.open()
    cards = browser.all(".card")
    assert len(cards) >= 7
    images = browser.all(".card img")
    browser.run("arguments[0].forEach((image) => (image.loading = 'eager'))", images)
    sizes = browser.driver.execute_async_script(
        "const done = arguments[1];"
        "Promise.all(arguments[0].map((image) => image.decode().then(() => image.naturalWidth))).then(done)",
        images,
    )
    assert len(sizes) >= len(cards) and min(sizes) > 100
    assert all(image.get_attribute("alt") for image in images)
    label = cards[-1].get_attribute("data-label")
    browser.all(".filter select")[0].send_keys(label)
    shown = [card for card in cards if card.is_displayed()]
    assert 0 < len(shown) < len(cards) and {card.get_attribute("data-label") for card in shown} == {label}


def test_it_fits_a_phone(browser):
    browser.width(360)
    browser.open()
    browser.draw_all()
    assert browser.run("return document.documentElement.scrollWidth") <= 360
    wide = browser.run("return [...document.querySelectorAll('.vega-embed svg')].map((svg) => svg.clientWidth)")
    assert max(wide) <= 345


def test_on_paper_everything_is_open_and_controls_are_gone(browser):
    browser.open()
    closed = len(browser.all("details:not([open])"))
    assert closed > 3
    pages = browser.printed().count(b"/Type /Page\n") or browser.printed().count(b"/Type /Page ")
    assert pages > 5
    browser.media("print")
    assert not any(bar.is_displayed() for bar in [*browser.all("nav"), *browser.all(".filter")])
    assert len(browser.all("details:not([open])")) == closed  # as before printing


def test_without_javascript_tables_and_charts_are_there(browser):
    browser.open()
    browser.command("Emulation.setScriptExecutionDisabled", value=True)
    browser.driver.refresh()
    charts = browser.all("figure.chart")
    assert len(charts) == len(browser.all("figure.chart .drawn > svg")) > 5
    assert len(browser.all("#results table.data tbody tr")) > 5
    assert "EU AI Act" in browser.all("#first")[0].text

"""The page of a run: what it shows, what it must not, and its budget of bytes."""

import html.parser
import json
import re
import shutil
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from emopipe.cache.store import Field, Row, Writer
from emopipe.core.labels import CLASSES, LabelSpace
from emopipe.core.notice import NOTICE
from emopipe.report.page import agreement, charts, drawing, gallery, maps, mistakes, planes, several, whole
from emopipe.report.page.about import stage_times
from emopipe.report.page.bins import bins_of_confidence
from emopipe.report.page.gallery import Card, Gallery, Picture
from emopipe.report.page.parts import Chart, Table
from emopipe.report.page.sources import Sources
from emopipe.scoring.predictions import PROBABILITIES
from tests import drawn_run

COUNT = 60


class Read(html.parser.HTMLParser):
    """The parts of a page that tests look at."""

    def __init__(self, text):
        super().__init__()
        self.open, self.ids, self.links, self.images, self.tables, self.words = [], [], [], [], {}, []
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        given = dict(attrs)
        if tag not in ("meta", "link", "img", "input", "br"):
            self.open.append(tag)
        self.ids += [given["id"]] if "id" in given else []
        self.links += [given["href"]] if tag == "a" else []
        self.images += [given] if tag == "img" else []
        if tag == "tr" and self.open.count("tbody"):
            self.tables[self.caption].append([])
        if tag in ("td",) and self.tables.get(self.caption):
            self.tables[self.caption][-1].append("")

    def handle_endtag(self, tag):
        if tag in self.open:
            assert self.open.pop() == tag, f"{tag} is closed in the wrong place"

    def handle_data(self, data):
        if self.open and self.open[-1] == "caption":
            self.caption = data
            self.tables.setdefault(data, [])
        elif self.open and self.open[-1] == "td":
            self.tables[self.caption][-1][-1] += data
        if not {"script", "style", "svg"} & set(self.open):
            self.words.append(data)


def written(sources, path, **options):
    whole.write(sources, path, **options)
    return path.read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def sources(tmp_path_factory):
    return drawn_run.make(tmp_path_factory.mktemp("drawn"), COUNT)


@pytest.fixture(scope="module")
def folder(sources):
    return sources.folder


@pytest.fixture(scope="module")
def text(sources, tmp_path_factory):
    return written(sources, tmp_path_factory.mktemp("page") / "report.html")


@pytest.fixture(scope="module")
def page(text):
    return Read(text)


pytestmark = pytest.mark.slow


def test_it_is_well_formed_and_links_lead_somewhere(page):
    assert page.open == []
    assert len(page.ids) == len(set(page.ids))
    assert {link.removeprefix("#") for link in page.links} <= set(page.ids) and len(page.links) > 8


def test_nothing_comes_from_elsewhere(text):
    own = re.sub(r"<script>.*?</script>", "", text, flags=re.S)  # the library names its home in comments and schemas
    assert not re.findall(r"""(?:src|href)=["'](?!data:|#)""", own)
    assert "@import" not in own and "url(http" not in own
    policy = re.search(r'Content-Security-Policy" content="([^"]*)"', text)[1]
    assert "default-src 'none'" in policy and "http" not in policy


def test_texts_of_users_are_shown_as_they_are(page, text):
    """Ids and configs may hold what HTML or a script would take for its own."""
    assert "clip 0009 & <co>" in "".join(page.words)  # it has no face
    assert "</script><b>not bold</b>" in "".join(page.words)
    assert "<co>" not in text and "<b>not bold" not in text


def test_the_tables_are_those_of_the_run(page, folder):
    results = pd.read_csv(folder / "tables/results.csv")
    shown = {row[0]: row for row in page.tables["Results"]}
    assert list(shown) == results["model"].tolist()
    for row in results.itertuples():
        assert shown[row.model][2] == f"{row.right}/{row.n}"
        assert shown[row.model][3] == f"{100 * row.accuracy:.1f} [{100 * row.low:.1f}, {100 * row.high:.1f}]"
    said = "".join(page.words)
    assert said.count(NOTICE) == 2
    for line in (folder / "summary.md").read_text().split("## Read this first\n\n")[1].split("\n\n")[0].split("\n"):
        assert line.removeprefix("- ") in said


def test_failures_and_reasons(page, folder):
    ledger = pd.read_csv(folder / "ledger.csv", keep_default_na=False)
    failed = ledger[ledger["status"] != "ok"]
    assert len(page.tables["Clips that a stage could not use"]) == len(failed) > 10
    reasons = {(row[0], row[1]): int(row[3]) for row in page.tables["Reasons"]}
    assert reasons[("faces", "no_face")] == ((failed["stage"] == "faces") & (failed["status"] == "no_face")).sum()


def test_the_numbers_of_a_confusion_matrix(page, folder):
    frame = pd.read_csv(folder / "predictions/ensemble.csv")
    rows = {row[0]: [int(cell) for cell in row[1:]] for row in page.tables["Confusions of ensemble on val"]}
    assert list(rows) == list(CLASSES)
    for name, counts in rows.items():
        assert counts == [((frame["label"] == name) & (frame["pred"] == other)).sum() for other in CLASSES]


def test_the_gallery_has_the_best_and_the_worst_clip_of_each_class(page, text, folder):
    frame = pd.read_csv(folder / "predictions/ensemble.csv").set_index("clip")
    p = pd.Series({clip: row[f"p_{row['label']}"] for clip, row in frame.iterrows()})
    cards = re.findall(r'data-label="(\w+)" data-kind="(\w+)">\s*<h3>(.*?)</h3>', text)
    assert {kind for _, kind, _ in cards} == {"best", "worst"}
    for label, kind, clip in cards:
        of_class = p[frame["label"] == label]
        value = of_class[html.unescape(clip)]
        assert value == of_class.max() if kind == "best" else value <= sorted(of_class)[1]
    assert all(image["src"].startswith("data:image/jpeg;base64,") and image["alt"] for image in page.images)
    assert len(page.images) >= 2 * len(cards) - 8  # a clip without a face or sound lacks one


def test_faces_can_be_omitted(tmp_path, sources, page):
    hidden = replace(sources, recipe={**sources.recipe, "faces": False})
    without = Read(written(hidden, tmp_path / "report.html"))
    assert any(image["alt"].startswith("Faces") for image in page.images)
    assert without.images and not any(image["alt"].startswith("Faces") for image in without.images)
    assert "Faces are not shown" in "".join(without.words)


def test_pictures_are_omitted_first_then_maps(tmp_path, sources, text):
    whole_size = len(text.encode())
    pictures = sum(len(found) for found in re.findall(r"data:image/jpeg[^\"]*", text))
    fewest = written(sources, tmp_path / "b.html", budget=whole_size - pictures - 5000)
    assert "pictures are omitted, because" in fewest
    assert not Read(fewest).images and maps.OMITTED.texts[0] in fewest and "Vectors of face" not in fewest


def test_equal_input_gives_equal_bytes(tmp_path, sources, text):
    assert written(sources, tmp_path / "again.html") == text


@pytest.fixture
def copy(sources, tmp_path):
    """The run in a folder that a test may change."""
    folder = shutil.copytree(sources.folder, tmp_path / "copy")
    return Sources(replace(sources.of_clips, results=folder), sources.stages, sources.histories, sources.recipe)


def test_a_run_without_labelled_clips_to_report_has_a_page_too(copy, tmp_path):
    """Such as a corpus whose test clips have no labels, and that has no val split."""
    for path in (copy.folder / "predictions").glob("*.csv"):
        pd.read_csv(path, dtype=str).assign(label="").to_csv(path, index=False)
    for name in ("recalls", "subjects", "comparisons"):
        pd.read_csv(copy.folder / f"tables/{name}.csv").head(0).to_csv(copy.folder / f"tables/{name}.csv", index=False)
    results = pd.read_csv(copy.folder / "tables/results.csv")
    results.drop(columns="model").map(lambda _: "").assign(model=results["model"]).to_csv(
        copy.folder / "tables/results.csv", index=False
    )
    page = Read(written(copy, tmp_path / "report.html"))
    assert "get 0 of the 0 labelled clips" in "".join(page.words) and not page.images
    assert {row[0] for row in page.tables["Clips by class and split"]} == set(CLASSES)


@pytest.mark.slow
def test_classes_may_have_names_that_look_like_numbers(tmp_path):
    sources = drawn_run.make(tmp_path, COUNT, space=LabelSpace(("1", "2", "NA"), "multi"))
    assert set(sources.frame("classes")["label"]) == {"1", "2", "NA"}
    page = Read(written(sources, tmp_path / "report.html"))
    assert [row[0] for row in page.tables["Classes of ensemble on val"]] == ["1", "2", "NA"]


def test_people_have_the_names_that_the_corpus_gives_them(copy, tmp_path):
    path = copy.folder / "tables/subjects.csv"
    table = pd.read_csv(path, dtype=str).head(2)
    table.assign(subject=["007", "NA"]).to_csv(path, index=False)
    rows = Read(written(copy, tmp_path / "report.html")).tables["Accuracy by person"]
    assert [row[2] for row in rows] == ["007", "NA"]


# --- other kinds of label spaces


@pytest.fixture(scope="module", params=drawn_run.SPACES)
def of_kind(request, tmp_path_factory):
    """The kind of a label space, what the page of a run in it is made from, and the page."""
    work = tmp_path_factory.mktemp(request.param)
    sources = drawn_run.make(work, COUNT, space=drawn_run.SPACES[request.param])
    return request.param, sources, written(sources, work / "report.html")


def test_pages_of_every_kind_have_their_sections_and_tables(of_kind):
    kind, sources, text = of_kind
    page, said = Read(text), "".join(Read(text).words)
    assert page.open == [] and "b" not in {tag for tag in re.findall(r"<(\w+)>", text.split("<script>")[0])}
    measure = {"votes": "Accuracy", "multi": "Macro AP", "dimensions": "CCC"}[kind]
    own = {
        "votes": {"Confusions of ensemble on val", "Streams by their own heads", "Recall by class on val, in percent"},
        "multi": {"Average precision by class on val, in percent", "Classes of ensemble on val"},
        "dimensions": {"CCC by dimension on val", "Values of arousal [a.u.]"},
    }
    assert own[kind] | {f"{measure} on val", f"{measure} by person", "Results"} <= set(page.tables)
    results = pd.read_csv(sources.folder / "tables/results.csv").set_index("model")
    for row in page.tables[f"{measure} on val"]:
        column = {"votes": "accuracy", "multi": "macro_ap", "dimensions": "ccc"}[kind]
        assert [float(cell) for cell in row[1:]] == results.loc[row[0], [column, "low", "high"]].round(4).tolist()
    assert f"ensemble on val: {sources_say(kind, results)}" in said


def test_tables_on_raters_are_on_the_page(of_kind):
    kind, _, text = of_kind
    rows = Read(text).tables.get("The label ceiling: what raters reach")
    assert bool(rows) == (kind == "votes")


def sources_say(kind, results):
    """What stands beside the name of the run's answer."""
    row = results.loc["ensemble"]
    if kind == "votes":
        return f"{row['right']:.0f} of {row['n']:.0f} correct"
    return f"macro AP {row['macro_ap']:.1%}" if kind == "multi" else f"CCC {row['ccc']:.3f}"


def test_mistakes_of_every_kind(of_kind):
    kind, sources, text = of_kind
    frame = pd.read_csv(sources.folder / "predictions/ensemble.csv", keep_default_na=False, dtype=str)
    labelled = frame[frame["label"] != ""]
    if kind == "votes":
        ties = labelled["label"].str.contains(";")
        assert ties.any() and f"{ties.sum()} further clips have no class, because several classes" in text
        assert f"of the {(~ties).sum()} labelled clips that are reported wrong" in text
        return
    space = sources.space
    values, targets = labelled[space.columns].to_numpy(float), space.targets(labelled)
    if kind == "multi":
        errors = -(targets * np.log(values) + (1 - targets) * np.log(1 - values)).mean(1)
    else:
        errors = np.sqrt(((values - targets) ** 2).mean(1))
    rows = Read(text).tables["Clips with the largest errors"]
    order = np.argsort(-errors, kind="stable")
    assert [row[0] for row in rows] == labelled["clip"].iloc[order].tolist()
    assert [float(row[-1]) for row in rows] == pytest.approx(errors[order].round(3).tolist())


def test_galleries_of_every_kind(of_kind):
    kind, sources, text = of_kind
    frame = pd.read_csv(sources.folder / "predictions/ensemble.csv", keep_default_na=False).set_index("clip")
    cards = gallery.chosen(sources)
    if kind == "dimensions":
        assert [card.kind for card in cards] == ["best"] * 4 + ["worst"] * 8
        errors = [float(re.search(r"its error is (.*)\.$", card.said)[1]) for card in cards]
        assert (
            errors[:4] == sorted(errors[:4]) and errors[4:] == sorted(errors[4:])[::-1] and max(errors[:4]) < errors[-1]
        )
    else:
        assert {card.label for card in cards} <= set(sources.space.names)
        for card in cards:
            shows = frame[frame["label"].str.split(";").map(lambda names, label=card.label: label in names)]
            shows = shows if kind == "multi" else shows[shows["label"] == card.label]
            p = shows[f"p_{card.label}"]
            assert p[card.clip] == p.max() if card.kind == "best" else p[card.clip] <= sorted(p)[1]
    assert text.count('<article class="card"') == len(cards) >= 9


def test_classes_of_the_corpus_of_every_kind(of_kind):
    kind, sources, text = of_kind
    tables, label = Read(text).tables, sources.table["label"]
    if kind == "dimensions":
        assert sum(int(row[2]) for row in tables["Values of valence"]) == (label != "").sum()
        return
    counts = {row[0]: int(row[-1]) for row in tables["Clips by class and split"]}
    has_several = label.str.contains(";")
    if kind == "votes":
        assert counts["(tie)"] == has_several.sum() and counts["(none)"] == (label == "").sum()
        assert sum(counts.values()) == len(label)
    else:
        assert counts["Sad"] == label.str.contains("Sad").sum() and counts["(none)"] == (label == "(none)").sum()
        assert counts["(unknown)"] == (label == "").sum()


def test_maps_of_every_kind(of_kind):
    kind, sources, _ = of_kind
    chart = maps._map(sources, "face", sources.features()["face"])
    if kind == "dimensions":
        values = {row["clip"]: row["value"] for row in chart.spec["data"]["values"]}
        label = sources.table.set_index("clip")["label"]
        assert all(float(label[clip].split(";")[0]) == value for clip, value in values.items())
        return
    colours = chart.spec["encoding"]["color"]["scale"]
    more = {"votes": ["(tie)"], "multi": ["(several)", "(none)"]}[kind]
    assert colours["domain"][-len(more) :] == more and len(set(colours["range"])) == len(colours["domain"])


def test_votes_stand_beside_what_all_models_get_wrong():
    votes = {"votes_Angry": ["3", ""], "votes_Sad": ["1", ""]}
    table = pd.DataFrame({"clip": ["a", "b"], "subject": "", **votes})
    frame = pd.DataFrame(
        {"clip": ["a", "b"], "split": "val", "label": "Angry", "pred": "Sad", "p_Angry": 0.2, "p_Sad": 0.8}
    )
    labels = {"labels": {"kind": "votes", "names": ["Angry", "Sad"]}}
    sources = Sources(None, {}, {}, {"report": {"models": ["m"], "ensembles": [], **labels}})
    sources.__dict__.update({"answers": {"m": frame}, "table": table})
    assert mistakes.wrong_everywhere(sources)["votes for what they say"].tolist() == ["25%", ""]


def test_a_split_whose_clips_show_no_class_has_no_curve_of_precision():
    space = drawn_run.SPACES["multi"]
    part = pd.DataFrame({"label": ["(none)", "(none)"]}).join(pd.DataFrame(0.2, range(2), space.columns))
    (reliability,) = several.charts_of(part, "m on val", space)
    assert reliability.title == "Reliability of m on val" and reliability.numbers.rows == [["0.2", "0.0", "10"]]


def test_a_single_dimension_has_no_plane():
    """Of more clips than a chart shows, every n-th one is shown."""
    space = LabelSpace(("sentiment",), "dimensions", -3.0, 3.0)
    part = pd.DataFrame({"clip": map(str, range(1200)), "label": "1.5", "y_sentiment": 2.25})
    (chart,) = agreement.charts_of(part, "m on val", space)
    assert chart.title == "sentiment of m on val" and chart.caption == "400 of 1200 clips."
    assert chart.numbers.rows[1] == ["3", "1.5", "2.25"]


def test_looks_of_many_classes_differ():
    looks = [charts.look(number) for number in range(20)]
    assert len(set(looks)) == 20
    assert looks[:8] == list(zip(charts.COLOURS, charts.SHAPES, strict=True))


# --- parts


def test_the_gallery_drops_pictures_from_its_end():
    cards = [Card(str(n), "val", "Sad", "Correct.", "best", [Picture("x" * 100, "")]) for n in range(5)]
    made = Gallery(cards).without_pictures(250)
    assert [len(card.pictures) for card in made.cards] == [1, 1, 0, 0, 0]
    assert made.note.startswith("3 pictures are omitted")


def test_bins_of_confidence():
    found = bins_of_confidence(np.array([0.31, 0.35, 0.99, 1.0]), np.array([True, False, True, True]))
    assert found["clips"].tolist() == [2, 2] and found["accuracy"].tolist() == [0.5, 1.0]
    assert found["confidence"].tolist() == [0.33, 0.995]


def test_what_all_models_get_wrong():
    def frame(*answers):
        made = pd.DataFrame({"clip": ["a", "b", "c"], "split": "val", "label": ["Sad", "Happy", "Fear"]})
        return made.assign(pred=answers).join(pd.DataFrame(0.1, range(3), PROBABILITIES))

    sources = Sources(None, {}, {}, {"report": {"models": ["m", "n"], "ensembles": []}})
    sources.__dict__["answers"] = {"m": frame("Fear", "Happy", "Sad"), "n": frame("Fear", "Sad", "Sad")}
    sources.__dict__["table"] = pd.DataFrame({"clip": ["a", "b", "c"], "subject": ["p", "q", ""]})
    found = mistakes.wrong_everywhere(sources)
    assert found["clip"].tolist() == ["a", "c"] and found["person"].tolist() == ["p", ""]
    assert found["most models say"].tolist() == ["Fear (2 of 2)", "Sad (2 of 2)"]


def test_layout_keeps_neighbours_together():
    draw = np.random.default_rng(0)
    vectors = np.concatenate([draw.normal(size=(20, 8)), draw.normal(size=(20, 8)) + 9]).astype(np.float32)
    placed = maps.layout(vectors)
    assert placed.shape == (40, 2) and np.isfinite(placed).all()
    nearest = np.linalg.norm(placed[:, None] - placed[None], axis=2) + np.eye(40) * 1e9
    assert (nearest.argmin(1) // 20 == np.arange(40) // 20).all()
    np.testing.assert_array_equal(maps.layout(vectors), placed)


def test_vectors_of_one_number_have_a_map_and_equal_ones_have_none(copy, tmp_path):
    placed = maps.layout(np.arange(20, dtype=np.float32)[:, None])
    assert placed.shape == (20, 2) and np.isfinite(placed).all()
    clips = copy.table["clip"].tolist()
    for name, value in (("differ", lambda n: n % 8), ("equal", lambda n: 0)):
        write_vectors(tmp_path / f"{name}.h5", {clip: np.eye(8)[[value(n)] * 2] for n, clip in enumerate(clips)})
    said = f"{len(clips)} of {len(clips)} labelled clips with vectors."
    assert maps._map(copy, "net", tmp_path / "differ.h5").caption == said
    assert maps._map(copy, "net", tmp_path / "equal.h5") is None


def write_vectors(path, vectors, masked=()):
    fields = {"x": Field("f4", (8,)), "mask": Field("?")}
    with Writer(path, fields, stage="test", recipe={}) as writer:
        for clip, x in vectors.items():
            writer.add(Row(clip, "", "ok", "", {"x": x, "mask": np.full(len(x), clip not in masked)}))


def test_of_many_clips_every_nth_is_on_the_map(tmp_path, monkeypatch):
    monkeypatch.setattr(maps, "MOST_CLIPS", 3)
    vectors = {str(n): np.full((2, 8), n, float) + np.array([[0], [1]]) for n in range(10)}
    vectors["4"][1] = np.nan
    write_vectors(tmp_path / "x.h5", vectors, masked={"0"})
    clips, means, count = maps.mean_vectors(tmp_path / "x.h5", {str(n) for n in range(9)})
    assert (clips, count) == (["1", "7"], 8)  # of 1 to 8, every third; 4 is not finite
    np.testing.assert_array_equal(means, np.array([[1.5] * 8, [7.5] * 8], np.float32))


def test_stage_times_add_up_jobs(tmp_path):
    (tmp_path / "faces/main").mkdir(parents=True)
    for number in range(2):
        table = f"s\th:m:s\tmax_rss\tcpu_time\n{number + 1}.5\t0:0:1\t{100 + number}\t-\n"
        (tmp_path / f"faces/main/0{number}.tsv").write_text(table)
    (tmp_path / "report.tsv").write_text("s\th:m:s\tmax_rss\tcpu_time\n9\t0:0:9\t50\t8\n")
    found = stage_times([tmp_path, tmp_path / "missing"]).to_dict("records")
    assert [(row["stage"], row["jobs"], row["seconds"]) for row in found] == [("report", 1, 9.0), ("faces", 2, 4.0)]
    assert found[1]["most memory, MB"] == 101


@pytest.mark.parametrize("number", range(13))
def test_charts_are_drawn_and_fit_a_phone(number):
    names = pd.DataFrame({"name": ["a", "b"], "x": [0.0, 1.0], "y": [1.0, 0.5], "low": [0.1, np.nan], "n": [3, 4]})
    dimensions = drawn_run.SPACES["dimensions"]
    made = [
        lambda: charts.heat_map(names, "name", "n", "y", "x", step=(24, 20)),
        lambda: charts.intervals(names, "y", "low", "x", "name", 0.14),
        lambda: charts.bars(names, "n", "name"),
        lambda: charts.bars(names, "n", "name", colour="x"),
        lambda: charts.histogram(names, "x", "y", "n"),
        lambda: charts.reliability(pd.DataFrame({"confidence": [0.2], "accuracy": [0.4], "clips": [3]})),
        lambda: charts.curves(names, "x", "y", "name"),
        lambda: charts.scatter(names.assign(label=["Happy", "Sad"]), "label", CLASSES),
        lambda: charts.intervals(names, "y", "low", "x", "name", 0.0, -0.3),
        lambda: charts.grouped_bars(names, "y", "name", "n"),
        lambda: planes.agreement(pd.DataFrame({"given": [0.1], "predicted": [0.4]}), dimensions),
        lambda: planes.plane(names.assign(kind=["given", "predicted"]), "kind", dimensions),
        lambda: planes.shaded(names, "n", "valence", dimensions),
    ][number]()
    svg = drawing.picture(made, "p")
    assert svg.startswith("<svg") and float(re.search(r'width="(\d+)', svg)[1]) <= charts.WIDTH
    assert "currentColor" in svg and not re.search(r'id="(?!p-)', svg)
    assert json.loads(drawing.embedded(made).replace("\\u003c", "<")) == json.loads(json.dumps(made))


def test_names_in_charts_stay_as_they_are():
    rows = pd.DataFrame({"name": ["rate 0.00125"], "n": [3.123456]})
    svg = drawing.picture(charts.bars(rows, "n", "name"), "p")
    assert ">rate 0.00125</text>" in svg
    assert not re.search(r' (?:d|transform)="[^"]*\d\.\d{3}', svg)


def test_long_lists_of_failures_are_cut():
    rows = pd.DataFrame({"a": range(3)})
    assert Table.of("t", rows).rows == [["0"], ["1"], ["2"]]
    from emopipe.report.page import coverage

    many = pd.DataFrame(
        {"clip": map(str, range(600)), "split": "val", "stage": "faces", "status": "no_face", "reason": "None."}
    )
    parts = coverage._failures(many)
    assert len(parts[1].rows) == coverage.MOST_ROWS and "600" in parts[1].notes[0]
    each = coverage._failures(many.assign(reason=many["clip"]))
    assert len(each[0].rows) == coverage.MOST_ROWS and each[0].notes == ["100 rarer ones are omitted."]


def test_a_chart_has_its_numbers_beside_it(sources):
    """Those who cannot see a chart read its table; maps, whose axes mean nothing, have none."""
    made = [module.section(sources) for module in (*whole.SECTIONS, gallery)]
    of_charts = [chart for chart in whole._charts(made) if isinstance(chart, Chart)]
    assert len(of_charts) > 10
    assert {chart.title for chart in of_charts if chart.numbers is None} == {"Vectors of face", "Vectors of voice"}

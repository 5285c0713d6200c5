"""The figures in the cards of this project's own weights hold on the data that they are of."""

import json
import re

import pytest
from typer.testing import CliRunner

from emopipe.commands.main import app
from emopipe.weights.entries import package_registry

ACTORS = [word for actor in ("13", "14", "15", "16") for word in ("--subject", actor)]
VOTES = "[neutral, happiness, surprise, sadness, anger, disgust, fear, contempt, unknown, NF]"
OPTIONS = ("pictures=fer2013.zip", f"votes={VOTES}", "raters=10", "outliers=1", "targets=majority")
FERPLUS = [word for option in OPTIONS for word in ("--option", option)]
TESTS = [
    ("expression", "fer2013:fer2013.zip", ["--split", "val"], "FER2013, PublicTest"),
    ("expression_plus", "table:ferplus.csv", ["--split", "val", *FERPLUS], "FER+, PublicTest"),
    ("expression", "ravdess:ravdess_av", [], "RAVDESS, faces of one actor's clips"),
    ("speech_logmel", "cremad:crema_d", [], "CREMA-D, voice of one person's clips"),
    ("speech_logmel_0_1_0", "ravdess:ravdess_speech", ACTORS, "RAVDESS, actors 13-16"),
    ("speech_spectrogram", "ravdess:ravdess_speech", ACTORS, "RAVDESS, actors 13-16"),
]


@pytest.mark.parametrize(("name", "corpus", "chosen", "row"), TESTS)
def test_the_cards_figures_hold(shared, name, corpus, chosen, row):
    kind, _, path = corpus.partition(":")
    where = shared / "data" / path
    result = CliRunner().invoke(app, ["evaluate", name, "--corpus", f"{kind}:{where}", *chosen, "--json"])
    assert result.exit_code == 0, result.output
    found = json.loads(result.stdout)
    card = (package_registry().files / f"{name}.md").read_text()
    n, accuracy, uar = re.search(rf"\| {re.escape(row)} \| (\d+) \| ([\d.]+) .*?\| ([\d.]+) ", card).groups()
    assert found["n"] == int(n)
    # Another processor may round a few samples to another class.
    assert 100 * found["accuracy"] == pytest.approx(float(accuracy), abs=0.1 + 100 / found["n"])
    assert 100 * found["uar"] == pytest.approx(float(uar), abs=0.1 + 200 / found["n"])

"""An edit of this project's code changes the recipes of exactly the stages whose numbers depend on it."""

import re
import shutil
from pathlib import Path

import pandas as pd
import pytest

from emopipe.cache import status
from emopipe.core import fingerprint, libraries
from emopipe.core.fingerprint import digest
from emopipe.workflow import config as configs
from emopipe.workflow.plan import Plan

REPOSITORY = Path(__file__).parents[2]

CONFIG = {
    "run": "r",
    "corpus_root": "nowhere",
    "corpus": {"name": "c", "kind": "folder"},
    "decode": {"sparse": {"policy": "count", "count": 4}},
    "faces": {"mtcnn": {"detector": "mtcnn"}, "center": {"detector": "centerface"}},
    "backbones": {
        "expression": {"kind": "expression", "faces": "mtcnn", "weights": "expression"},
        "resnet": {"kind": "resnet18", "faces": "center", "pretrain": {"folds": 2}},
        "logmel": {"kind": "audio_alexnet", "pretrain": {"folds": 2}},
    },
    "models": {
        "face_expression": {"streams": ["expression"]},
        "face_resnet": {"streams": ["resnet"]},
        "audio_logmel": {"streams": ["logmel"]},
        "fused_all": {"streams": ["expression", "resnet", "logmel"]},
    },
}
TABLE = pd.DataFrame(
    {
        "clip": ["a", "b"], "path": ["a.mp4", "b.mp4"], "split": ["train", "val"], "label": ["Happy", "Sad"],
        "subject": ["1", "2"], "digest": ["d1", "d2"],
    }
)  # fmt: skip

FACES = {"faces mtcnn", "faces center"}
EXPRESSION = {"features expression", "merge expression", "fusion face_expression"}
RESNET = {"pretrain resnet", "features resnet", "merge resnet", "fusion face_resnet"}
LOGMEL = {"pretrain logmel", "features logmel", "merge logmel", "fusion audio_logmel"}
LAST = {"fusion fused_all", "ensemble"}
TRAINED = {"pretrain resnet", "pretrain logmel"}
EXTRACTED = EXPRESSION | RESNET - TRAINED | LOGMEL - TRAINED | LAST


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """A copy of the package and its scripts."""
    root = tmp_path_factory.mktemp("copy")
    for folder in ("emopipe", "workflow_scripts"):
        shutil.copytree(REPOSITORY / folder, root / folder, ignore=shutil.ignore_patterns("__pycache__", "files"))
    return root


@pytest.fixture
def copy(whole, monkeypatch):
    """The copy, whose code is fingerprinted in place of the original's; edits are taken back."""
    monkeypatch.setattr(fingerprint, "ROOT", whole / "emopipe")
    monkeypatch.chdir(whole)
    return whole


def digests(root):
    """Stage and preset, backbone or model -> the digest of its recipe."""
    plan = Plan(configs.parse(CONFIG), TABLE, root / "workflow_scripts")
    recipes = {"decode": plan.decode("sparse"), "ensemble": plan.ensemble(), "report": plan.report()}
    recipes |= {f"faces {name}": plan.faces(name) for name in CONFIG["faces"]}
    recipes |= {f"pretrain {name}": plan.pretrain(name) for name in ("resnet", "logmel")}
    for name in CONFIG["backbones"]:
        recipes |= {f"features {name}": plan.features(name), f"merge {name}": plan.merge(name)}
    recipes |= {f"fusion {name}": plan.fusion(name) for name in CONFIG["models"]}
    return {name: digest(recipe) for name, recipe in recipes.items()}


def changed(before, after):
    assert before.keys() == after.keys()
    return {name for name in before if before[name] != after[name]}


FUSED = {"fusion face_expression", "fusion face_resnet", "fusion audio_logmel"} | LAST
FACES_READ = EXPRESSION | (RESNET - TRAINED) | LAST
CENTER = {"faces center"} | RESNET | LAST
ALL_CACHES = {"decode"} | FACES | TRAINED | EXTRACTED

EDITS = {
    "a docstring": ("stages/decode.py", r'"""Decode the clips of one shard\.', '"""Decode clips.', set()),
    "a message of a stage": ("stages/merge.py", r"and run again:", "and start again:", set()),
    "a message of the cache": ("cache/store.py", r"was made with other", "is of another run than", set()),
    "a message of a table": ("corpora/table.py", r"The clip", "A clip", set()),
    "a message of an adapter": ("corpora/folder.py", r"raise CorpusError\(", "raise CorpusError('x ' + ", set()),
    "the wording of a reason": ("cache/status.py", r"The file is empty", "There is nothing in the file", set()),
    "a synonym": ("corpora/classes.py", r'"happiness"', '"happiness", "glee"', set()),
    "the description of an option": ("media/decoded.py", r"JPEG quality of stored frames", "Quality", set()),
    "a step of progress": ("fusion/training.py", r"PROGRESS\.within\(.*\)", "PROGRESS.within(1, 2)", set()),
    "a line of progress": ("stages/faces.py", r'Progress\(f"faces ', 'Progress(f"finding faces ', set()),
    "the licence of a network": ("backbones/resnet18.py", r"LICENCE", "LICENCE + \"Or so.\"", set()),
    "a log line": ("runtime/memory.py", r"The memory of ", "Out of memory: ", set()),
    "the cache's code": ("cache/incremental.py", r"FLUSH_SECONDS = 10\.0", "FLUSH_SECONDS = 20.0", set()),
    "a command": ("commands/verify.py", r"\Z", "\n\nX = 1\n", set()),
    "what counts as cut off": ("media/survey.py", r"USABLE_FROM = 0\.5", "USABLE_FROM = 0.6", ALL_CACHES),
    "alignment": ("faces/alignment.py", r"MAX_SAMPLES = 16", "MAX_SAMPLES = 8", FACES | RESNET | EXPRESSION | LAST),
    "a detector's threshold": ("faces/detectors/centerface.py", r"heat > o.min", "heat >= o.min", CENTER),
    "a backbone's forward": ("backbones/nets/resnet18.py", r"x\.mean\(", "2 * x.mean(", RESNET | LAST),
    "a layer of one network": (
        "backbones/nets/audio_alexnet.py", r"(class \w+\(nn\.Module\):)", r"\1\n    x = 1\n", LOGMEL | LAST,
    ),
    "pretraining": ("training/trainer.py", r"\bzero_grad\(\)", "zero_grad(set_to_none=True)", RESNET | LOGMEL | LAST),
    "extraction of faces": ("extraction/face.py", r"GPU_GROUP = 8", "GPU_GROUP = 4", FACES_READ),
    "attention": ("fusion/attention.py", r"class RelationAttention\(", "class RelationAttention(object, ", FUSED),
    "the classes": ("core/labels.py", r'"Angry", ', '"Anger", ', EXPRESSION | RESNET | LOGMEL | FUSED | {"report"}),
    "combining": ("scoring/greedy.py", r"ROUNDS = 50\b", "ROUNDS = 60", {"ensemble"}),
    "a metric": ("scoring/metrics.py", r"COLUMNS = \[", 'COLUMNS = ["x", ', {"report"}),
}  # fmt: skip
"""What is edited -> file, what stands there, what comes in its place, and whose recipes change."""


@pytest.mark.slow
@pytest.mark.parametrize("edit", EDITS)
def test_an_edit_reruns_what_depends_on_it(copy, edit):
    name, old, new, expected = EDITS[edit]
    before = digests(copy)
    path = copy / "emopipe" / name
    text = path.read_text()
    edited = re.sub(old, new, text, count=1)
    assert edited != text, f"{name} has nothing like {old}"
    try:
        path.write_text(edited)
        assert changed(before, digests(copy)) == expected
    finally:
        path.write_text(text)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("library", "expected"),
    [
        ("av", {"decode"} | FACES | TRAINED | EXTRACTED),
        ("opencv", {"decode", "report"} | FACES | TRAINED | EXTRACTED),
        ("onnxruntime", FACES | RESNET | EXPRESSION | LAST),
        ("librosa", LOGMEL - {"pretrain logmel"} | LAST),
        ("torch", {"faces mtcnn"} | TRAINED | EXTRACTED),  # on a GPU, MTCNN runs by torch
        ("scikit-learn", {"ensemble", "report"}),
    ],
)
def test_another_version_of_a_library_reruns_what_uses_it(copy, monkeypatch, library, expected):
    before = digests(copy)
    real = libraries._version
    monkeypatch.setattr(libraries, "_version", lambda name: "0.0" if name == library else real(name))
    assert changed(before, digests(copy)) == expected


def test_every_reason_has_a_text_that_its_values_fill():
    """Reasons are made by literal codes: each is in the table, and each in the table is made somewhere."""
    used = set()
    for path in (REPOSITORY / "emopipe").rglob("*.py"):
        used |= set(re.findall(r"""\breason\(\s*"(\w+)\"""", path.read_text()))
    used |= {"silent", "no_sound_decodes"}  # one line chooses between them
    assert used - {"no_face"} == set(status.TEXTS) - {"no_face"}

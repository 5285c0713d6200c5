"""Deliberate mistakes, and what the user reads: what was found, what was expected, what to do. Nothing is run."""

import copy
import re
from dataclasses import dataclass, field
from typing import Any

import pytest
import yaml
from typer.testing import CliRunner

from emopipe.commands.main import app
from emopipe.core.errors import EmopipeError
from emopipe.workflow import preconditions

SOUND = yaml.safe_load("""
run: mine
corpus: {name: mine, kind: folder}
corpus_root: corpus
decode: {some: {policy: count, count: 4}}
faces: {main: {detector: mtcnn}}
backbones:
  face: {kind: expression, weights: expression}
  voice: {kind: speech, weights: speech_logmel}
models:
  face_one: {streams: [face]}
  fused_two: {streams: [face, voice]}
protocol: {folds: 2}
""")
CLIPS = [f"{split}/{label}/{split}_{label}_{n}.mp4" for split in ("train", "val") for label in ("Happy", "Sad")
         for n in range(2)]  # fmt: skip


@dataclass(frozen=True)
class Mistake:
    """What the user did, and the message."""

    done: str
    message: str
    """A regular expression that the whole output of `emopipe check` matches."""
    keys: dict[str, Any] = field(default_factory=dict)
    """Key with slashes -> its value in the config; ... for a key that is omitted."""
    text: str = ""
    """The text of the config file, in place of the sound one."""
    clips: list[str] = field(default_factory=lambda: CLIPS)
    """Files in the folder `corpus`."""


CLASSES = "Angry, Disgust, Fear, Happy, Neutral, Sad, Surprise"
TO_DO = r"or remove what is trained from the config \(models, pretrain\): the run then stops after the features\."
MISTAKES = [
    # --- the file
    Mistake(
        "a config that does not exist",
        r"The config .*mine\.yaml cannot be read \(No such file or directory\)\. Correct its path, or make .*\.",
        text="absent",
    ),
    Mistake(
        "a colon too many",
        r"The config .*mine\.yaml is not valid YAML in line 2, column 13: mapping values are not allowed here\. "
        r"Correct it there\.",
        text="run: mine\ncorpus: name: mine\n",
    ),
    Mistake(
        "a tab as indentation",
        r"The config .*mine\.yaml is not valid YAML in line 2, column 1: found character '\\t' that cannot start any "
        r"token\. Correct it there\.",
        text="corpus:\n\tname: mine\n",
    ),
    Mistake(
        "two models of one name",
        r"The config .*mine\.yaml is not valid YAML in line 3, column 3: the key 'face_one' is there twice, first in "
        r"line 2\. Correct it there\.",
        text="models:\n  face_one: {streams: [face]}\n  face_one: {streams: [other]}\n",
    ),
    Mistake(
        "a text that is not UTF-8",
        r"The config .*mine\.yaml is not UTF-8, perhaps Latin-1 or Windows-1252: in line 2, column 5 is the byte "
        r"0xfc\. Expected UTF-8\. Save it as UTF-8 in your editor, or convert it: iconv -f ISO-8859-1 -t UTF-8 "
        r"mine\.yaml > new\.yaml",
        text="run: mine\n# gr\udcfcn\n",
    ),
    Mistake(
        "a list in place of keys",
        r"The config .*mine\.yaml contains a value of type list\. Expected keys and values\. See `emopipe config-keys` "
        r"for all keys\.",
        text="- run: mine\n",
    ),
    # --- keys and values
    Mistake(
        "a misspelt key",
        r"Unknown key shrads \(value 3\)\. Known keys here: run, corpus_root, .*\. Did you mean 'shards'\?",
        {"shrads": 3},
    ),
    Mistake(
        "a word where a number is expected",
        r"shards is 'four' \(str\): the value should be a valid integer\.",
        {"shards": "four"},
    ),
    Mistake(
        "a name that is not a file name",
        r"run: the name 'my run' would become part of file names\. Use only letters \(A to Z, a to z\), digits, _, - "
        r"and \., and begin with a letter or a digit\.",
        {"run": "my run"},
    ),
    Mistake(
        "several kinds and names that do not exist",
        r"corpus\.kind is 'foldr', which does not exist\. Known names: .*\. Did you mean 'folder'\?\n"
        r"faces\.main\.detector is 'mtcn', which does not exist\. Known names: .*\. Did you mean 'mtcnn'\?\n"
        r"backbones\.face\.kind is 'expresion', which does not exist\. .*Did you mean 'expression'\?\n"
        r"backbones\.voice\.kind is 'spech', which does not exist\. .*Did you mean 'speech'\?\n"
        r"sources\.more\.kind is 'ferplu', which does not exist\. .*Did you mean 'ferplus'\?\n"
        r"models\.fused_two\.streams is 'fase', .*Did you mean 'face'\?\n"
        r"models\.fused_two\.streams is 'vioce', .*Did you mean 'voice'\?\n"
        r"ensemble\.members is 'face_two', .*\n"
        r"comparisons\.0\.model is 'fused_to', .*\n"
        r"comparisons\.0\.against is 'face_on', .*",
        {
            "corpus/kind": "foldr",
            "faces/main/detector": "mtcn",
            "backbones/face/kind": "expresion",
            "backbones/voice/kind": "spech",
            "sources": {"more": {"kind": "ferplu", "path": "x"}},
            "models/fused_two/streams": ["fase", "vioce"],
            "ensemble": {"members": ["face_two", "face_one"]},
            "comparisons": [{"model": "fused_to", "against": "face_on"}],
        },
    ),
    Mistake(
        "weights that do not exist",
        r"backbones\.face\.weights is 'expresion', which is neither a file nor one of the weights that `emopipe "
        r"weights list` shows\. Did you mean expression or expression_plus\?",
        {"backbones/face/weights": "expresion"},
    ),
    Mistake(
        "weights of another network",
        r"backbones\.face\.weights is speech_logmel\. These are weights of a network of kind speech, but a network of "
        r"kind expression has to read them\. Name others: `emopipe weights list` shows the weights of each kind\.",
        {"backbones/face/weights": "speech_logmel"},
    ),
    Mistake(
        "a network without weights and training",
        r"backbones\.face has neither weights nor pretrain nor schedule, .*\. Name weights, or add pretrain: \{\} to "
        r"train it on the corpus' own training clips\.",
        {"backbones/face/weights": ...},
    ),
    Mistake(
        "a model that reads a backbone twice",
        r"models\.face_one\.streams names a backbone twice: face, face\. Name each one once\.",
        {"models/face_one/streams": ["face", "face"]},
    ),
    Mistake(
        "a model whose name does not say what it reads",
        r"models\.best reads audio and face \(face, voice\), so its name should begin with fused_\. The tables read "
        r"the modality from this prefix\. Rename the model\.",
        {"models/best": {"streams": ["face", "voice"]}},
    ),
    # --- the corpus
    Mistake(
        "no folder of the corpus",
        r"corpus_root is not set\. Set it to the corpus' folder: `--config corpus_root=/data/AFEW`\.",
        {"corpus_root": ...},
    ),
    Mistake(
        "a folder of the corpus that does not exist",
        r"The corpus folder corpsu does not exist: correct its path \(in a config, corpus_root\)\.",
        {"corpus_root": "corpsu"},
    ),
    Mistake(
        "a folder without clips",
        r"No video or audio files were found in corpus; found 1 \.txt\. Expected <class>/<file> or "
        r"<split>/<class>/<file>\. Check "
        r"corpus_root\.",
        clips=["readme.txt"],
    ),
    Mistake(
        "a folder that is not a class",
        r"The class 'hapy' of the clip train/hapy/a\.mp4 is unknown\. Expected one of .*\. Did you mean Happy\?",
        clips=["train/hapy/a.mp4", *CLIPS],
    ),
    Mistake(
        "clips of one class to train on",
        rf"All 4 clips to train on are of the class Happy, so every prediction would be Happy\. Expected clips of at "
        rf"least two of the classes {CLASSES}\. Add clips of other classes to the training split, {TO_DO}",
        clips=[*(f"train/Happy/{n}.mp4" for n in range(4)), "val/Happy/v.mp4", "val/Sad/w.mp4"],
    ),
    Mistake(
        "no clips to train on",
        r"0 clips are in the training split, but the protocol given needs at least 2 to train a model\. Check the "
        r"corpus' splits and labels\.",
        clips=["val/Happy/v.mp4", "val/Sad/w.mp4"],
    ),
    Mistake(
        "fewer clips to train on than folds",
        r"There are 4 clips to train on, but protocol\.folds is 5, and each fold needs a clip\. Add clips to the "
        r"training split, or set protocol\.folds to at most 4\.",
        {"protocol": ...},
    ),
    Mistake(
        "one clip of the second class",
        r"Without the fold of [\w, ]*b, all other clips to train on are of the class Happy; "
        r"protocol\.folds is 2\. Expected at least two classes without any one fold: two clips in each of two classes, "
        r"not all of one person\. Add clips to the training split\.",
        clips=[*(f"train/Happy/{n}.mp4" for n in range(4)), "train/Sad/b.mp4", "val/Happy/v.mp4", "val/Sad/w.mp4"],
    ),
]  # fmt: skip
"""With the GPU below, 24 of them."""


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path


def write(folder, mistake):
    """The corpus of empty files, and the config; returns its path."""
    for clip in mistake.clips:
        path = folder / "corpus" / clip
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    raw, config = copy.deepcopy(SOUND), folder / "mine.yaml"
    for path, value in mistake.keys.items():
        *parents, key = path.split("/")
        block = raw
        for parent in parents:
            block = block[parent]
        block[key] = value
        if value is ...:
            del block[key]
    text = mistake.text or yaml.safe_dump(raw)
    if text != "absent":
        config.write_bytes(text.encode("utf-8", "surrogateescape"))
    return config


def check(config):
    return CliRunner().invoke(app, ["check", str(config)], env={"COLUMNS": "300"})


def test_without_a_mistake_the_config_is_valid(folder):
    result = check(write(folder, Mistake("nothing", "")))
    assert result.exit_code == 0, result.output
    assert result.output.endswith("is valid: run mine, models face_one, fused_two, clips 4 train, 4 val.\n")


@pytest.mark.parametrize("mistake", MISTAKES, ids=lambda mistake: mistake.done)
def test_a_mistake_is_answered_with_what_to_do(folder, mistake):
    result = check(write(folder, mistake))
    assert result.exit_code == 1
    assert re.fullmatch(mistake.message, result.output.rstrip("\n")), result.output


def test_there_are_24():
    assert len(MISTAKES) + 1 == 24 and len({mistake.done for mistake in MISTAKES}) == len(MISTAKES)


# --- the 24th: a GPU that does not exist


@pytest.mark.parametrize(("gpu_here", "found"), [(False, "no GPU was found"), (True, "torch cannot use its GPU")])
def test_cuda_without_a_gpu(monkeypatch, gpu_here, found):
    monkeypatch.setattr(preconditions, "_torch_finds_a_gpu", lambda: False)
    with pytest.raises(EmopipeError) as caught:
        preconditions.check_device("cuda", gpu_here=gpu_here)
    assert str(caught.value) == (
        f"device is cuda, but {found} on this machine. Expected a GPU with its driver and a CUDA build of torch. Set "
        "device to auto or cpu, or install what is missing."
    )


def test_other_devices_and_a_gpu_that_works_are_not_refused(monkeypatch):
    monkeypatch.setattr(preconditions, "_torch_finds_a_gpu", lambda: True)
    preconditions.check_device("cuda", gpu_here=True)
    for device in ("auto", "cpu"):
        preconditions.check_device(device, gpu_here=False)


def test_check_only_warns_of_a_gpu_that_a_cluster_may_have(folder, monkeypatch):
    monkeypatch.setattr("emopipe.workflow.resources.has_gpu", lambda: False)
    result = check(write(folder, Mistake("cuda", "", {"device": "cuda"})))
    assert result.exit_code == 0
    assert "device is cuda, but no GPU was found" in result.output
    assert "A run on a cluster, whose nodes have GPUs, is not refused." in result.output and "is valid" in result.output

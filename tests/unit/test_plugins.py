"""Plug-ins: kinds of users' own packages work as the project's own do, and faults in them are told."""

import ast
import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import pandas as pd
import pytest
import torch
import yaml
from typer.testing import CliRunner

from emopipe import corpora, stills
from emopipe.backbones import registry as backbones
from emopipe.cache import tensors
from emopipe.cache.store import Reader, Row, Writer
from emopipe.commands.main import app
from emopipe.core import fingerprint
from emopipe.core.errors import ConfigError, CorpusError
from emopipe.core.fingerprint import code_fingerprint, digest
from emopipe.core.labels import CLASSES
from emopipe.faces import detectors
from emopipe.faces import rows as face_rows
from emopipe.faces.clip import find_faces
from emopipe.media.decoded import encode_jpeg
from emopipe.stages import features as features_stage
from emopipe.training.sources import SourceBlock
from emopipe.workflow import config as configs
from emopipe.workflow.plan import Plan
from emopipe.workflow.training_recipe import phase_recipe
from tests.plugin_package import REGISTRIES, write_distribution, write_package

REPOSITORY = Path(__file__).parents[2]
NAMES = {"backbones": "mean_colour", "detectors": "centre", "corpora": "flat", "stills": "flat_stills"}

CONFIG = yaml.safe_load("""
run: x
corpus: {name: c, kind: flat, options: {suffix: .mp4}}
corpus_root: /data
decode: {some: {policy: count, count: 2}}
faces: {middle: {detector: centre, options: {share: 0.4}}}
backbones: {mean: {kind: mean_colour, options: {size: 8}, pretrain: {epochs: 1}}}
models: {face_mean: {streams: [mean]}}
""")
TABLE = pd.DataFrame(
    [("a", "a.mp4", "train", "Sad", "s", "1"), ("b", "b.mp4", "val", "Happy", "t", "2")],
    columns=["clip", "path", "split", "label", "subject", "digest"],
)


@pytest.fixture
def install(tmp_path, monkeypatch):
    """Install a package out of the text of its modules and its entry points; nothing of it stays."""
    monkeypatch.setattr(fingerprint, "PLUGINS", set())
    before = set(sys.modules)

    def add(name, points, **modules):
        folder = tmp_path / f"site-{name}"
        write_distribution(folder, name, points)
        for module, text in modules.items():
            (folder / f"{module}.py").write_text(text)
        monkeypatch.syspath_prepend(folder)

    yield add
    for module in set(sys.modules) - before:
        if str(tmp_path) in str(getattr(sys.modules[module], "__file__", "")):
            del sys.modules[module]


@pytest.fixture
def package(tmp_path, monkeypatch, install):
    """The folder of mypackage, installed: the examples of the four docstrings."""
    write_package(tmp_path / "site")
    monkeypatch.syspath_prepend(tmp_path / "site")
    return tmp_path / "site/mypackage"


def edit(path, old, new):
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new))


def run(*arguments):
    return CliRunner().invoke(app, arguments, env={"COLUMNS": "300"})


# --- found and listed


def test_listed_without_being_imported(package):
    for group, registry in REGISTRIES.items():
        own = list(registry.KINDS)
        assert registry.list_kinds() == [*own, NAMES[group]]
        assert registry.module_name(NAMES[group]) == f"mypackage.{NAMES[group]}"
        assert registry.module_name(own[0]).startswith("emopipe.")
    assert not [module for module in sys.modules if module.startswith("mypackage")]


@pytest.mark.slow
def test_kinds_of_the_project_are_listed_without_torch():
    code = (
        "import sys; from emopipe.backbones import registry as r; r.list_kinds('face');"
        "print([(r.modality(k), r.trainable(k)) for k in ('speech', 'onnx', 'timm:x')], 'torch' in sys.modules)"
    )
    said = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert said.strip() == "[('audio', True), ('face', False), ('face', True)] False"


def test_filters(package):
    assert backbones.list_kinds("face")[-1] == "mean_colour"
    assert backbones.list_kinds("audio") == ["audio_alexnet", "speech", "speech_whisper", "hf", "opensmile"]
    assert backbones.list_kinds(trainable=False) == ["onnx", "hf", "opensmile"]
    assert backbones.list_kinds("face", trainable=False) == ["onnx"]


def test_the_command_kinds(package):
    result = run("kinds")
    lines = [line.split() for line in result.stdout.splitlines()]
    assert result.exit_code == 0
    assert ["mean_colour", "face", "trainable", "mypackage.mean_colour", "package", "mypackage", "1.0"] in lines
    assert ["hf:<weights>", "audio", "not", "trainable", "emopipe.backbones.hf_audio"] in lines
    for group in ("detectors", "corpora", "stills"):
        assert f"{NAMES[group]} mypackage.{NAMES[group]} package mypackage 1.0".split() in lines
    listed = {line[0].partition(":")[0] for line in lines if line}
    assert listed >= {kind for registry in REGISTRIES.values() for kind in registry.KINDS}


@pytest.mark.slow
def test_config_keys_have_their_options(package):
    output = run("config-keys").stdout
    assert "backbones.<name>.options of mean_colour:\n  size  (integer; default: 16)\n      Side of the face" in output
    assert "faces.<name>.options of centre:\n  share  (number; default: 0.5)" in output
    assert 'corpus.options of flat:\n  suffix  (string; default: ".avi")' in output
    assert "sources.<name>.options of flat_stills:\n  labels" in output


@pytest.mark.slow
def test_the_project_knows_nothing_of_them():
    for path in (REPOSITORY / "emopipe").rglob("*.py"):
        tree = ast.parse(path.read_text())
        blocks = [node for node in ast.walk(tree) if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef)]
        shown = {id(block.body[0].value) for block in blocks if ast.get_docstring(block)}
        texts = [node for node in ast.walk(tree) if isinstance(node, ast.Constant) and id(node) not in shown]
        assert not [text.value for text in texts if text.value in {*NAMES.values(), "mypackage"}], path


# --- configs and recipes


def test_a_config_with_them_is_checked(package):
    config = configs.parse(CONFIG)
    assert configs.modality(config.backbones["mean"]) == "face" and config.backbones["mean"].faces == "middle"
    for block, key, known in [
        ("corpus", "sufix", "suffix"),
        ("faces", "shore", "share"),
        ("backbones", "sise", "size"),
    ]:
        raw = yaml.safe_load(yaml.safe_dump(CONFIG))
        inner = raw[block] if block == "corpus" else next(iter(raw[block].values()))
        inner["options"] = {key: 1}
        with pytest.raises(ConfigError, match=rf"Unknown key {block}\..*{key}.*Did you mean '{known}'"):
            configs.parse(raw)
    raw = {**CONFIG, "faces": {"middle": {"detector": "center"}}}
    with pytest.raises(
        ConfigError, match=r"Known names: mtcnn, centerface, scrfd, yunet, centre\. Did you mean 'centre'"
    ):
        configs.parse(raw)


def recipes():
    plan = Plan(configs.parse(CONFIG), TABLE, REPOSITORY / "workflow_scripts")
    return {
        "corpus": plan.corpus(),
        "decode": plan.decode("some"),
        "faces": plan.faces("middle"),
        "pretrain": plan.pretrain("mean"),
        "features": plan.features("mean"),
        "fusion": plan.fusion("face_mean"),
    }


def chain_recipe(pictures):
    source = SourceBlock(kind="flat_stills", path=str(pictures), detect="centre")
    options = backbones.options_class("mean_colour")()
    phase = {"sources": ["pictures"]}
    return phase_recipe("mean_colour", options, phase, {"pictures": source}, where="phase", start="", half=False)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("module", "old", "new", "changed"),
    [
        ("mean_colour", "x.mean((2, 3))", "x.amax((2, 3))", {"pretrain", "features", "fusion", "chain"}),
        ("mean_colour", "# (N, 3, size, size)", "# faces", set()),
        ("centre", "/ 2\n", "/ 3\n", {"faces", "pretrain", "features", "fusion", "chain"}),
        ("parts", "0.0", "1.0", {"pretrain", "features", "fusion", "chain"}),
        ("flat_stills", 'partition("_")[0]', 'partition("_")[2]', {"chain"}),
        ("flat", "sorted(", "list(", set()),  # the table counts, not the code that makes it
    ],
)
def test_recipes_follow_their_code(package, tmp_path, module, old, new, changed):
    (package / "parts.py").write_text("BLACK = (0.0, 0.0, 0.0)\n")
    edit(package / "mean_colour.py", "mean=(0.0, 0.0, 0.0)", "mean=BLACK")
    edit(
        package / "mean_colour.py",
        "from torch import nn\n",
        "from torch import nn\n\nfrom mypackage.parts import BLACK\n",
    )
    (tmp_path / "pictures").mkdir()
    before = {**recipes(), "chain": chain_recipe(tmp_path / "pictures")}
    assert before["features"]["libraries"]["torch"]
    edit(package / f"{module}.py", old, new)
    after = {**recipes(), "chain": chain_recipe(tmp_path / "pictures")}
    assert {stage for stage in before if digest(before[stage]) != digest(after[stage])} == changed


def test_the_code_of_their_modules_is_fingerprinted(package):
    for group, registry in REGISTRIES.items():
        module = registry.module_name(NAMES[group])
        before = code_fingerprint(module)
        with (package / f"{NAMES[group]}.py").open("a") as file:
            file.write("\nadded = 1\n")
        assert code_fingerprint(module) != before
    assert not [module for module in sys.modules if module.startswith("mypackage")]


# --- at work


def test_the_backbone_extracts_means(package, tmp_path):
    colours = {"red": (20, 40, 220), "grey": (100, 100, 100)}  # BGR
    with Writer(tmp_path / "faces.h5", face_rows.FIELDS, stage="faces", recipe={}) as writer:
        for clip, colour in colours.items():
            jpeg = encode_jpeg(np.full((256, 256, 3), colour, np.uint8), 95)
            arrays = {
                "crop": np.frombuffer(jpeg, np.uint8),
                "crop_size": np.array([len(jpeg)]),
                "mask": np.array([True, False]),
                "time": np.arange(2.0),
            }
            writer.add(Row(clip, f"digest of {clip}", "ok", "", arrays))
    module = backbones.build("mean_colour", backbones.options_class("mean_colour")())
    module.scale.data = torch.tensor([1.0, 2.0, 3.0])
    tensors.save(module, tmp_path / "mean.safetensors", {})
    recipe = {
        "kind": "mean_colour",
        "options": {"size": 8},
        "source": digest({}),
        "batch": 4,
        "precision": "float32",
        "view": "",
    }
    features_stage.run(
        recipe,
        tmp_path / "faces.h5",
        tmp_path / "features.h5",
        weights=str(tmp_path / "mean.safetensors"),
        pretrained=None,
        device="cpu",
        threads=1,
    )
    with Reader(tmp_path / "features.h5") as features:
        for clip, (blue, green, red) in colours.items():
            x = features.field(clip, "x")
            np.testing.assert_allclose(x[0], np.array([red, 2 * green, 3 * blue]) / 255, atol=3 * 3 / 255)
            assert x.shape == (2, 3) and np.isnan(x[1]).all()


def test_the_detector_finds_the_middle(package):
    frame = np.zeros((60, 80, 3), np.uint8)
    frame[15:45, 25:55] = (20, 40, 220)
    detect = detectors.build("centre", detectors.options_class("centre")())
    found = detect(frame)
    np.testing.assert_allclose(found.box, [[25, 15, 55, 45]])
    assert found.landmarks.shape == (1, 5, 2) and found.score.tolist() == [1]
    x, y = found.landmarks[0].T
    assert x[0] < x[2] < x[1] and max(y[:2]) < y[2] < min(y[3:])  # eyes, nose, mouth
    assert not len(detect(np.zeros((1, 1, 3), np.uint8)))  # too small to be aligned
    faces = find_faces([frame, frame], np.array([0.0, 1.0]), detect)
    assert faces.mask.all() and [crop[128, 128].tolist() for crop in faces.crops] == [[20, 40, 220]] * 2


def test_the_corpus_is_scanned(package, tmp_path):
    root = tmp_path / "clips"
    root.mkdir()
    for name in ("val_t_Sad_1.avi", "train_s_Happy_2.avi", "train_s_Happy_1.avi", "notes.txt"):
        (root / name).touch()
    table = corpora.scan("flat", root, corpora.options_class("flat")())
    assert table.to_dict("list") == {
        "clip": ["train_s_Happy_1", "train_s_Happy_2", "val_t_Sad_1"],
        "path": ["train_s_Happy_1.avi", "train_s_Happy_2.avi", "val_t_Sad_1.avi"],
        "split": ["train", "train", "val"],
        "label": ["Happy", "Happy", "Sad"],
        "subject": ["s", "s", "t"],
    }
    (root / "val_s_Sad_2.avi").touch()
    with pytest.raises(CorpusError, match="subject 's' is in the splits train and val"):
        corpora.scan("flat", root, corpora.options_class("flat")())
    with pytest.raises(CorpusError, match="No clips were found"):
        corpora.scan("flat", root, corpora.options_class("flat")(suffix=".mkv"))


def test_the_stills_are_read(package, tmp_path):
    folder = tmp_path / "pictures"
    folder.mkdir()
    for name, level in {"Happy_1": 10, "Sad_1": 20, "smile_1": 30, "calm_1": 40}.items():
        cv2.imwrite(str(folder / f"{name}.png"), np.full((4, 5, 3), level, np.uint8))
    options = stills.options_class("flat_stills")(labels={"smile": "Happy"})
    found = stills.read("flat_stills", folder, options)
    assert found.table["key"].tolist() == ["Happy_1.png", "Sad_1.png", "smile_1.png"]
    assert [CLASSES[number] for number in found.targets.argmax(1)] == ["Happy", "Sad", "Happy"]
    assert found.read_image("smile_1.png").shape == (4, 5, 3) and found.read_image("smile_1.png").max() == 30


# --- other backbones

PALETTE = """
import numpy as np

from emopipe.backbones.base import FaceInput, Spec
from emopipe.core.options import Options

MODALITY = "face"
TRAINABLE = False
NAMED_BY = "palette"


class BackboneOptions(Options):
    palette: str


def spec(options):
    return Spec("face", FaceInput(112.0, 4, "gray", (0.0,), (1.0,)), 1, "MIT", "none")


def net_files(options):
    return []


def version(options):
    return "colours 1.2.3"


def build(options, device="cpu", threads=1):
    return Palette()


class Palette:
    device = "cpu"

    def __call__(self, batch):
        return batch.mean((2, 3))
"""


@pytest.mark.slow
def test_a_backbone_that_comes_trained_and_names_networks(install):
    install("colours", {"backbones": {"palette": "palette"}}, palette=PALETTE)
    raw = {**CONFIG, "corpus": {"name": "c", "kind": "folder"}, "faces": {"main": {"detector": "mtcnn"}}}
    raw["backbones"] = {"mean": {"kind": "palette:sepia"}}
    config = configs.parse(raw)
    assert config.backbones["mean"].options == {"palette": "sepia"}
    recipe = Plan(config, TABLE, REPOSITORY / "workflow_scripts").features("mean")
    assert recipe["options"] == {"palette": "sepia"} and recipe["libraries"]["colours"] == "1.2"
    with pytest.raises(ConfigError, match=r"pretrain is set, but a network of kind palette cannot be trained"):
        configs.parse({**raw, "backbones": {"mean": {"kind": "palette:sepia", "pretrain": {}}}})
    net = backbones.build("palette", backbones.options_class("palette")(palette="x"), device="cpu", threads=1)
    assert net(np.ones((2, 1, 4, 4), np.float32)).tolist() == [[1], [1]]
    assert "palette:<palette>" in run("kinds").stdout


# --- faults


def test_a_name_that_the_project_has(install):
    install("mine", {"backbones": {"ir50": "mine"}, "corpora": {"folder": "mine"}}, mine="")
    clash = (
        r"Several packages have a backbone of kind 'ir50': emopipe, mine 1\.0\. .* Uninstall a package, or rename its "
        r"entry point in the group emopipe\.backbones\."
    )
    for ask in (backbones.options_class, backbones.modality, backbones.module_name):
        with pytest.raises(ConfigError, match=clash):
            ask("ir50")
    with pytest.raises(CorpusError, match=r"a corpus of kind 'folder': emopipe, mine 1\.0"):
        corpora.options_class("folder")
    assert backbones.options_class("resnet18") and stills.options_class("folder")
    assert backbones.list_kinds() == list(backbones.KINDS)
    result = run("kinds")
    assert result.exit_code == 1 and "ir50 cannot be used, see below" in " ".join(result.stdout.split())
    assert "backbone of kind 'ir50': emopipe, mine 1.0" in result.stderr


def test_a_name_that_two_packages_have(install):
    for name in ("mine", "yours"):
        install(name, {"detectors": {"own": name}}, **{name: ""})
    with pytest.raises(ConfigError, match=r"Several packages have a face detector of kind 'own': (mine|yours) 1\.0, "):
        detectors.options_class("own")
    assert detectors.list_kinds() == [*detectors.KINDS, "own"]


OPTIONS = "from emopipe.core.options import Options\nclass BackboneOptions(Options): pass\ndef spec(options): pass\n"
WHOLE = OPTIONS + "def build(options): pass\n"


@pytest.mark.slow
@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("import nowhere", r"cannot be imported \(ModuleNotFoundError: No module named 'nowhere'\)"),
        ("1 / 0", r"cannot be imported \(ZeroDivisionError: division by zero\)"),
        ("", "lacks the class BackboneOptions and the function spec and the function build"),
        (OPTIONS, "lacks the function build"),
        (WHOLE.replace("(Options)", "(dict)"), "not derived from emopipe.core.options.Options"),
        (WHOLE, r"lacks the constant MODALITY \(expected 'face' or 'audio'\)"),
        (WHOLE + "MODALITY = 'video'", r"has the constant MODALITY = 'video' \(expected 'face' or 'audio'\)"),
        (WHOLE + "MODALITY = 'face'", r"lacks the constant TRAINABLE \(expected True or False\)"),
        (WHOLE + "MODALITY = 'face'; TRAINABLE = 'no'", r"has the constant TRAINABLE = 'no'"),
        (WHOLE + "MODALITY = 'face'; TRAINABLE = False", "lacks the function net_files"),
    ],
)
def test_a_module_that_is_not_as_it_should_be(install, text, said):
    install("broken", {"backbones": {"broken": "broken_module"}}, broken_module=text)
    with pytest.raises(ConfigError) as raised:
        backbones.options_class("broken")
    raised.match(
        rf"^The backbone 'broken' of the package broken 1\.0 cannot be used\. The module broken_module .*{said}"
    )
    raised.match(r"Correct the module, or uninstall broken\.$")
    assert backbones.options_class("resnet18")
    for command in ("kinds", "config-keys"):
        result = run(command)
        assert str(raised.value) in result.stderr and "resnet18" in result.stdout
    assert run("kinds").exit_code == 1


@pytest.mark.parametrize(
    ("group", "text", "said"),
    [
        ("detectors", "", "lacks the class DetectorOptions and the function net_files and the function build"),
        ("corpora", "", "lacks the class CorpusOptions and the function scan"),
        ("stills", "", "lacks the class StillsOptions and the function read"),
        (
            "stills",
            "from emopipe.core.options import Options as StillsOptions\ndef read(path, options): pass",
            "not derived from emopipe.stills.base.BaseOptions",
        ),
    ],
)
def test_modules_of_the_other_groups(install, group, text, said):
    install("broken", {group: {"broken": "broken_module"}}, broken_module=text)
    with pytest.raises((ConfigError, CorpusError), match=rf"of the package broken 1\.0 cannot be used.*{said}"):
        REGISTRIES[group].options_class("broken")


@pytest.mark.parametrize("value", ["mine:main", "not a module", "mine.nets:Net.build [extra]"])
def test_an_entry_point_that_names_no_module(install, value):
    install("mine", {"backbones": {"own": value}}, mine=PALETTE)
    with pytest.raises(
        ConfigError, match=r"'own' of the package mine 1\.0 .* Its entry point is .*expected the name of"
    ):
        backbones.options_class("own")


def test_a_spec_of_another_modality(install):
    install("mine", {"backbones": {"own": "mine"}}, mine=PALETTE.replace('MODALITY = "face"', 'MODALITY = "audio"'))
    with pytest.raises(ConfigError, match="backbone own has the modality audio, but its spec has face"):
        backbones.spec("own", backbones.options_class("own")(palette="x"))


def test_an_unknown_kind_is_answered_with_plugins_too(package):
    with pytest.raises(
        ConfigError, match=r"no backbone of kind 'mean_color'\. Did you mean mean_colour\? Use one of ir50"
    ):
        backbones.spec("mean_color", None)

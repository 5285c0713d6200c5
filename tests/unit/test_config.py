"""The config's schema: every fault is a sentence that names the key."""

import copy
import re
from pathlib import Path

import pytest
import yaml
from typer.testing import CliRunner

from emopipe import corpora, stills
from emopipe.backbones import registry as backbones
from emopipe.commands.config_keys import keys
from emopipe.commands.main import app
from emopipe.core.errors import ConfigError, EmopipeError
from emopipe.faces import detectors
from emopipe.training.phase_options import phase_class
from emopipe.workflow import config as configs

SOUND = yaml.safe_load("""
run: x
corpus: {name: c, kind: folder}
corpus_root: /data
decode: {some: {policy: count, count: 4}}
faces: {main: {detector: mtcnn}}
backbones:
  face: {kind: expression, pretrain: {epochs: 1}}
  voice: {kind: audio_alexnet, options: {spectrum: {kind: logmel}}, weights: voice.safetensors}
models:
  face_one: {streams: [face]}
  fused_two: {streams: [face, voice], fusion: fbp, lr: 1e-3}
""")


def changed(path, value):
    raw = copy.deepcopy(SOUND)
    *parents, key = path.split("/")
    block = raw
    for parent in parents:
        block = block[parent]
    if value is ...:
        del block[key]
    else:
        block[key] = value
    return raw


def test_a_sound_config():
    config = configs.parse(SOUND)
    assert config.backbones["face"].faces == "main"
    assert config.backbones["voice"].decode == "some"
    assert config.faces["main"].decode == "some"
    assert config.models["fused_two"].lr == 1e-3  # which YAML reads as a string
    assert config.shards is None  # as many as the corpus needs


@pytest.mark.parametrize(
    ("path", "value", "words"),
    [
        ("rnu", "y", ["Unknown key rnu", "'y'", "run"]),
        ("run", 7, ["run is 7 (int)", "string"]),
        ("run", "../x", ["run: the name '../x'", "letters"]),
        ("run", ..., ["run", "missing"]),
        ("shards", 0, ["shards is 0", "greater than or equal to 1"]),
        ("shards", "four", ["shards is 'four' (str)", "integer"]),
        ("shards", True, ["shards is True (bool)", "integer"]),
        ("device", "gpu", ["device is 'gpu'", "'auto', 'cpu' or 'cuda'"]),
        ("corpus_root", ..., ["corpus_root is not set"]),
        ("corpus/kind", "afwe", ["corpus.kind is 'afwe'", "afew"]),
        ("corpus/options", {"seeed": 1}, ["Unknown key corpus.options.seeed", "seed"]),
        ("decode/some", {"policy": "fps"}, ["decode.some", "needs the key fps"]),
        ("decode/some/cuont", 3, ["Unknown key decode.some.cuont", "count"]),
        ("faces/main/detector", "mtcn", ["faces.main.detector is 'mtcn'", "mtcnn"]),
        ("faces/main/options", {"min_fase": 3}, ["Unknown key faces.main.options.min_fase"]),
        ("faces/main/decode", "dense", ["faces.main.decode is 'dense'", "some"]),
        ("faces", {}, ["backbones.face.faces is not set", "none"]),
        ("backbones/face/kind", "ir500", ["backbones.face.kind is 'ir500'", "ir50"]),
        ("backbones/face/options", {"width": "wide"}, ["backbones.face.options.width is 'wide' (str)"]),
        ("backbones/face/pretrain/epoch", 3, ["Unknown key backbones.face.pretrain.epoch", "epochs"]),
        ("backbones/face/decode", "some", ["backbones.face.decode", "backbones.face.faces"]),
        ("backbones/face/pretrain", ..., ["backbones.face has neither weights nor pretrain"]),
        ("backbones/voice/faces", "main", ["backbones.voice.faces", "backbones.voice.decode"]),
        ("models/face_one/streams", ["fase"], ["models.face_one.streams is 'fase'", "face"]),
        ("models/face_one/streams", ["face", "face"], ["models.face_one.streams", "twice"]),
        ("models/face_one/streams", ["voice"], ["models.face_one", "audio_"]),
        ("models/face_one/fusion", "sum", ["models.face_one.fusion is 'sum'", "'concat', 'fbp', 'adaptive_fbp'"]),
        ("models/face_one/lr", "fast", ["models.face_one.lr is 'fast' (str)", "number"]),
        ("models/mine", {"streams": ["face"]}, ["models.mine", "face_"]),
        ("models/face_one/fusion", "gated", ["models.face_one.fusion is gated", "those of one"]),
        ("models/face_one/face_attention", "max", ["face_attention is 'max'", "'mean', 'self', 'relation'"]),
        ("models/face_one/normalise", "subject", ["models.face_one.normalise is subject", "all streams are face"]),
        ("models/face_one/face_inputs", ["vector"], ["models.face_one.face_inputs", "'vectors', 'logp' or 'evidence'"]),
        ("models/face_one/fusion", "gmu", ["models.face_one.fusion is gmu", "those of one"]),
        ("models/face_one/augment", True, ["models.face_one.augment", "backbones.face.views"]),
        ("models/face_one/search", {"hidden": [8, 16]}, ["search.hidden cannot be searched", "lr"]),
        ("models/face_one/search", {"lr": []}, ["search.lr is empty"]),
        ("models/face_one/search", {"lr": [-1]}, ["lr", "greater than 0"]),
        ("models/face_one/early_stopping", {"watch": "test"}, ["early_stopping.watch is 'test'", "'inner' or 'val'"]),
        (
            "models/fused_late",
            {"streams": ["face", "voice"], "face_attention": "multihead", "heads": 5},
            ["heads is 5, which does not divide hidden, 64"],
        ),
        (
            "sources",
            {"odd": {"kind": "folde", "path": "x"}},
            ["sources.odd.kind is 'folde', which does not exist", "Did you mean 'folder'?"],
        ),
        ("backbones/face/views", ["noise"], ["backbones.face.views is 'noise'", "flip"]),
        ("protocol", {"kind": "cv"}, ["protocol.kind is 'cv'", "'given', 'kfold' or 'final'"]),
        ("ensemble", {"members": ["face_two"]}, ["ensemble.members is 'face_two'", "face_one"]),
        ("ensemble", {"method": "vote"}, ["ensemble.method is 'vote'", "'stacking'"]),
        ("ensembles", {"greedy": {"method": "greedy"}}, ["ensembles.greedy", "ensemble_greedy"]),
        ("ensembles", {"ensemble": {"method": "greedy"}}, ["name of the main ensemble", "ensemble_small"]),
        ("ensembles", {"ensemble_two": {"members": ["face_two"]}}, ["ensembles.ensemble_two.members", "face_one"]),
        ("comparisons", [{"model": "face_one", "against": "face_two"}], ["comparisons.0.against is 'face_two'"]),
        ("comparisons", [{"model": "face_one", "with": "face_one"}], ["Unknown key comparisons.0.with", "against"]),
    ],
)
def test_faults(path, value, words):
    with pytest.raises(ConfigError) as caught:
        configs.parse(changed(path, value))
    for word in words:
        assert word in str(caught.value)


NAMED = ("run", "corpus/name", "decode/{}", "faces/{}", "sources/{}", "backbones/{}", "models/{}", "ensembles/{}")
"""Everything that a user names; in braces, the name of a block."""
NO_NAMES = {
    "../x": "letters",
    ".hidden": "begin with a letter",
    "": "letters",
    "face[1]": "letters",
    "face*": "letters",
    "face?": "letters",
    "{shard}": "letters",
    "a+b": "letters",
    "a@flip": "letters",
    "gesicht_ä": "letters",
    "two\nlines": "letters",
    "line\n": "letters",
    "x" * 101: "at most 100",
    "face.step1": "ends in .step1.*face_step1",
    "face.h5": "ends in .h5",
    "face.h5.damaged": "ends in .damaged",
}
"""What is not a name -> what the message says of it."""


def named(place, name):
    """The sound config with this name at one place."""
    key, _, block = place.partition("/")
    if block == "{}":
        blocks = SOUND.get(key) or {"": {"kind": "folder", "path": "x"} if key == "sources" else {}}
        return changed(key, {**SOUND.get(key, {}), name: next(iter(blocks.values()))})
    return changed(place, name)


@pytest.mark.slow
@pytest.mark.parametrize("place", NAMED)
@pytest.mark.parametrize("name", NO_NAMES)
def test_a_name_that_is_no_file_name_or_another_files_is_refused_with_its_key(place, name):
    with pytest.raises(ConfigError) as caught:
        configs.parse(named(place, name))
    key = place.replace("/", ".").format(name).rstrip(".")
    assert str(caught.value).startswith(f"{key}: the name ") and re.search(NO_NAMES[name], str(caught.value))


@pytest.mark.parametrize("name", ["afew7.0", "0-a_B.c", "face.step", "x.csv", "x" * 100])
def test_other_names_are_names(name):
    assert configs.parse(named("run", name)).run == name
    raw = named("decode/{}", name) | {"faces": {"main": {"detector": "mtcnn", "decode": name}}}
    raw |= {"backbones": {"face": {"kind": "expression", "pretrain": {}}}, "models": {}}
    assert name in configs.parse(raw).decode


SCHEMAS = {
    "config": configs.Config,
    **{f"{registry.__name__}.{kind}": registry.options_class(kind)
       for registry in (corpora, detectors, backbones, stills) for kind in registry.KINDS},
    **{f"step.{modality}": phase_class(modality) for modality in ("face", "audio")},
}  # fmt: skip


@pytest.mark.slow
@pytest.mark.parametrize("schema", SCHEMAS)
def test_every_key_has_a_description(schema):
    for key, field, _ in keys(SCHEMAS[schema].model_json_schema()):
        assert field.get("description", "").endswith("."), key


@pytest.mark.parametrize(
    ("block", "key", "registry"),
    [
        (configs.CorpusBlock, "kind", corpora),
        (configs.FacesBlock, "detector", detectors),
        (configs.BackboneBlock, "kind", backbones),
        (configs.SourceBlock, "kind", stills),
    ],
)
def test_descriptions_name_the_command_that_lists_every_kind(block, key, registry):
    command = re.search(r"`emopipe\s(.*?)`", block.model_json_schema()["properties"][key]["description"])[1]
    words = re.findall(r"^  (\w+)", CliRunner().invoke(app, [command]).output, re.M)
    assert set(registry.KINDS) <= set(words)


def test_several_faults_are_all_told():
    raw = changed("shards", 0) | {"thread": 3}
    with pytest.raises(ConfigError) as caught:
        configs.parse(raw)
    assert len(str(caught.value).splitlines()) == 2


def test_an_untrainable_network_is_not_pretrained():
    raw = changed("backbones/face", {"kind": "onnx", "options": {"weights": "x.onnx"}, "pretrain": {}})
    with pytest.raises(ConfigError, match=r"backbones\.face\.pretrain"):
        configs.parse(raw)


def test_presets_have_to_be_named_where_there_are_several():
    raw = changed("decode", {"a": {"policy": "all"}, "b": {"policy": "all"}})
    with pytest.raises(ConfigError, match=r"faces\.main\.decode is not set.*a, b"):
        configs.parse(raw)


def test_a_config_that_cannot_be_read(tmp_path):
    for name, text in {
        "list": "- a\n",
        "broken": "a: [\n",
        "tag": "a: !!python/object/apply:os.system [true]\n",
    }.items():
        (tmp_path / name).write_text(text)
        with pytest.raises(ConfigError, match=name):
            configs.read(tmp_path / name)
    with pytest.raises(ConfigError, match="absent"):
        configs.read(tmp_path / "absent")


# --- what a resolved config holds

CHOICES = {"some": {"policy": "all"}, "dense": {"policy": "count", "count": 9}}
SOURCES = {"stills": {"kind": "fer2013", "path": "x.zip"}, "speech": {"kind": "ravdess", "path": "speech"}}


def test_presets_that_are_named_are_kept():
    raw = changed("decode", CHOICES)
    raw["faces"] = {"main": {"detector": "mtcnn", "decode": "dense"}, "other": {"detector": "mtcnn", "decode": "some"}}
    raw["backbones"]["face"]["faces"] = "other"
    raw["backbones"]["voice"]["decode"] = "dense"
    config = configs.parse(raw)
    assert {name: block.decode for name, block in config.faces.items()} == {"main": "dense", "other": "some"}
    assert config.backbones["face"].faces == "other" and config.backbones["face"].decode is None
    assert config.backbones["voice"].decode == "dense" and config.backbones["voice"].faces is None


@pytest.mark.parametrize(
    ("path", "value", "message"),
    [
        (
            "faces/main/decode",
            ...,
            "faces.main.decode is not set. It may be omitted only if there is one decode pr",
        ),
        ("backbones/face/faces", ..., "backbones.face.faces is not set. It may be omitted only if there is one faces"),
        ("backbones/voice/decode", ..., "backbones.voice.decode is not set. It may be omitted only if there is one de"),
        ("backbones/voice/decode", "sparse", "backbones.voice.decode is 'sparse', which does not exist. Known names:"),
        (
            "backbones/face/faces",
            "mian",
            "backbones.face.faces is 'mian', which does not exist. Known names: main, o",
        ),
    ],
)
def test_a_preset_is_asked_for_by_its_key(path, value, message):
    base = changed("decode", CHOICES)
    base["faces"] = {"main": {"detector": "mtcnn", "decode": "dense"}, "other": {"detector": "mtcnn", "decode": "some"}}
    base["backbones"]["face"]["faces"], base["backbones"]["voice"]["decode"] = "main", "some"
    *parents, key = path.split("/")
    block = base
    for parent in parents:
        block = block[parent]
    block.pop(key, None)
    if value is not ...:
        block[key] = value
    with pytest.raises(ConfigError) as caught:
        configs.parse(base)
    assert str(caught.value).startswith(message) and len(str(caught.value).splitlines()) == 1


def test_names_of_weights_become_paths():
    raw = changed("faces", {"main": {"detector": "yunet", "options": {"weights": "yunet.onnx", "pad": 0}}})
    raw["backbones"] = {
        "face": {"kind": "expression", "weights": "expression", "views": ["flip"]},
        "voice": {"kind": "speech", "weights": "speech_logmel"},
    }
    config = configs.parse(raw)
    assert config.faces["main"].options == {"weights": "yunet.onnx", "pad": 0}
    face, voice = config.backbones["face"], config.backbones["voice"]
    assert face.weights.endswith(".safetensors") and Path(face.weights).is_file() and face.views == ["flip"]
    assert Path(voice.weights).is_file() and voice.weights != face.weights
    assert voice.options["spectrum"]["kind"] == "logmel"  # comes with the weights


def test_a_detectors_weights_may_be_named_by_the_registry(monkeypatch, tmp_path):
    monkeypatch.setenv("EMOPIPE_WEIGHTS", str(tmp_path))
    raw = changed("faces", {"main": {"detector": "scrfd", "options": {"weights": "scrfd_2g5"}}})
    found = configs.parse(raw).faces["main"].options["weights"]
    assert found.endswith(".onnx") and Path(found).is_absolute()


def test_a_network_after_a_colon_becomes_an_option():
    block = configs.parse(changed("backbones/face", {"kind": "timm:resnet18", "pretrain": {}})).backbones["face"]
    assert (block.kind, block.options) == ("timm", {"name": "resnet18"})


@pytest.mark.parametrize(
    ("path", "value", "message"),
    [
        ("faces/main", {"detector": "scrfd", "options": {"weights": "no_such"}}, "faces.main.options.weights"),
        ("backbones/face", {"kind": "onnx", "options": {"weights": "no_such"}}, "backbones.face.options.weights"),
    ],
)
def test_weights_among_the_options_are_asked_for_by_their_key(path, value, message):
    with pytest.raises(EmopipeError) as caught:
        configs.parse(changed(path, value))
    assert str(caught.value).startswith(message)


def phase(**more):
    return {"sources": ["stills"], "epochs": 1, **more}


def test_a_schedule_is_checked_against_the_network_and_the_sources():
    def parse(block):
        raw = changed("backbones/face", {"kind": "expression", "schedule": [block]})
        return configs.parse(raw | {"sources": SOURCES})

    config = parse(phase(taught=0.5, teacher="average"))  # an old name
    (checked,) = config.backbones["face"].schedule
    assert checked == {"sources": ["stills"], "epochs": 1, "distill_weight": 0.5, "teacher": "average"}
    with pytest.raises(ConfigError, match=r"backbones\.face\.schedule\.0\.sources is 'no'.*stills, speech"):
        parse(phase(sources=["no"]))
    with pytest.raises(ConfigError, match=r"Unknown key backbones\.face\.schedule\.0\.augment\.freq_masks"):
        parse(phase(augment={"freq_masks": 1}))
    with pytest.raises(ConfigError, match=r"speech"):
        parse(phase(sources=["speech"]))


@pytest.mark.parametrize(
    ("more", "message"),
    [
        ({"schedule": [phase()]}, "backbones.face.schedule is set, but a network of kind onnx cannot be trained. Remo"),
        (
            {"weights": "other.onnx"},
            "backbones.face.weights is set, but a network of kind onnx is already trained: its kind and "
            "backbones.face.options name it. Remove weights.",
        ),
        (
            {"precision": "bfloat16"},
            "backbones.face.precision is bfloat16, but networks of the kind onnx are not run by torch, so their "
            "precision is that of their file. Remove the key.",
        ),
    ],
)
def test_a_network_that_is_not_trained_here_takes_no_keys_of_torch(more, message):
    raw = changed("backbones/face", {"kind": "onnx", "options": {"weights": "x.onnx"}, **more}) | {"sources": SOURCES}
    with pytest.raises(ConfigError) as caught:
        configs.parse(raw)
    assert message in str(caught.value)


def test_the_demo_needs_no_corpus_root():
    raw = changed("corpus/kind", "demo")
    del raw["corpus_root"]
    assert configs.parse(raw).corpus.kind == "demo"


def test_views_and_the_protocol_count_for_a_models_options():
    raw = changed("models/face_one", {"streams": ["face"], "augment": True})
    raw["backbones"]["face"]["views"] = ["flip"]
    assert configs.parse(raw).models["face_one"].augment
    raw = changed("models/face_one/early_stopping", {"watch": "val"})
    assert configs.parse(raw).models["face_one"].early_stopping.watch == "val"
    with pytest.raises(ConfigError, match=r"^models\.face_one"):
        configs.parse(raw | {"protocol": {"kind": "kfold"}})

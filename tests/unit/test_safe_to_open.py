"""Nothing that is loaded can run code or reach other files: hostile weights, checkpoints, networks, YAML, names."""

import functools
import io
import os
import pickle
import re
import zipfile

import joblib
import numpy as np
import onnx
import pandas as pd
import pytest
import torch
from onnx import TensorProto, helper, numpy_helper
from snakemake.common.configfile import load_configfile
from snakemake.exceptions import WorkflowError
from typer.testing import CliRunner

from emopipe import corpora
from emopipe.backbones import registry
from emopipe.cache.store import Reader
from emopipe.commands.main import app
from emopipe.core.errors import CacheError, ConfigError, CorpusError, DamagedCacheError, WeightsError
from emopipe.core.labels import CLASSES
from emopipe.core.log import LOGGER
from emopipe.corpora.table import check, from_rows
from emopipe.faces import detectors
from emopipe.report import figures, submission, writing
from emopipe.training import curves, sharded_images
from emopipe.workflow import config as configs
from tests.unit.test_pretraining_augment import GEOMETRY, picture, stills
from tests.unit.test_pretraining_trainer import keep, trainer


class Malice:
    """Makes a folder when it is unpickled."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return os.mkdir, (str(self.path),)


@pytest.fixture
def harm(tmp_path):
    """A folder that only the execution of hostile code can make."""
    path = tmp_path / "harm"
    yield path
    assert not path.exists()


def test_the_malice_would_work(tmp_path):
    pickle.loads(pickle.dumps(Malice(tmp_path / "harm")))
    assert (tmp_path / "harm").is_dir()


# --- weights and checkpoints


@pytest.mark.slow
@pytest.mark.parametrize("how", ["torch", "old torch", "pickle", "joblib"])
@pytest.mark.parametrize("name", ["net.pt", "net.pth", "net.bin", "net.safetensors", "net"])
def test_weights_that_are_a_pickle_are_refused(tmp_path, harm, how, name):
    content = {"norm.weight": Malice(harm)}
    path = tmp_path / name
    if how == "pickle":
        path.write_bytes(pickle.dumps(content))
    elif how == "joblib":
        joblib.dump(content, path)
    else:
        torch.save(content, path, _use_new_zipfile_serialization=how == "torch")
    options = registry.options_class("expression").model_validate({})
    network = registry.build("expression", options)
    with pytest.raises(WeightsError, match=r"it is not opened|cannot be read"):
        registry.load("expression", options, network, path)


def test_networks_in_onnx_are_not_unpickled(tmp_path, harm):
    path = tmp_path / "net.onnx"
    torch.save({"x": Malice(harm)}, path)
    for build in (
        onnx_backbone,
        lambda weights: detector("scrfd", weights),
        lambda weights: detector("yunet", weights),
    ):
        with pytest.raises(WeightsError, match="cannot be read as an ONNX network"):
            build(path)


@pytest.mark.parametrize("content", ["hostile", "damaged", "no checkpoint"])
def test_a_hostile_or_damaged_checkpoint_is_not_taken_up(tmp_path, harm, caplog, monkeypatch, content):
    monkeypatch.setattr(LOGGER, "propagate", True)
    path = tmp_path / "checkpoint.pt"
    keep({"recipe": "a recipe", "model": Malice(harm)} if content == "hostile" else [1], path)
    if content == "damaged":
        path.write_bytes(path.read_bytes()[:100])
    trained = trainer(tmp_path, epochs=1)
    trained.run()
    assert len(trained.history) == 1
    assert "checkpoint.pt is not a usable checkpoint (" in caplog.text and "so training starts again" in caplog.text


def test_arrays_of_objects_are_not_unpickled(tmp_path, harm):
    path = tmp_path / "pixels.npy"
    np.save(path, np.array([Malice(harm)], object), allow_pickle=True)
    path.with_suffix(".readable").write_bytes(b"\1")
    with pytest.raises(DamagedCacheError, match=r"does not hold an array of images: .*Python objects in dtype"):
        sharded_images.prepare(stills(picture()), GEOMETRY, None, path)


def test_a_cache_file_that_is_a_pickle_is_refused(tmp_path, harm):
    (tmp_path / "00.h5").write_bytes(pickle.dumps(Malice(harm)))
    with pytest.raises(CacheError, match="is not a whole cache file"):
        Reader(tmp_path / "00.h5")


# --- networks that read other files


def net(folder, place):
    """A network whose weights lie in another file."""
    weight = numpy_helper.from_array(np.zeros((1, 3), np.float32), "w")
    onnx.external_data_helper.set_external_data(weight, place)
    weight.ClearField("raw_data")
    nodes = [helper.make_node("ReduceMean", ["x"], ["m"], axes=[2, 3], keepdims=0)]
    nodes += [helper.make_node("Mul", ["m", "w"], ["y"])]
    shapes = [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["n", 3, 4, 4])]
    outputs = [helper.make_tensor_value_info("y", TensorProto.FLOAT, ["n", 3])]
    model = helper.make_model(
        helper.make_graph(nodes, "net", shapes, outputs, [weight]),
        opset_imports=[helper.make_opsetid("", 13)],
        ir_version=8,
    )
    folder.mkdir(exist_ok=True)
    (folder / "net.onnx").write_bytes(model.SerializeToString())
    return folder / "net.onnx"


def onnx_backbone(path):
    return registry.build("onnx", registry.options_class("onnx").model_validate({"weights": str(path), "size": 4}))


def detector(kind, path):
    return detectors.build(kind, detectors.options_class(kind).model_validate({"weights": str(path)}))


OPENERS = {
    "backbone": onnx_backbone,
    "scrfd": functools.partial(detector, "scrfd"),
    "yunet": functools.partial(detector, "yunet"),
}


@pytest.mark.parametrize("place", ["../secret", "{absolute}", "inner/../../secret", "link"])
@pytest.mark.parametrize("build", OPENERS.values(), ids=OPENERS)
def test_networks_keep_to_their_own_folder(tmp_path, build, place):
    secret = tmp_path / "secret"
    secret.write_bytes(np.zeros(3, np.float32).tobytes())
    path = net(tmp_path / "net", place.format(absolute=secret))
    (tmp_path / "net/link").symlink_to(secret)
    with pytest.raises(WeightsError, match=r"net\.onnx stores .*'w' in .* outside its own folder\. .*refused\. Use"):
        build(path)


@pytest.mark.parametrize("kind", ["scrfd", "yunet"])
def test_all_files_of_a_detectors_network_are_known(tmp_path, kind):
    path = net(tmp_path, "w.bin")
    options = detectors.options_class(kind).model_validate({"weights": str(path)})
    with pytest.raises(WeightsError, match=r"stores its tensor 'w' in .*w\.bin, and that file does not exist"):
        detectors.net_files(kind, options)
    (tmp_path / "w.bin").write_bytes(np.zeros(3, np.float32).tobytes())
    assert detectors.net_files(kind, options) == [path, tmp_path / "w.bin"]


# --- YAML


TAGS = [
    "!!python/object/apply:os.mkdir [{harm}]",
    "!!python/object/new:os.mkdir [{harm}]",
    "!!python/name:os.mkdir",
    "!!python/module:os",
    "!!python/object/apply:subprocess.Popen [[mkdir, {harm}]]",
]


@pytest.mark.parametrize("tag", TAGS)
def test_a_config_cannot_run_code(tmp_path, harm, tag):
    path = tmp_path / "config.yaml"
    path.write_text(f"run: {tag.format(harm=harm)}\n")
    with pytest.raises(
        ConfigError,
        match=r"config\.yaml is not valid YAML in line 1, column 6: could not determine a constructor for the tag",
    ):
        configs.read(path)
    with pytest.raises((ConfigError, WorkflowError)):  # as `--configfile` reads it, which takes names, but calls none
        configs.parse(load_configfile(str(path)))
    told = CliRunner().invoke(app, ["check", str(path)])
    assert told.exit_code == 1 and "could not determine a constructor" in told.output
    told = CliRunner().invoke(
        app, ["pretrain", str(path), "--data", str(tmp_path), "--out", str(tmp_path / "net.safetensors")]
    )
    assert told.exit_code == 1 and "could not determine a constructor" in told.output


@pytest.mark.parametrize("tag", TAGS)
def test_an_option_cannot_run_code(harm, tmp_path, tag):
    arguments = [
        "evaluate",
        "expression",
        "--corpus",
        f"folder:{tmp_path}",
        "--option",
        f"labels={tag.format(harm=harm)}",
    ]
    told = CliRunner().invoke(app, arguments)
    assert told.exit_code == 1 and "is not YAML" in told.output


# --- names that somebody renders


SCRIPT = "<script>alert(1)</script>"
HOSTILE = [
    SCRIPT,
    "<img src=x onerror=alert(1)>",
    "[here](javascript:alert(1))",
    "![](http://a.org/x.png)",
    "`code`",
    "a|b",
    "a\n# b",
    "\\| <b>",
    "[/red]",
    "$x^2$",
    "**bold**",
]


def test_a_class_that_is_html_is_refused_by_name(tmp_path):
    folder = tmp_path / "corpus/train" / SCRIPT.replace("/", "")
    folder.mkdir(parents=True)
    (folder / "a.mp4").touch()
    with pytest.raises(CorpusError, match=re.escape(f"class {SCRIPT.replace('/', '')!r} of the clip")):
        corpora.scan("folder", tmp_path / "corpus", corpora.options_class("folder").model_validate({}))


@pytest.mark.slow
@pytest.mark.parametrize("name", HOSTILE)
@pytest.mark.parametrize("key", ["run", "models", "backbones", "ensembles", "decode", "corpus"])
def test_names_of_a_config_are_plain(name, key):
    raw = {
        "run": "x",
        "corpus": {"name": "x", "kind": "demo"},
        "decode": {"x": {"policy": "all"}},
        "backbones": {"voice": {"kind": "audio_alexnet", "pretrain": {}}},
        "models": {"audio_voice": {"streams": ["voice"]}},
    }
    configs.parse(raw)
    inner = {"models": {"streams": ["voice"]}, "backbones": raw["backbones"]["voice"], "decode": {"policy": "all"}}
    raw[key] = name if key == "run" else {**raw[key], "name": name} if key == "corpus" else {name: inner.get(key, {})}
    with pytest.raises(ConfigError, match="would become part of file names"):
        configs.parse(raw)


@pytest.mark.parametrize("text", HOSTILE)
def test_tables_show_names_as_they_are(text):
    """A weights' path is of the user's choice, and stands in a note of the table of results."""
    table = pd.DataFrame([{"ensemble": text, "method": "mean", "member": "x", "weight": 1.0, "temperature": 1.0,
                           "oof_accuracy": 0.5, "oof_loss": 1.0}])  # fmt: skip
    shown = writing.markdown("ensembles", table, {"run": "x"}).splitlines()[4]
    assert shown.startswith("| ") and shown.endswith(" | mean | x | 1.000 | 1.00 | 50.0 | 1.000 |")
    cell = shown.removeprefix("| ").partition(" | mean")[0]
    assert re.sub(r"\\(.)", r"\1", cell) == " ".join(text.splitlines())  # what Markdown makes of it
    bare = re.sub(r"\\.", "", cell)
    assert not set("<|`*") & set(bare) and "](" not in bare


@pytest.mark.slow
@pytest.mark.parametrize("title", ["$x^2$", "$\\frac{<b>|\n`$", "[/red] $"])
def test_pictures_show_names_as_they_are(tmp_path, title):
    """matplotlib would read dollars as formulas, and fail on most of them."""
    counts = pd.DataFrame(np.eye(len(CLASSES), dtype=int), CLASSES, CLASSES)
    figures.confusion_matrix(counts, title, tmp_path / "confusion.png")
    figures.confusion_matrix(counts, "x", tmp_path / "other.png")
    curves.plot_history([{"epoch": 1, "loss": 1.0}], title, tmp_path / "curve.png")
    assert (tmp_path / "confusion.png").read_bytes() != (tmp_path / "other.png").read_bytes()


def test_names_of_clips_stay_in_the_submission(tmp_path):
    """A zip whose members begin with ../ would be unpacked elsewhere."""
    (tmp_path / "a.mp4").touch()
    table = check(from_rows([{"clip": "../../a", "path": "a.mp4", "split": "test", "label": ""}]), tmp_path)
    submission.write(table.assign(pred="Happy"), tmp_path / "submission.zip")
    with zipfile.ZipFile(io.BytesIO((tmp_path / "submission.zip").read_bytes())) as archive:
        assert archive.namelist() == ["..%2F..%2Fa.txt"]

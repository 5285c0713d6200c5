"""The command line, as the docs use it."""

import re
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from typer.testing import CliRunner

import emopipe
from emopipe.commands import inspect
from emopipe.commands.main import EXAMPLES, INTERRUPTED, app
from emopipe.core.errors import CacheError
from emopipe.core.labels import CLASSES
from emopipe.workflow import config as configs
from emopipe.workflow.config import Config
from tests.conftest import too_many_open_files
from tests.unit.test_store import write

REPOSITORY = Path(__file__).parents[2]


def run(*arguments):
    return CliRunner().invoke(app, list(map(str, arguments)), env={"COLUMNS": "300"})


def test_without_arguments_it_shows_its_help():
    assert run().output.strip() == run("--help").output.strip()
    assert "Usage:" in run().output and "snakemake --cores" in run().output


@pytest.mark.slow
@pytest.mark.parametrize("command", EXAMPLES)
def test_every_subcommand_is_explained_by_an_example(command):
    result = run(command, "--help")
    assert result.exit_code == 0 and f"Example: emopipe {command} " in result.output


def test_every_file_of_a_command_is_a_command():
    files = {path.stem.replace("_", "-") for path in (REPOSITORY / "emopipe/commands").glob("[a-z]*.py")}
    assert files - {"main"} == set(EXAMPLES)


def test_the_help_has_the_first_line_of_each_command():
    shown = run("--help").output
    lines = {name: rest.strip() for name, _, rest in (line.strip().partition(" ") for line in shown.splitlines())}
    assert lines["run"].startswith("Run the workflow in the current folder")
    assert lines["weights"] == "List, show, download and verify the weights of the registry."
    assert all(lines[name] for name in EXAMPLES)


@pytest.mark.slow
@pytest.mark.parametrize("option", ["--help", "--version"])
def test_help_imports_neither_torch_nor_rich_nor_the_commands(option):
    code = f"import sys; from emopipe.commands.main import app\ntry: app(['{option}'])\nfinally: print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=REPOSITORY)
    loaded = done.stdout.splitlines()[-1].split()
    heavy = {"torch", "numpy", "pandas", "snakemake", "pydantic", "rich", "yaml", "h5py", "cv2", "av", "onnxruntime"}
    assert not heavy & set(loaded)
    ours = {name for name in loaded if name.startswith("emopipe.commands.")}
    assert ours == {"emopipe.commands.main"}


def test_version():
    assert run("--version").output == f"emopipe {emopipe.__version__}\n"


def test_a_mistyped_command_gets_a_suggestion():
    result = run("verfy", "cache")
    assert result.exit_code == 2 and "Did you mean 'verify'?" in result.output


def test_the_shell_can_complete_commands(monkeypatch):
    monkeypatch.setenv("_EMOPIPE_COMPLETE", "complete_bash")
    monkeypatch.setenv("COMP_WORDS", "emopipe ver")
    monkeypatch.setenv("COMP_CWORD", "1")
    result = CliRunner().invoke(app, [], prog_name="emopipe")
    assert result.output.split() == ["verify"]
    assert "--install-completion" in run("--help").output


@pytest.fixture
def failing(monkeypatch):
    """Make `emopipe inspect FILE` raise an exception."""
    monkeypatch.setenv("EMOPIPE_DEBUG", "")

    def fail_with(error):
        def fail(file):
            raise error

        monkeypatch.setattr(inspect, "_read", fail)

    return fail_with


def test_an_error_is_its_message_alone(failing):
    failing(CacheError("The file is odd. Delete it."))
    result = run("inspect", "x.h5")
    assert result.exit_code == 1 and result.output == "The file is odd. Delete it.\n"


def test_a_fault_of_the_package_is_a_line_and_a_hint(failing):
    failing(KeyError("clips"))
    result = run("inspect", "x.h5")
    assert result.exit_code == 1
    assert result.output == "KeyError: 'clips'\nThis is a fault of emopipe. Add --debug to see the traceback.\n"


@pytest.mark.parametrize("words", [["--debug", "inspect", "x.h5"], ["inspect", "x.h5", "--debug"]])
@pytest.mark.parametrize("error", [CacheError("The file is odd."), KeyError("clips")])
def test_debug_lets_the_traceback_through(failing, words, error):
    failing(error)
    assert run(*words).exception is error


def test_ctrl_c_is_one_sentence(failing):
    failing(KeyboardInterrupt())
    result = run("inspect", "x.h5")
    assert result.exit_code == 130
    assert result.output.strip() == INTERRUPTED


def test_check(tmp_path):
    result = run("check", REPOSITORY / "configs/smoke.yaml")
    assert result.exit_code == 0 and "is valid: run smoke" in result.output
    (tmp_path / "bad.yaml").write_text(yaml.safe_dump({"run": "x", "shrads": 3}))
    result = run("check", tmp_path / "bad.yaml")
    assert result.exit_code == 1
    assert "Unknown key shrads" in result.output and "Did you mean 'shards'?" in result.output
    assert "Traceback" not in result.output


@pytest.mark.parametrize("config", sorted(REPOSITORY.glob("configs/*.yaml")), ids=lambda path: path.stem)
def test_shipped_configs_need_a_corpus_alone(config):
    configs.parse({"corpus_root": "/data", **configs.read(config)})


@pytest.mark.slow
def test_check_looks_at_the_corpus(tmp_path):
    config = REPOSITORY / "configs/folder.yaml"
    result = run("check", config, "--corpus-root", tmp_path / "none")
    assert result.exit_code == 1 and f"The corpus folder {tmp_path / 'none'} does not exist" in result.output
    for number, label in enumerate(CLASSES * 10):
        clip = tmp_path / label / f"clip_{number:02d}.mp4"
        clip.parent.mkdir(exist_ok=True)
        clip.touch()
    result = run("check", config, "--corpus-root", tmp_path)
    assert result.exit_code == 0, result.output
    rule = r"(\d+) of 70 clips become val \(drawn from each class by val_fraction: 0\.2, seed: 0\)\."
    count = re.search(rf"^The corpus has no val split of its own: {rule}$", result.output, re.M)[1]
    assert (
        f"is valid: run mine, models face_only, audio_only, fused_both, clips {70 - int(count)} train, {count} val."
        in (result.output)
    )


def test_the_demo_config():
    result = run("check", REPOSITORY / "config.yaml")
    assert result.exit_code == 0 and "clips 35 train, 14 val, 7 test." in result.output


@pytest.mark.slow
def test_config_keys_lists_them_all():
    output = run("config-keys").output
    inner = (
        "backbones.<name>.pretrain.epochs",
        "models.<name>.streams",
        "decode.<name>.fps",
        "comparisons.<number>.aim",
    )
    for key in (*Config.model_fields, *inner):
        assert key in output
    assert 'device  (auto | cpu | cuda; default: "auto")' in output
    assert "shards  (integer, at least 1, at most 99999 or null; default: null)" in output


@pytest.mark.slow
def test_config_keys_with_a_part_of_their_names():
    lines = run("config-keys", "Smooth").output.splitlines()
    keys = [line.split()[0] for line in lines if "; default: " in line]
    assert "models.<name>.label_smoothing" in keys and "label_smoothing" in keys
    assert all("smooth" in key for key in keys)
    assert not any(line.startswith("corpus.options") for line in lines)
    result = run("config-keys", "no_such_key")
    assert result.exit_code == 1 and result.output.startswith("No key contains 'no_such_key'.")


def test_inspect(tmp_path):
    result = run("inspect", write(tmp_path / "a.h5"))
    assert result.exit_code == 0
    assert "recipe_digest: " in result.output and "'no_face': 1" in result.output
    (tmp_path / "b.h5").write_text("no")
    result = run("inspect", tmp_path / "b.h5")
    assert result.exit_code == 1 and "is not a cache file" in result.output
    result = run("inspect", tmp_path)
    assert result.exit_code == 1
    assert result.output.startswith(f"{tmp_path} is a folder, expected a cache file (.h5). Name a file such as ")
    result = run("inspect", tmp_path / "none.h5")
    assert result.exit_code == 1
    assert result.output.startswith(f"{tmp_path / 'none.h5'} does not exist. Name a file such as ")
    with too_many_open_files():
        result = run("inspect", tmp_path / "a.h5")
    assert result.exit_code == 1
    assert result.output == f"{tmp_path / 'a.h5'} cannot be read (Too many open files). Correct this, then try again.\n"

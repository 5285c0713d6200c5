"""The command line, as the docs use it."""

import re
from pathlib import Path

import pytest
import yaml
from typer.testing import CliRunner

from emopipe.commands.main import app
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


@pytest.mark.parametrize("command", [command.name or command.callback.__name__ for command in app.registered_commands])
def test_every_subcommand_is_explained_by_an_example(command):
    result = run(command, "--help")
    assert result.exit_code == 0 and f"Example: emopipe {command} " in result.output


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

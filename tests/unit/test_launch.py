"""`emopipe run`: Snakemake's command line, from a checkout, another folder and an installed package."""

import subprocess
import sys
from pathlib import Path

import pytest
from snakemake.cli import get_argument_parser
from snakemake.profiles import ProfileConfigFileParser
from typer.testing import CliRunner

from emopipe.commands import run as command
from emopipe.commands.main import app
from emopipe.core.errors import ConfigError
from emopipe.core.log import INTERRUPTED
from emopipe.workflow import launch
from tests.pages import REPOSITORY

SNAKEMAKE = [sys.executable, "-m", "emopipe.workflow.snakemake_process"]
OURS = ["--snakefile", str(REPOSITORY / "Snakefile"), "--workflow-profile", str(REPOSITORY / "profiles/default")]


@pytest.fixture(autouse=True)
def no_profile(monkeypatch):
    monkeypatch.delenv("SNAKEMAKE_PROFILE", raising=False)


def arguments(*given, folder):
    made = launch.command(given, folder)
    assert made[:3] == SNAKEMAKE
    return made[3:]


def test_snakefile_profile_and_cores_are_added(tmp_path):
    assert arguments("-n", folder=tmp_path) == [*OURS, "--cores", "all", "-n"]


@pytest.mark.parametrize(
    "limit", ["--cores 2", "--cores=2", "-c 2", "-c2", "-j 4", "--jobs 4", "--profile mine", "--executor slurm"]
)
def test_the_users_limit_is_kept(tmp_path, limit):
    assert arguments(*limit.split(), folder=tmp_path) == [*OURS, *limit.split()]


def test_a_profile_of_the_environment_is_kept(tmp_path, monkeypatch):
    monkeypatch.setenv("SNAKEMAKE_PROFILE", "mine")
    assert arguments("-n", folder=tmp_path) == [*OURS, "-n"]


def test_another_profile_or_snakefile_is_kept(tmp_path):
    given = ["--workflow-profile", "slurm"]
    assert arguments(*given, folder=tmp_path) == [*OURS[:2], *given]
    given = ["-s", "Mine", "--cores", "1"]
    assert arguments(*given, folder=tmp_path) == given


def test_a_shipped_config_by_its_name(tmp_path):
    smoke = str(REPOSITORY / "configs/smoke.yaml")
    for given in (["--configfile", "smoke"], ["--configfiles", "smoke"]):
        assert arguments(*given, "-n", folder=tmp_path)[-3:] == [given[0], smoke, "-n"]
    assert arguments("--configfile=smoke", folder=tmp_path)[-1] == f"--configfile={smoke}"


def test_a_file_goes_before_a_name(tmp_path):
    (tmp_path / "smoke").write_text("run: mine")
    (tmp_path / "mine.yaml").write_text("run: mine")
    given = ["--configfile", "smoke", "mine.yaml", "-n"]
    assert arguments(*given, folder=tmp_path)[-4:] == given


def test_names_of_other_options_are_left_alone(tmp_path):
    given = ["extract", "--configfile", "smoke", "--config", "run=afew"]
    assert arguments(*given, folder=tmp_path)[-3:] == [str(REPOSITORY / "configs/smoke.yaml"), *given[-2:]]


def test_an_unknown_config_is_refused(tmp_path):
    with pytest.raises(ConfigError, match=r"no config smok: .*Check the path, or use one of these names: afew.*smoke"):
        launch.command(["--configfile", "smok"], tmp_path)
    result = CliRunner().invoke(app, ["run", "--configfile", "../smoke.yaml"])
    assert result.exit_code == 1 and "There is no config ../smoke.yaml" in result.output


def test_a_config_may_be_the_first_argument(tmp_path):
    smoke = f"--configfile={REPOSITORY / 'configs/smoke.yaml'}"
    (tmp_path / "mine.yaml").write_text("run: mine")
    assert arguments("smoke", "-n", folder=tmp_path)[-2:] == [smoke, "-n"]
    assert arguments("smoke", "extract", "--cores", "2", folder=tmp_path) == [*OURS, smoke, "extract", "--cores", "2"]
    assert arguments("mine.yaml", folder=tmp_path)[-1] == "--configfile=mine.yaml"
    assert arguments(str(tmp_path / "mine.yaml"), folder=REPOSITORY)[-1] == f"--configfile={tmp_path / 'mine.yaml'}"


def test_of_a_config_and_a_target_snakemake_takes_the_target(tmp_path):
    """After `--configfile smoke`, it would take the target for one more config."""
    words = arguments("smoke", "extract", "--config", "run=x", "-n", folder=tmp_path)
    known = get_argument_parser().parse_args(words)
    assert list(known.targets) == ["extract"] and [path.name for path in known.configfile] == ["smoke.yaml"]


@pytest.mark.parametrize("target", ["extract", "all", "results/mine/summary.md", "summary.md"])
def test_targets_are_no_configs(tmp_path, target):
    assert arguments(target, "-n", folder=tmp_path)[-2:] == [target, "-n"]
    assert arguments(target, "--configfile", "smoke", folder=tmp_path)[-3] == target


def test_a_word_is_a_target_of_the_users_own_snakefile(tmp_path):
    assert arguments("mine", "-s", "Mine", folder=tmp_path)[-3:] == ["mine", "-s", "Mine"]


def test_two_configs_are_refused(tmp_path):
    with pytest.raises(ConfigError, match=r"Both smoke and --configfile are given\. Expected one config\. Remove one"):
        launch.command(["smoke", "-n", "--configfile=afew"], tmp_path)


@pytest.mark.parametrize("given", ["smok", "smok.yaml", "configs/smok.yml"])
def test_an_unknown_first_argument_is_refused(tmp_path, given):
    with pytest.raises(ConfigError, match=rf"There is no config {given}: it is neither a file .*afew.*smoke"):
        launch.command([given, "-n"], tmp_path)


def test_a_config_that_is_not_yaml_is_refused_before_snakemake_starts(tmp_path):
    (tmp_path / "mine.yaml").write_text("run: mine\nrun: yours\n")
    for given in (["mine.yaml"], ["--configfile", "mine.yaml"], ["--configfile=mine.yaml"]):
        with pytest.raises(ConfigError, match=r"mine\.yaml is not valid YAML in line 2, column 1: the key 'run' is"):
            launch.command(given, tmp_path)


@pytest.mark.parametrize(
    ("given", "taken", "remedy"),
    [
        ("--configfile smoke extract", "extract, which follows --configfile smoke, for one more config", "extract"),
        (
            "-n --configfiles smoke results/r/a.csv -q",
            "results/r/a.csv, which follows --configfiles",
            "results/r/a.csv",
        ),
        ("--configfile smoke afew all", "all, which follows --configfile smoke, for one more config", "all"),
        ("--config run=x all --configfile smoke", "all, which follows --config run=x, for one more key", "all"),
    ],
)
def test_a_target_that_snakemake_would_take_for_something_else_is_refused(tmp_path, given, taken, remedy):
    with pytest.raises(ConfigError, match=f"Snakemake takes {taken}.*Expected targets before .* write {remedy} --conf"):
        launch.command(given.split(), tmp_path)


@pytest.mark.parametrize(
    "given",
    ["extract --configfile smoke", "--configfile=smoke extract", "--configfile smoke -- extract",
     "--configfile smoke -n extract", "--configfile smoke afew", "--config run=x corpus_root=y"],
)  # fmt: skip
def test_targets_and_configs_in_other_orders_are_accepted(tmp_path, given):
    launch.command(given.split(), tmp_path)


# What Snakemake itself is given: the profiles call `refuse_misread` before Snakemake reads a config.


def misread(words, folder, monkeypatch):
    monkeypatch.chdir(folder)
    with pytest.raises(SystemExit) as caught:
        launch.refuse_misread(words.split())
    return caught.value.code


@pytest.mark.parametrize("option", ["--configfile", "--configfiles"])
def test_what_snakemake_would_misread_is_a_sentence(tmp_path, monkeypatch, option):
    (tmp_path / "a.yaml").write_text("run: mine\n")
    (tmp_path / "twice.yaml").write_text("models: {}\nrun: mine\nmodels: {}\n")
    (tmp_path / "twice.json").write_text('{"run": "a",\n"run": "b"}')
    (tmp_path / "wide.yml").write_bytes("run: mine\n".encode("utf-16"))
    (tmp_path / "narrow.yaml").write_bytes("# Größe\nrun: mine\n".encode("latin-1"))
    (tmp_path / "table.csv").write_text("a,b\n")
    said = misread(f"{option} a.yaml extract -n", tmp_path, monkeypatch)
    assert said == (
        f"Snakemake takes extract, which follows {option} a.yaml, for one more config. Expected targets before the "
        f"options: write extract {option} a.yaml."
    )
    assert "Snakemake takes table.csv" in misread(f"-c1 {option} a.yaml table.csv", tmp_path, monkeypatch)
    assert "in line 3, column 1: the key 'models' is" in misread(f"{option} twice.yaml", tmp_path, monkeypatch)
    assert "in line 2, column 1: the key 'run' is" in misread(f"{option}=twice.json -n", tmp_path, monkeypatch)
    assert "wide.yml is UTF-16. Expected UTF-8." in misread(f"{option} a.yaml wide.yml", tmp_path, monkeypatch)
    assert "narrow.yaml is not UTF-8" in misread(f"all {option} narrow.yaml", tmp_path, monkeypatch)
    assert "for one more key" in misread("--config run=x extract", tmp_path, monkeypatch)


@pytest.mark.parametrize(
    "words",
    ["", "-n", "extract --configfile a.yaml", "--configfile a.yaml b.yaml -n extract", "--configfile=a.yaml extract",
     "--configfile a.yaml -- extract", "--configfile absent.yaml", "--config a=1 b=c", "--cores 2 extract"],
)  # fmt: skip
def test_other_command_lines_are_left_to_snakemake(tmp_path, monkeypatch, words):
    for name in "ab":
        (tmp_path / f"{name}.yaml").write_text("run: mine\n")
    monkeypatch.chdir(tmp_path)
    launch.refuse_misread(words.split())


@pytest.mark.parametrize("name", ["default", "slurm"])
def test_the_profiles_call_it(tmp_path, monkeypatch, name):
    """As Snakemake reads a profile: the options stay, and the sentence ends the process."""
    (tmp_path / "wide.yaml").write_bytes("run: mine\n".encode("utf-16"))
    monkeypatch.chdir(tmp_path)
    with (REPOSITORY / f"profiles/{name}/profile.yaml").open() as file:
        monkeypatch.setattr(sys, "argv", ["snakemake", "-n"])
        options = ProfileConfigFileParser().parse(file)
        assert options["rerun-triggers"] == ["mtime", "params", "input"] and not {"sys", "__use_yte__"} & {*options}
        file.seek(0)
        monkeypatch.setattr(sys, "argv", ["snakemake", "--configfile", "wide.yaml"])
        with pytest.raises(SystemExit, match="is UTF-16"):
            ProfileConfigFileParser().parse(file)


def test_a_checkout_uses_its_own_files(tmp_path):
    (tmp_path / "workflow_scripts").mkdir()
    (tmp_path / "Snakefile").touch()
    assert launch.files(tmp_path) == tmp_path
    assert launch.files(tmp_path / "workflow_scripts") == REPOSITORY


def test_an_installed_package_uses_the_files_in_it(tmp_path, monkeypatch):
    monkeypatch.setattr(launch, "INSTALLED", tmp_path)
    assert launch.files(Path("/")) == tmp_path


def test_the_command_becomes_snakemake(monkeypatch, tmp_path):
    made = []
    monkeypatch.setattr(command.os, "execv", lambda program, words: made.append((program, words)))
    monkeypatch.chdir(tmp_path)
    result = CliRunner().invoke(app, ["run", "extract", "-n", "--configfile", "smoke", "--config", "run=x", "--quiet"])
    assert result.exit_code == 0, result.output
    ((program, words),) = made
    smoke = str(REPOSITORY / "configs/smoke.yaml")
    assert program == sys.executable
    assert words[-7:] == ["extract", "-n", "--configfile", smoke, "--config", "run=x", "--quiet"]


def test_ctrl_c_during_the_imports_is_one_sentence():
    """Snakemake imports for seconds before it can handle Ctrl-C."""
    code = (
        "import sys, runpy\n"
        "class Slow:\n"
        "    def find_spec(self, name, *rest):\n"
        "        if name == 'snakemake': raise KeyboardInterrupt\n"
        "sys.meta_path.insert(0, Slow())\n"
        "runpy.run_module('emopipe.workflow.snakemake_process', run_name='__main__')\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=REPOSITORY, check=False)
    assert (done.returncode, done.stderr) == (130, f"{INTERRUPTED}\n")

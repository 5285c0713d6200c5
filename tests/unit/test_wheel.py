"""The wheel runs the workflow from any folder."""

import os
import subprocess
import sys

import pytest

from tests.pages import REPOSITORY


def ran(command, folder, **environment):
    result = subprocess.run(
        [sys.executable, *command],
        cwd=folder,
        env=os.environ | environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    assert not result.returncode, result.stdout
    return result.stdout


@pytest.fixture(scope="module")
def installed(tmp_path_factory):
    """A folder that holds the package as it is installed from the wheel; built without the network."""
    folder = tmp_path_factory.mktemp("wheel")
    pip = ["-m", "pip", "--disable-pip-version-check"]
    ran([*pip, "wheel", "-q", "--no-deps", "--no-build-isolation", "-w", str(folder), str(REPOSITORY)], folder)
    (wheel,) = folder.glob("*.whl")
    ran([*pip, "install", "-q", "--no-deps", "--target", str(folder / "site"), str(wheel)], folder)
    return folder / "site"


@pytest.mark.slow
def test_every_file_is_in_it(installed):
    """Modules, the registry of weights, the shipped weights and their cards; and the workflow's own files."""

    def files(folder):
        return {path.relative_to(folder) for path in folder.rglob("*") if path.is_file() and path.suffix != ".pyc"}

    package, workflow = installed / "emopipe", installed / "emopipe/_workflow"
    assert (package / "weights/registry.yaml").is_file()
    assert files(package) - {path.relative_to(package) for path in workflow.rglob("*")} == files(REPOSITORY / "emopipe")
    for name in ("rules", "workflow_scripts", "configs", "profiles"):
        assert files(workflow / name) == files(REPOSITORY / name)
    for name in ("Snakefile", "config.yaml"):
        assert (workflow / name).read_text() == (REPOSITORY / name).read_text()


@pytest.mark.slow
@pytest.mark.parametrize(("arguments", "jobs"), [(["-n"], 23), (["--configfile", "smoke", "-n"], 23)])
def test_a_dry_run_in_an_empty_folder(installed, tmp_path, arguments, jobs):
    # Snakemake would find these before the profile beside the Snakefile.
    for decoy in ("profiles/default", "default"):
        (tmp_path / decoy).mkdir(parents=True)
        (tmp_path / decoy / "profile.yaml").write_text("rerun-triggers: [code]\n")
    program = ["-c", "from emopipe.commands.main import app; app()", "run", *arguments]
    output = ran(program, tmp_path, PYTHONPATH=str(installed), EMOPIPE_DEBUG="1")
    files = installed / "emopipe/_workflow"
    assert f"Using workflow specific profile {files}/profiles/default " in output
    assert f"Snakefile: {files}/Snakefile" in output and f"Working directory: {tmp_path}" in output
    assert f" total {jobs} " in " ".join(output.split())
    assert "This was a dry-run" in output
    assert not (tmp_path / "cache").exists()

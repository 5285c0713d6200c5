"""Snakemake's command line for this project's workflow, whether it is a checkout or an installed package."""

import os
import re
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

from emopipe.core import yaml_file
from emopipe.core.errors import ConfigError

PACKAGE = Path(__file__).parents[1]
INSTALLED = PACKAGE / "_workflow"
"""Where a wheel keeps the workflow's files (see hatch_build.py); a checkout has them at its top."""
CONFIG = ("--configfile", "--configfiles")
KEYS = ("--config", "-C")
YAML = (".yaml", ".yml", ".json")
SNAKEFILE = ("--snakefile", "-s")
PROFILE = ("--workflow-profile",)
LIMITS = ("--cores", "-c", "--jobs", "-j", "--executor", "-e", "--profile", *PROFILE)
"""Options of Snakemake that may say how many jobs or cores a run takes."""


def files(folder: Path) -> Path:
    """Return the folder that holds the Snakefile, rules, workflow_scripts, configs and profiles.

    Args:
        folder: The current folder. If it is a checkout, its own files are used.
    """
    if (folder / "Snakefile").is_file() and (folder / "workflow_scripts").is_dir():
        return folder
    return INSTALLED if INSTALLED.is_dir() else PACKAGE.parent


def command(arguments: Sequence[str], folder: Path) -> list[str]:
    """Return the command line that runs the workflow.

    The Snakefile, the default profile and `--cores all` are added, unless the arguments have options of their own for
    them. In a checkout, Snakemake finds Snakefile and profile itself. Elsewhere the profile has to be named, because
    Snakemake searches the current folder first, and its `rerun-triggers` are part of how the workflow decides what runs
    again. A Snakefile of the user's own brings its own profile.

    Args:
        arguments: A config, if the first one is not an option or a target of Snakemake's; then Snakemake's own
            arguments. A config may be the name of a shipped one, such as `smoke`.
        folder: The current folder.

    Raises:
        ConfigError: A config is neither a file nor the name of a shipped config, two are given, it is not YAML, or a
            target follows it.
    """
    root = files(folder)
    arguments = _with_option(arguments, folder, root)
    words = [sys.executable, "-m", "emopipe.workflow.snakemake_process"]
    if root != folder and not _has(arguments, SNAKEFILE):
        words += ["--snakefile", str(root / "Snakefile")]
        if not _has(arguments, PROFILE):
            words += ["--workflow-profile", str(root / "profiles/default")]
    if not _has(arguments, LIMITS) and "SNAKEMAKE_PROFILE" not in os.environ:
        words += ["--cores", "all"]
    for option, given in _lists(arguments):
        _refuse_targets(option, given, lambda word: _is_target(word, arguments, root))
    return words + _with_paths(arguments, folder, root / "configs")


def refuse_misread(arguments: Sequence[str]) -> None:
    """End the process with a sentence if Snakemake would misread a config or take a target for one.

    Snakemake reads configs before it reads the Snakefile: of a key that is there twice, it silently keeps the last, and
    a file that is not UTF-8 ends it in a traceback. The profiles call this first.

    Args:
        arguments: The command line that the user gave to Snakemake.

    Raises:
        SystemExit: There is a fault; its code is the sentence, which Python then prints.
    """
    root = files(Path.cwd())
    try:
        for option, given in _lists(arguments):
            _refuse_targets(option, given, lambda word: not Path(word).is_file() or _is_target(word, arguments, root))
            for path in map(Path, given if option in CONFIG else ()):
                if path.is_file():
                    yaml_file.read(path)
    except ConfigError as error:
        raise SystemExit(str(error)) from None


def _lists(arguments: Sequence[str]) -> list[tuple[str, list[str]]]:
    """Return each option of configs or keys with all words up to the next option, as Snakemake takes them."""
    found: list[tuple[str, list[str]]] = []
    words: list[str] | None = None
    for word in arguments:
        if word == "--":
            break
        name, equals, value = word.partition("=")
        if word.startswith("-"):
            words = [value] if equals else []
            if name in (*CONFIG, *KEYS):
                found.append((name, words))
            words = None if equals else words
        elif words is not None:
            words.append(word)
    return found


def _refuse_targets(option: str, given: Sequence[str], is_target: Callable[[str], bool]) -> None:
    """Refuse a target after an option that takes all words up to the next option: Snakemake would not see a target."""
    what = "one more config" if option in CONFIG else "one more key"
    for word in given[1:]:
        if not (word.endswith(YAML) or "=" in word) and is_target(word):
            raise ConfigError(
                f"Snakemake takes {word}, which follows {option} {given[0]}, for {what}. Expected targets before the "
                f"options: write {word} {option} {given[0]}."
            )


def _with_option(arguments: Sequence[str], folder: Path, root: Path) -> list[str]:
    """Return the arguments with `--configfile=` before the first one, if that is a config."""
    first, *rest = arguments or [""]
    if not first or first.startswith("-") or _is_target(first, arguments, root):
        return list(arguments)
    if _has(rest, CONFIG):
        raise ConfigError(f"Both {first} and --configfile are given. Expected one config. Remove one of them.")
    return [f"{CONFIG[0]}={first}", *rest]  # with =, because Snakemake takes all words that follow it for configs


def _is_target(word: str, arguments: Sequence[str], root: Path) -> bool:
    """Return whether a word is a rule or a file of Snakemake's, not a config. A Snakefile of the user's has others."""
    if word.endswith(YAML) or (root / "configs" / f"{word}.yaml").is_file():
        return False
    if _has(arguments, SNAKEFILE) or "/" in word or "." in word:
        return True
    rules = [root / "Snakefile", *sorted((root / "rules").glob("*.smk"))]
    return any(re.search(rf"^rule {re.escape(word)}:", file.read_text(encoding="utf-8"), re.M) for file in rules)


def _has(arguments: Sequence[str], names: Sequence[str]) -> bool:
    """Return whether one of the options is among the arguments, as `--cores 2`, `--cores=2`, `-c 2` or `-c2`."""
    short = tuple(name for name in names if not name.startswith("--"))
    return any(word.partition("=")[0] in names or word.startswith(short) for word in arguments)


def _with_paths(arguments: Sequence[str], folder: Path, configs: Path) -> list[str]:
    """Return the arguments with the path of each config that is given by its name."""
    words, is_config = [], False
    for word in arguments:
        name, equals, value = word.partition("=")
        if name in CONFIG and equals:
            word = f"{name}={_config(value, folder, configs)}"
        elif word.startswith("-"):
            is_config = word in CONFIG
        elif is_config:
            word = _config(word, folder, configs)
        words.append(word)
    return words


def _config(given: str, folder: Path, configs: Path) -> str:
    """Return the path of a config: a user's file, or a shipped config by its name."""
    shipped = configs / f"{given}.yaml"
    if (folder / given).is_file():
        yaml_file.read(folder / given)  # here, because Snakemake's own message names no line
        return given
    if "/" not in given and shipped.is_file():
        return str(shipped)
    names = ", ".join(sorted(path.stem for path in configs.glob("*.yaml")))
    raise ConfigError(
        f"There is no config {given}: it is neither a file nor the name of a shipped config. Check the path, or use "
        f"one of these names: {names}."
    )

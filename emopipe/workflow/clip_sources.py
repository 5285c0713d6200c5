"""Which files say something about the clips of a finished run: its results, and those of its corpus' cache."""

from pathlib import Path

from emopipe.core.errors import CacheError, ConfigError
from emopipe.report.clip.gathering import Sources
from emopipe.workflow import config as configs
from emopipe.workflow.config import Config, modality

RESULTS = Path("results")
"""The folder of all runs' results, in the working folder."""


def find_run(run: str) -> Path:
    """Return the folder of a run's results, from this folder or from the run's name.

    Raises:
        CacheError: There is no such folder, or the run in it is not finished.
    """
    given, named = Path(run), RESULTS / run
    folder = given if given.is_dir() else named
    if not folder.is_dir():
        raise CacheError(
            f"Neither the folder {given} nor {named} exists. Give the folder of a finished run, such as results/demo."
        )
    if not (folder / "config.yaml").is_file():
        raise CacheError(
            f"The folder {folder} has no config.yaml, which the last step of a run writes. Give the folder of a "
            "finished run, such as results/demo; if this one is not finished, run it again with the same config."
        )
    return folder


def of_folder(results: Path) -> Sources:
    """Return the sources of the run in `results/<run>`, whose cache is `cache/<corpus>` beside the folder `results`.

    Raises:
        ConfigError: The config of the run has keys that this version does not know.
    """
    config = configs.parse_again(configs.read(results / "config.yaml"))
    return of_config(config, results, results.resolve().parent.parent / "cache" / config.corpus.name)


def of_config(config: Config, results: Path, cache: Path) -> Sources:
    """Return the sources of a run with this config."""
    return Sources(
        results,
        cache / "clips.csv",
        {name: _shards(cache / "media" / name) for name in config.decode},
        {name: _shards(cache / "faces" / name) for name in config.faces},
        {name: preset for name in config.backbones if (preset := _preset(config, name))},
        config.label_space,
    )


def _shards(folder: Path) -> list[Path]:
    """Return the shards `00.h5` and so on; not the files of statuses, `00.status.h5`."""
    return [path for path in sorted(folder.glob("*.h5")) if path.stem.isdigit()]


def _preset(config: Config, backbone: str) -> str:
    """Return the preset that a backbone reads: the given one, or the only one; "" if it is unknown."""
    block = config.backbones[backbone]
    if given := block.faces or block.decode:
        return given
    try:
        presets = config.faces if modality(block) == "face" else config.decode
    except ConfigError:  # the network is a plug-in that is not installed here
        return ""
    return next(iter(presets)) if len(presets) == 1 else ""

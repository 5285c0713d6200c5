"""The finished runs to compare: their files, and what the cache still knows about their clips."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd
import pydantic

from emopipe.core import tables, yaml_file
from emopipe.core.errors import CacheError, ConfigError, EmopipeError
from emopipe.core.label_block import space_of
from emopipe.core.labels import LabelSpace
from emopipe.report.answer import answer_of
from emopipe.scoring import predictions

WithDefaults = Callable[[Mapping[str, Any]], dict[str, Any]]
"""Returns a config with all defaults, or raises an EmopipeError."""
NEEDED = ("config.yaml", "metrics.csv", "ledger.csv")
"""Files that the last step of a run writes."""
NUMBERS = ("p_", "y_")
"""What the columns of tables of predictions begin with that hold probabilities, or values of dimensions."""


@dataclass(frozen=True, eq=False)
class OpenedRun:
    """A finished run, as its folder holds it."""

    name: str
    """The folder's name; its whole path, if several runs have the same name."""
    folder: Path
    given: Mapping[str, Any]
    """The config as it was given."""
    config: Mapping[str, Any]
    """The config with all defaults; as it was given, if `config_fault` says why."""
    config_fault: str
    space: LabelSpace
    """The label space."""
    predictions: Mapping[str, pd.DataFrame]
    """Model or ensemble -> its predictions: clip, split, label, pred, and the numbers of the answers."""
    labels: Mapping[str, str]
    """Clip -> label, of the clips that models were trained on or predict; "" if it has none."""
    ledger: pd.DataFrame
    clips: pd.DataFrame | None
    """The clip table of the cache, if it still has the clips, splits and labels of the run."""
    clips_fault: str
    """Why there is no clip table."""

    @property
    def cache(self) -> Path:
        """The cache of the run's corpus."""
        return _cache(self.folder, self.given)

    @property
    def splits(self) -> dict[str, str]:
        """Clip -> split, of all clips."""
        return dict(zip(self.ledger["clip"], self.ledger["split"], strict=True))

    @property
    def answer(self) -> str | None:
        """The model or ensemble that is the run's answer: its ensemble, or else its only model."""
        return answer_of(self.predictions)


def open_runs(folders: Sequence[Path], with_defaults: WithDefaults) -> list[OpenedRun]:
    """Open the folders of finished runs.

    Args:
        folders: Such as results/demo; two or more.
        with_defaults: Fills in the defaults of a config.

    Raises:
        ConfigError: There are fewer than two folders, one is given twice, or runs differ in their label spaces.
        CacheError: A folder is not that of a finished run, or a file of it is damaged.
    """
    if len(folders) < 2:
        raise ConfigError(
            f"{len(folders)} folder of a run was given, but a comparison needs two or more. Add another, as in "
            "`emopipe compare results/first results/second`."
        )
    real = [folder.resolve() for folder in folders]
    for number, folder in enumerate(real):
        if folder in real[:number]:
            raise ConfigError(
                f"{folders[number]} is the same folder as {folders[real.index(folder)]}. Give each run once."
            )
    names = [folder.name for folder in real]
    runs = [
        _open(folder, path.name if names.count(path.name) == 1 else str(folder), with_defaults)
        for folder, path in zip(folders, real, strict=True)
    ]
    _refuse_other_spaces(runs)
    return runs


def _refuse_other_spaces(runs: Sequence[OpenedRun]) -> None:
    """Raise a ConfigError if a run differs from the first in its label space.

    Where an answer is one class, the order of the classes does not count.
    """
    first = runs[0]
    for run in runs[1:]:
        one, other = first.space, run.space
        only_order = one.has_one_class and one.kind == other.kind and {*one.names} == {*other.names}
        if one != other and not only_order:
            raise ConfigError(
                f"The label spaces differ: {first.name} has {_described(one)}, and {run.name} has {_described(other)}. "
                "Scores of different label spaces cannot be compared. Give runs whose configs have the same key labels."
            )


def _described(space: LabelSpace) -> str:
    found = f"{', '.join(space.names)} (kind {space.kind}"
    return f"{found}, {space.low:g} to {space.high:g})" if space.kind == "dimensions" else f"{found})"


def _open(folder: Path, name: str, with_defaults: WithDefaults) -> OpenedRun:
    _refuse_unfinished(folder)
    given = yaml_file.read(folder / "config.yaml")
    if not isinstance(given, dict) or not isinstance(given.get("corpus"), dict):
        raise CacheError(f"{folder / 'config.yaml'} is not the config of a run. Run it again with its config.")
    config, fault = given, ""
    try:
        config = with_defaults(given)
    except EmopipeError as error:
        fault = str(error)
    space = _space(folder, given)
    found = {path.stem: _predictions(path, space) for path in sorted((folder / "predictions").glob("*.csv"))}
    out_of_fold = [_predictions(path, space) for path in sorted((folder / "oof").glob("*.csv"))]
    labels = _labels([*found.values(), *out_of_fold])
    ledger = tables.read(folder / "ledger.csv", ["clip", "split", "stage", "status"])
    clips, clips_fault = _clip_table(_cache(folder, given) / "clips.csv", ledger, labels)
    return OpenedRun(name, folder, given, config, fault, space, found, labels, ledger, clips, clips_fault)


def _space(folder: Path, given: dict[str, Any]) -> LabelSpace:
    try:
        return space_of(given)
    except pydantic.ValidationError as error:
        raise CacheError(
            f"The key labels of {folder / 'config.yaml'} cannot be read ({error.errors()[0]['msg']}). Run it again "
            "with its config."
        ) from error


def _cache(folder: Path, given: Mapping[str, Any]) -> Path:
    return folder.resolve().parents[1] / "cache" / str(given["corpus"].get("name"))


def _refuse_unfinished(folder: Path) -> None:
    if not folder.is_dir():
        raise CacheError(f"The folder {folder} does not exist. Give folders of finished runs, such as results/demo.")
    if missing := [name for name in NEEDED if not (folder / name).is_file()]:
        raise CacheError(
            f"{folder} is not the folder of a finished run: it has no {', '.join(missing)}, which the last step of a "
            "run writes. Finish the run first: run it again with the same config."
        )
    if not any((folder / "predictions").glob("*.csv")):
        raise CacheError(
            f"The run {folder} has no predictions, so there is nothing to compare. Add models to its config and run it "
            "again."
        )


def _predictions(path: Path, space: LabelSpace) -> pd.DataFrame:
    """Read a table of predictions.

    Raises:
        ConfigError: Its classes, or dimensions, are not those of the run's label space.
        CacheError: It is not such a table.
    """
    try:
        table = predictions.read(path)
        numbers = [column for column in table if column.startswith(NUMBERS)]
        table = table[["clip", "split", "label", "pred", *numbers]]
    except (ValueError, KeyError) as error:
        raise CacheError(f"{path} is not a table of predictions ({error}). Run again to make it.") from error
    if numbers != space.columns:
        classes, expected = (", ".join(name[2:] for name in names) for names in (numbers, space.columns))
        raise ConfigError(
            f"{path} predicts the classes {classes or '(none)'}, expected {expected}, as the config of the run says. "
            "Runs of different classes cannot be compared. Give runs that predict the same classes."
        )
    return table


def _labels(found: Sequence[pd.DataFrame]) -> dict[str, str]:
    whole = pd.concat([table[["clip", "label"]] for table in found]).drop_duplicates("clip")
    return dict(zip(whole["clip"], whole["label"], strict=True))


def _clip_table(path: Path, ledger: pd.DataFrame, labels: Mapping[str, str]) -> tuple[pd.DataFrame | None, str]:
    """Return the clip table, or None and the reason why it says nothing about the run."""
    if not path.is_file():
        return None, f"{path} does not exist"
    try:
        table = tables.read(path)
        splits, known = (dict(zip(table["clip"], table[column], strict=True)) for column in ("split", "label"))
        table["subject"]
    except (EmopipeError, KeyError, OSError) as error:
        return None, f"{path} cannot be read ({error})"
    was = dict(zip(ledger["clip"], ledger["split"], strict=True))
    if splits != was or any(known.get(clip) != label for clip, label in labels.items()):
        return None, f"{path} has changed since the run: it has other clips, splits or labels now"
    return table, ""

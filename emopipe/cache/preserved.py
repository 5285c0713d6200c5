"""What a job leaves to its successor where it outlives the run that started it.

Snakemake that is killed cannot take a job's outputs as made; the next one deletes them and starts the job again. So a
job that takes hours keeps its outputs a second time, in a hidden folder beside, until the run comes to its end. To let
Snakemake keep outputs itself (`update`) would not do: after a job that fails it puts the old ones back, and then takes
them for what the failed job was to make.
"""

import os
import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from emopipe.core.atomic import replacing, sha256, write_text
from emopipe.core.log import LOGGER

SUFFIX = ".made"


@dataclass(frozen=True)
class Legacy:
    """The second copy of a job's outputs."""

    outputs: Sequence[Path]
    """All that the job makes; beside the first one lies the hidden folder."""
    stamp: str
    """A digest of all that the outputs depend on: those of another one are not taken up."""

    @property
    def folder(self) -> Path:
        """The hidden folder."""
        return self.outputs[0].with_name(f".{self.outputs[0].stem}{SUFFIX}")

    def leave(self) -> None:
        """Keep the outputs, which costs no space where the file system has links."""
        try:
            shutil.rmtree(self.folder, ignore_errors=True)
            for output, twin in self._pairs():
                _twin(output, twin)
            write_text(self.folder / "stamp", self.stamp)  # last: where it is, the others are whole
        except OSError as error:  # the outputs themselves are made
            LOGGER.warning(f"{self.folder} cannot be written ({error}): should this run be killed, its job runs again.")

    def take_up(self) -> bool:
        """Put the outputs in their places, as if they were made now; whether they were there, of this very stamp."""
        try:
            if (self.folder / "stamp").read_text(encoding="utf-8") != self.stamp:
                return False
            for output, twin in self._pairs():
                _twin(twin, output)
                os.utime(output)  # Snakemake wants it to be later than the inputs
        except (OSError, ValueError):
            return False
        LOGGER.info(
            f"{self.outputs[0]} was made already, by a job that outlived its run. To have it made anew, delete it and "
            f"{self.folder}."
        )
        return True

    def _pairs(self) -> list[tuple[Path, Path]]:
        """Each output, and where it is kept."""
        return [(path, self.folder / f"{number}{path.suffix}") for number, path in enumerate(self.outputs)]


def content(path: str | Path | None) -> str:
    """A file's part in a stamp; empty where there is none."""
    return sha256(Path(path)) if path and Path(path).is_file() else ""


def forget(*folders: Path) -> None:
    """Remove what jobs left in these folders: their run has come to its end, and knows what they made."""
    for folder in folders:
        for kept in folder.glob(f".*{SUFFIX}"):
            shutil.rmtree(kept, ignore_errors=True)


def _twin(path: Path, other: Path) -> None:
    with replacing(other) as unfinished:
        try:
            os.link(path, unfinished)
        except OSError:  # a file system without links, or other rights
            shutil.copyfile(path, unfinished)

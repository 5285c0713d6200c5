"""Preserved outputs: the second copy `.NAME.made` of what a long job made, for the case that its run was killed.

If Snakemake is killed, it cannot record that a job's outputs are made. The next Snakemake then deletes them and starts
the job again. So a job that takes hours keeps its outputs a second time, in a hidden folder beside them, until the run
ends. Snakemake's own `update` is not enough: after a failed job, it restores the old outputs and treats them as new
ones.
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
class PreservedOutputs:
    """The second copy of a job's outputs."""

    outputs: Sequence[Path]
    """All that the job makes; the hidden folder lies beside the first one."""
    stamp: str
    """A digest of all that the outputs depend on: a copy with another stamp is not restored."""

    @property
    def folder(self) -> Path:
        """The hidden folder."""
        return self.outputs[0].with_name(f".{self.outputs[0].stem}{SUFFIX}")

    def save(self) -> None:
        """Keep the outputs a second time, by hard links if the file system has them."""
        try:
            shutil.rmtree(self.folder, ignore_errors=True)
            for output, twin in self._pairs():
                _link(output, twin)
            write_text(self.folder / "stamp", self.stamp)  # last: if it exists, the others are whole
        except OSError as error:  # the outputs themselves are made
            LOGGER.warning(f"{self.folder} cannot be written ({error}). If this run is killed, its job runs again.")

    def restore(self) -> bool:
        """Restore the outputs with the current time as their date. Return whether there was a copy with this stamp.

        Raises:
            OSError: The system refuses to read the copy or to write the outputs. The copy is kept.
        """
        try:
            if (self.folder / "stamp").read_text(encoding="utf-8") != self.stamp:
                return False
            for output, twin in self._pairs():
                _link(twin, output)
                os.utime(output)  # Snakemake expects it to be newer than the inputs
        except (FileNotFoundError, NotADirectoryError, ValueError):  # no copy, or not a whole one
            return False
        LOGGER.info(
            f"{self.outputs[0]} was made by a job that outlived its run, and is reused. To compute it again, delete it "
            f"and {self.folder}."
        )
        return True

    def _pairs(self) -> list[tuple[Path, Path]]:
        """Return each output with its second copy."""
        return [(path, self.folder / f"{number}{path.suffix}") for number, path in enumerate(self.outputs)]


def content(path: str | Path | None) -> str:
    """Return a file's part in a stamp; "" if there is no file."""
    return sha256(Path(path)) if path and Path(path).is_file() else ""


def clear(*folders: Path) -> None:
    """Remove all preserved outputs in these folders: their run has ended and has recorded what was made."""
    for folder in folders:
        for kept in folder.glob(f".*{SUFFIX}"):
            shutil.rmtree(kept, ignore_errors=True)


def _link(path: Path, other: Path) -> None:
    with replacing(other) as unfinished:
        try:
            os.link(path, unfinished)
        except OSError:  # a file system without links, or other rights
            shutil.copyfile(path, unfinished)

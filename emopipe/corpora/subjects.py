"""Subjects of clips from a table beside a corpus, for corpora whose files do not name people."""

from collections.abc import Collection
from pathlib import Path

import pandas as pd

from emopipe.core.errors import CorpusError
from emopipe.core.log import LOGGER
from emopipe.core.options import Options
from emopipe.core.text import abbreviate
from emopipe.corpora.cells import SUFFIXES, read_cells

CLIP = ("clip", "id")
"""Names of the column with the clips' ids; the first one that exists is used."""
SUBJECT = ("subject", "speaker", "actor")
"""Names of the column with the people; the first one that exists is used."""


class GroupOptions(Options):
    """Where the people in the clips are listed."""

    groups: str = ""
    """A CSV or TSV with the columns `clip` (or `id`) and `subject` (or `speaker`, `actor`): the person in each clip.
    Its path is absolute or relative to the corpus folder. Folds, intervals and tests then keep the clips of a person
    together. A clip that it does not list has no known person. Empty: there is no such table."""

    def with_subjects(self, table: pd.DataFrame, root: Path, omitted: Collection[str] = ()) -> pd.DataFrame:
        """Return a clip table with the subjects that the table of groups gives, if there is one.

        It may also list the clips of the corpus that were `omitted` from the clip table, by their ids.

        Raises:
            CorpusError: The table of groups cannot be read, lacks a column, lists a clip twice with different people,
                or lists a clip that the corpus does not have.
        """
        if not self.groups:
            return table
        subject_of = _read(root / self.groups)
        absent = sorted(set(subject_of) - set(table["clip"]) - set(omitted))
        if absent:
            raise CorpusError(
                f"The table {root / self.groups} (corpus option groups) lists {len(absent)} clips that the corpus "
                f"{root} does not have: {abbreviate(absent)}. Expected ids such as {table['clip'].iloc[0]!r}. Correct "
                "the ids or remove these rows."
            )
        subject = table["clip"].map(subject_of).fillna("").astype(str)
        if (unknown := int((subject == "").sum())) and subject_of:
            LOGGER.info(f"{root / self.groups} names no person of {unknown} of {len(table)} clips.")
        return table.assign(subject=subject)


def _read(file: Path) -> dict[str, str]:
    """Return the subject of each clip."""
    separators = SUFFIXES.get(file.suffix.lower())
    if separators is None:
        raise CorpusError(f"The table {file} (corpus option groups) is neither .csv nor .tsv. Save it as one of these.")
    if not file.is_file():
        raise CorpusError(f"The table {file} (corpus option groups) does not exist. Put it there, or correct its path.")
    cells = read_cells(file, separators)
    header = [name.casefold() for name in cells.header]
    columns = [next((name for name in names if name in header), "") for names in (CLIP, SUBJECT)]
    if not all(columns):
        raise CorpusError(
            f"The table {file} (corpus option groups) has the columns {abbreviate(cells.header, limit=8) or 'none'}. "
            f"Expected one of {', '.join(CLIP)} and one of {', '.join(SUBJECT)}. Rename its columns."
        )
    pairs = [tuple(row[header.index(column)] for column in columns) for row in cells.rows]
    subject_of = dict(pairs)
    differ = sorted({clip for clip, subject in pairs if subject_of[clip] != subject})
    if differ:
        raise CorpusError(
            f"The table {file} (corpus option groups) gives several people for the clips {abbreviate(differ)}. "
            "Expected one person for each clip. Correct these rows."
        )
    return subject_of

"""Rows of the clip table from file names that follow a scheme."""

import re
from collections.abc import Iterable
from pathlib import Path

from emopipe.core.errors import CorpusError
from emopipe.core.text import abbreviate
from emopipe.corpora.copies import refuse_second_copy


def parse_names(
    root: Path, files: Iterable[Path], pattern: re.Pattern[str], corpus: str, example: str
) -> list[dict[str, str]]:
    """Return a row for each file: clip (the stem), path, and the named groups of the pattern.

    Args:
        root: The corpus folder.
        files: Files below root.
        pattern: Must match whole stems.
        corpus: The corpus' name, for messages.
        example: A stem that matches, for messages.

    Raises:
        CorpusError: There is no file, a stem does not match, or a folder repeats another one.
    """
    matches = {file: pattern.fullmatch(file.stem) for file in files}
    if not matches:
        raise CorpusError(
            f"No clips of {corpus} were found in {root}. Expected files with names such as {example}. Check "
            "corpus_root and the corpus options."
        )
    misnamed = [str(file.relative_to(root)) for file, match in matches.items() if match is None]
    if misnamed:
        raise CorpusError(
            f"The files {abbreviate(misnamed)} in {root} do not follow the file names of {corpus}. Expected names such "
            f"as {example}. Rename the files, remove them, or set omit_folders in the corpus options."
        )
    paths: dict[str, list[str]] = {}
    for file in matches:
        paths.setdefault(file.stem, []).append(file.relative_to(root).as_posix())
    refuse_second_copy(paths, corpus)
    return [
        {"clip": file.stem, "path": file.relative_to(root).as_posix(), **match.groupdict()}
        for file, match in matches.items()
        if match is not None
    ]

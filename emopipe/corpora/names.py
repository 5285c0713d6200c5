"""Rows of the clip table out of file names that spell what is in the file."""

import re
from collections.abc import Iterable
from pathlib import Path

from emopipe.core.errors import CorpusError
from emopipe.core.text import abbreviate


def parsed(
    root: Path, files: Iterable[Path], pattern: re.Pattern[str], corpus: str, example: str
) -> list[dict[str, str]]:
    """A row per file: clip (its stem), path, and the pattern's named groups as they stand in the stem.

    Raises:
        CorpusError: there is no file, or the pattern does not match a whole stem.
    """
    matches = {file: pattern.fullmatch(file.stem) for file in files}
    if not matches:
        raise CorpusError(
            f"No clips of {corpus} were found in {root}, where files named such as {example} were expected: "
            "check corpus_root and the corpus options."
        )
    misnamed = [str(file.relative_to(root)) for file, match in matches.items() if match is None]
    if misnamed:
        raise CorpusError(
            f"The files {abbreviate(misnamed)} in {root} are not named as {corpus} names its files, such as "
            f"{example}: rename them or take them out."
        )
    return [
        {"clip": file.stem, "path": file.relative_to(root).as_posix(), **match.groupdict()}
        for file, match in matches.items()
        if match is not None
    ]

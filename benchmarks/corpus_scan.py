#!/usr/bin/env python3
"""How long the scan of a corpus folder takes if every tenth file has a suffix that says nothing.

A corpus of tiny files is generated in a temporary folder. Half of the files of an unknown suffix begin like a WAV, half
like text. The seconds are those of `emopipe.corpora.scan`, the least of several times; nothing is decoded.

    python benchmarks/corpus_scan.py [--files 100000] [--times 3]
"""

import logging
import tempfile
import time
from pathlib import Path
from typing import Annotated

import typer

from emopipe import corpora
from emopipe.core.labels import CLASSES

WAV = b"RIFF\x24\0\0\0WAVEfmt "


def main(
    files: Annotated[int, typer.Option(help="The number of files.")] = 100_000,
    times: Annotated[int, typer.Option(help="How often the folder is scanned.")] = 3,
    folder: Annotated[Path | None, typer.Option(help="Where the corpus is generated.")] = None,
) -> None:
    """Print the number of files and clips, and the least seconds of a scan."""
    logging.getLogger("emopipe").setLevel(logging.ERROR)
    with tempfile.TemporaryDirectory(dir=folder) as name:
        generate(Path(name), files)
        found = [scan(Path(name)) for _ in range(times)]
    print(f"{files} files, {found[0][0]} clips: {min(seconds for _, seconds in found):.2f} s")


def generate(root: Path, files: int) -> None:
    """<class>/<number>.mp4, every tenth .xyz."""
    for label in CLASSES:
        (root / label).mkdir()
    for number in range(files):
        unknown = number % 10 == 9
        path = root / CLASSES[number % len(CLASSES)] / f"{number:07d}{'.xyz' if unknown else '.mp4'}"
        path.write_bytes(WAV if unknown and number % 20 == 9 else b"some text")


def scan(root: Path) -> tuple[int, float]:
    """Return the number of clips and the seconds of one scan."""
    begin = time.perf_counter()
    table = corpora.scan("folder", root, corpora.options_class("folder")())
    return len(table), time.perf_counter() - begin


if __name__ == "__main__":
    typer.run(main)

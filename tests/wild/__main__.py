"""`python -m tests.wild` prints each wild file and what became of it, as a Markdown table."""

import os
import tempfile
from pathlib import Path

from emopipe.core.text import escape_text
from tests.wild.corpus import decoded, write_corpus
from tests.wild.files import wild_files


def markdown(written, rows):
    """A row a file: what it is and what became of it."""
    lines = ["| file | what it is | status | frames | sound, s | reason |", "|---|---|---|---|---|---|"]
    for path, file in written.items():
        row = rows[path]
        frames, seconds = len(row.arrays["jpeg_size"]), len(row.arrays["audio"]) / 16_000
        cells = [file.name, file.what, row.status, str(frames), f"{seconds:.1f}", row.reason]
        escaped = [escape_text(cell).replace("|", "\\|").replace("<", "&lt;") for cell in cells]
        lines.append(f"| {' | '.join(escaped)} |")
    return "\n".join(lines)


def main():
    """Make them, decode them, print them."""
    shared = os.environ.get("EMOPIPE_SHARED")
    with tempfile.TemporaryDirectory() as folder:
        written = write_corpus(Path(folder, "corpus"), wild_files(Path(shared) if shared else None))
        print(markdown(written, decoded(Path(folder, "corpus"), Path(folder, "work"))))


if __name__ == "__main__":
    main()

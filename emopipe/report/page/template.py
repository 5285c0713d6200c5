"""The files that give the page its form: templates, styles and JavaScript, in the folder `files`."""

from pathlib import Path

from emopipe.core import fingerprint

FILES = Path(__file__).with_name("files")


def files_digest() -> str:
    """Return the digest of all these files: a change of one makes the page again."""
    folder = fingerprint.ROOT / FILES.relative_to(Path(__file__).parents[2])  # the code whose fingerprints are taken
    return fingerprint.digest({path.name: path.read_text(encoding="utf-8") for path in sorted(folder.iterdir())})

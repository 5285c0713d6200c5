"""Where exported files say that the clips are: relative to themselves, or below what the user named."""

import os
from pathlib import Path

from emopipe.export.folders import plain


def below(prefix: str, path: str) -> str:
    """Return the place of a clip below a folder or an address; one that ends in `=` is a query, and gets no slash.

    >>> below("https://host/clips", "s01/a.mp4"), below("/data/local-files/?d=", "a.mp4")
    ('https://host/clips/s01/a.mp4', '/data/local-files/?d=a.mp4')
    """
    return plain(prefix + path if prefix.endswith(("=", "/")) else f"{prefix}/{path}")


def relative(root: Path, path: str, folder: Path) -> str:
    """Return the place of a clip as seen from a folder, with slashes, whether or not these exist."""
    return plain(Path(os.path.relpath(root.absolute() / path, folder.absolute())).as_posix())

"""AFEW as EmotiW distributes it: Train_AFEW/<Class>/, Val_AFEW/<Class>/, unlabelled Test_vid_Distribute/."""

from pathlib import Path

import pandas as pd

from emopipe.core.errors import CorpusError
from emopipe.core.options import Options
from emopipe.core.text import abbreviate
from emopipe.corpora.classes import with_labels
from emopipe.corpora.files import VIDEO, media_files
from emopipe.corpora.table import from_rows

# Folder of each split, and whether it must be there.
FOLDERS: dict[str, tuple[str, bool]] = {
    "train": ("Train_AFEW", True),
    "val": ("Val_AFEW", True),
    "test": ("Test_vid_Distribute", False),
}


class CorpusOptions(Options):
    """AFEW needs no options: its folders say everything."""


def scan(root: Path, options: CorpusOptions) -> pd.DataFrame:
    """The clip table; the id is the file's stem with its zeros, and the class the folder that the file is in.

    Empty files are kept: they are clips, and decoding them says what is wrong.

    Raises:
        CorpusError: the train or val folder is missing or has no clips, or a folder with clips is no class.
    """
    rows: list[dict[str, str]] = []
    for split, (name, required) in FOLDERS.items():
        folder = _folder(root, name, required)
        files = media_files(folder, VIDEO) if folder is not None else []
        if required and not files:
            raise CorpusError(
                f"The folder {folder} has no video files, where {name}/<Class>/<id>.avi was expected: "
                "unpack the clips there."
            )
        rows += [_row(root, file, split) for file in files]
    return with_labels(from_rows(rows))


def _folder(root: Path, name: str, required: bool) -> Path | None:
    folders = sorted(path for path in root.iterdir() if path.is_dir())
    for path in folders:
        if path.name.casefold() == name.casefold():
            return path
    if not required:
        return None
    found = f"holds the folders {abbreviate([path.name for path in folders])}" if folders else "holds no folder"
    raise CorpusError(
        f"The corpus folder {root} {found}, but AFEW's {name} was expected in it: set corpus_root to the "
        f"folder that holds {name}."
    )


def _row(root: Path, file: Path, split: str) -> dict[str, str]:
    return {
        "clip": file.stem,
        "path": file.relative_to(root).as_posix(),
        "split": split,
        "label": file.parent.name if split != "test" else "",
    }

"""AFEW as EmotiW distributes it: Train_AFEW/<Class>/, Val_AFEW/<Class>/, and Test_vid_Distribute/ without labels."""

from collections.abc import Mapping
from pathlib import Path
from typing import Literal

import pandas as pd

from emopipe.core.errors import CorpusError
from emopipe.core.text import abbreviate
from emopipe.corpora.files import look
from emopipe.corpora.labelling import ClassOptions
from emopipe.corpora.subjects import GroupOptions
from emopipe.corpora.table import from_rows

FOLDERS: dict[str, tuple[str, bool]] = {
    "train": ("Train_AFEW", True),
    "val": ("Val_AFEW", True),
    "test": ("Test_vid_Distribute", False),
}
"""Split -> its folder, and whether this folder is required."""


class CorpusOptions(ClassOptions, GroupOptions):
    """The folders define the splits and the classes; who is in the clips is known only from a table."""

    shared_subjects: Literal["refuse", "keep"] = "refuse"
    """What happens if people of `groups` are in several splits: refuse stops with an error; keep uses the splits as
    they are, and scores then say how well models know these people."""

    @property
    def subjects_apart(self) -> bool:
        """Whether no subject may be in two splits."""
        return self.shared_subjects == "refuse"


def scan(root: Path, options: CorpusOptions) -> pd.DataFrame:
    """Return the clip table; the clip id is the file's stem with its zeros, the class is the file's folder.

    The option `groups` gives the subjects. Empty files are kept. The decode stage reports them as unreadable clips.

    Raises:
        CorpusError: The train or val folder is missing or has no clips, a folder with clips is not a class, or the
            table of groups is not as it should be.
    """
    rows: list[dict[str, str]] = []
    folders = {split: _folder(root, name, required) for split, (name, required) in FOLDERS.items()}
    clips = _clips(root, {split: folder for split, folder in folders.items() if folder is not None})
    for split, (name, required) in FOLDERS.items():
        folder, files = folders[split], clips.get(split, [])
        if required and not files:
            raise CorpusError(
                f"The folder {folder} has no video files. Expected {name}/<Class>/<id>.avi. Unpack the clips there."
            )
        rows += [
            {
                "clip": file.stem,
                "path": file.relative_to(root).as_posix(),
                "split": split,
                "label": file.parent.name if split != "test" else "",
            }
            for file in files
        ]
    return options.with_labels(options.with_subjects(from_rows(rows), root))


def _clips(root: Path, folders: Mapping[str, Path]) -> dict[str, list[Path]]:
    """Return the videos in the folder of each split, sorted, and log what is not taken."""
    taken, clips = look(root), {split: [] for split in folders}
    for path in taken.paths(["video"]):
        split = next((split for split, folder in folders.items() if path.is_relative_to(folder)), None)
        if split is None:
            taken.add_other(str(path), path.suffix.lower())
        else:
            clips[split].append(path)
    taken.report(root, ["video"])
    return clips


def _folder(root: Path, name: str, required: bool) -> Path | None:
    """Return the folder with this name in any case; None where an optional one does not exist."""
    folders = sorted(path for path in root.iterdir() if path.is_dir())
    for path in folders:
        if path.name.casefold() == name.casefold():
            return path
    if not required:
        return None
    found = f"has the folders {abbreviate([path.name for path in folders])}" if folders else "has no folders"
    raise CorpusError(
        f"The corpus folder {root} {found}. Expected AFEW's folder {name} in it. Set corpus_root to the folder that "
        f"contains {name}."
    )

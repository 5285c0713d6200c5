"""CAER: clips of TV shows, in published folders for training, validation and test. Its stills, CAER-S, are not read.

Source: Lee et al., "Context-Aware Emotion Recognition Networks", ICCV 2019, https://caer-dataset.github.io. Licence:
not found in what was read; the shows belong to their owners, so ask the authors.

The layout was read in public code that uses the release: `train/Anger/0001.avi`, and the same in `validation` and
`test`, with the classes Anger, Disgust, Fear, Happy, Neutral, Sad and Surprise.

Traps: all three splits have clips of the same shows and actors, and nothing names them. Scores therefore also say how
well models know these shows. Numbers begin again in each class, so that ids have split and class.
"""

from pathlib import Path

import pandas as pd

from emopipe.core.errors import CorpusError
from emopipe.core.text import abbreviate
from emopipe.corpora.files import look
from emopipe.corpora.labelling import ClassOptions
from emopipe.corpora.splits import OwnSplitOptions
from emopipe.corpora.subjects import GroupOptions
from emopipe.corpora.table import from_rows

SPLITS: dict[str, str] = {"train": "train", "validation": "val", "test": "test"}
"""Folder -> split."""
CLASSES = ("Anger", "Disgust", "Fear", "Happy", "Neutral", "Sad", "Surprise")
"""The names of the classes' folders."""


class CorpusOptions(ClassOptions, GroupOptions, OwnSplitOptions):
    """The folders define the splits and the classes; who is in the clips is known only from a table."""


def scan(root: Path, options: CorpusOptions) -> pd.DataFrame:
    """Return the clip table; a clip's id is <split>__<Class>__<number>, with the folders' own names.

    Raises:
        CorpusError: A folder of a split is missing or has no clip, a clip is elsewhere or in a folder that is not one
            of CAER's classes, or there are stills alone.
    """
    folders = {path.name for path in root.iterdir() if path.is_dir()}
    absent = [name for name in SPLITS if name not in folders]
    if absent:
        raise CorpusError(
            f"The corpus folder {root} has the folders {abbreviate(sorted(folders)) or '(none)'}. Expected CAER's "
            f"folders {', '.join(SPLITS)} in it. Set corpus_root to the folder that contains them."
        )
    taken = look(root)
    files = [file.relative_to(root) for file in taken.paths(["video"])]
    _refuse_other_files(root, files, len(taken.found["image"]))
    taken.report(root, ["video"])
    rows = [
        {
            "clip": "__".join(file.with_suffix("").parts),
            "path": file.as_posix(),
            "split": SPLITS[file.parts[0]],
            "label": file.parts[1],
        }
        for file in files
    ]
    return options.with_labels(options.with_subjects(from_rows(rows), root))


def _refuse_other_files(root: Path, files: list[Path], pictures: int) -> None:
    """Raise a CorpusError if there are not clips of each split, or if clips are not in folders of CAER's classes."""
    if not files and pictures:
        raise CorpusError(
            f"The corpus folder {root} has {pictures} pictures and no video. Expected the clips of CAER; these may be "
            "the stills of CAER-S, which is another corpus. Set corpus_root to the folder of the clips."
        )
    stray = [str(file) for file in files if len(file.parts) != 3 or file.parts[0] not in SPLITS]
    stray += [str(file) for file in files if str(file) not in stray and file.parts[1] not in CLASSES]
    if stray:
        raise CorpusError(
            f"The files {abbreviate(stray)} in {root} are not in a folder of CAER. Expected <split>/<Class>/<file> "
            f"with the splits {', '.join(SPLITS)} and the classes {', '.join(CLASSES)}. Move them out of the corpus "
            "folder."
        )
    empty = [name for name in SPLITS if not any(file.parts[0] == name for file in files)]
    if empty:
        raise CorpusError(
            f"The folder {root / empty[0]} has no video files. Expected {empty[0]}/<Class>/<file>.avi. Unpack CAER's "
            "clips there."
        )

"""FERV39k: about 39,000 clips of 22 kinds of scenes, with published lists for training and test.

Source: Wang et al., "FERV39k: A Large-Scale Multi-Scene Dataset for Facial Expression Recognition in Videos", CVPR
2022, https://github.com/wangyanckxx/FERV39k. Licence: for non-commercial research, on request to the authors; no part
may be passed on (README of that repository).

The layout was read in public code that uses the release (sunlicai/MAE-DFER and others): `train_All.csv` and
`test_All.csv` in `4_setups/All_scenes/`, whose lines have a path, a blank and a class, such as
`Interview/Happy/0118 Happy`; and the folder `2_ClipsforFaceCrop/<Scene>/<Class>/<clip>/` with the frames of each clip.
A video that has the name of such a folder, such as `2_ClipsforFaceCrop/Interview/Happy/0118.mp4`, is read in its place.
Whether the release has sound, and how many frames a second there are, is not documented (option `frame_rate`).

Traps: a source gives several clips, and the lists do not say which, so that a film or a person may be in train and
test. People are not named.
"""

from pathlib import Path

import pandas as pd

from emopipe.core.errors import CorpusError
from emopipe.corpora import lists, splits
from emopipe.corpora.cells import read_cells
from emopipe.corpora.frames import FrameOptions, with_frames
from emopipe.corpora.labelling import ClassOptions
from emopipe.corpora.subjects import GroupOptions
from emopipe.corpora.table import from_rows

_DEPTH = 3  # scene, class and clip


class CorpusOptions(ClassOptions, GroupOptions, FrameOptions, splits.GivenSplitOptions):
    """Which of FERV39k's files are used, and how val is drawn from the training list."""

    clips: str = "2_ClipsforFaceCrop"
    """The name of the folder with <Scene>/<Class>/<clip>, at any depth: folders of frames, or videos with a suffix."""


def scan(root: Path, options: CorpusOptions) -> pd.DataFrame:
    """Return the clip table with the scene; a clip's id is <Scene>__<Class>__<clip>.

    Raises:
        CorpusError: A list or a clip is missing, a clip is there twice, or a line of a list is not of its form.
    """
    listed = {split: _listed(root, split) for split in ("train", "test")}
    paths: dict[str, str] = {}
    found = lists.clips(root, options.clips, "FERV39k")
    for file, sound in found.items():
        name = "/".join((file if sound is not None else file.with_suffix("")).parts[-_DEPTH:])
        if name in paths:
            raise CorpusError(
                f"The clip {name} of FERV39k is in {root} twice: {paths[name]} and {file.as_posix()}. Expected one "
                "file for each clip. Set clips in the corpus options to one of their folders."
            )
        paths[name] = file.as_posix()
    lists.refuse_without_file([name for names in listed.values() for name in names], paths, root, "FERV39k")
    rows = [
        {
            "clip": name.replace("/", "__"),
            "path": paths[name],
            "split": split,
            "label": label,
            "scene": name.partition("/")[0],
        }
        for split, names in listed.items()
        for name, label in names.items()
    ]
    table = with_frames(from_rows(rows), root, options.frame_rate, lists.sounds_of(found))
    return splits.with_val(options.with_labels(options.with_subjects(table, root)), options)


def _listed(root: Path, split: str) -> dict[str, str]:
    """Return <Scene>/<Class>/<clip> -> class, as a published list has them."""
    file = lists.find(root, rf"(^|/){split}_All\.csv$", "FERV39k", f"4_setups/All_scenes/{split}_All.csv")
    cells = read_cells(file, " ")
    labels: dict[str, str] = {}
    for row in [cells.header, *cells.rows]:
        name = row[0].replace("\\", "/").strip("/") if row else ""
        if len(row) != 2 or name.count("/") != _DEPTH - 1:
            raise CorpusError(
                f"The list {file} has the line {' '.join(row)!r}. Expected <Scene>/<Class>/<clip> <Class>, such as "
                "Interview/Happy/0118 Happy. Use the list as it is published."
            )
        labels[name] = row[1]
    return labels

"""MELD: utterances of the TV series Friends, in dialogues, with published lists for training, development and test.

Source: Poria et al., "MELD: A Multimodal Multi-Party Dataset for Emotion Recognition in Conversations", ACL 2019,
https://affective-meld.github.io. Licence: the authors' copy on Hugging Face is marked GPL-3.0; the footage belongs to
its owners.

The layout was read in that repository (lists, and issues on missing files) and in public code that uses MELD.Raw: the
lists `train_sent_emo.csv`, `dev_sent_emo.csv` and `test_sent_emo.csv`, and the folders `train_splits`,
`dev_splits_complete` and `output_repeated_splits_test` with files such as `dia0_utt0.mp4`, at any depth. Folders whose
names only begin in the same way, such as `train`, `dev` and `test`, are read too.

Traps:

- The six main characters speak in all three splits, so that the published splits test how well models know them. The
  subject is the name in the list: a character, not the actor. Names such as Guy or All stand for several people, and
  count as one.
- Classes are of very different size: 4,710 of 9,989 training utterances are Neutral, 271 Disgust and 268 Fear.
- A clip shows all who are in the scene; the speaker may be out of view.
- The dev list has one clip without a file (dialogue 110, utterance 7), which is omitted. Files that no list names, such
  as `final_videos_test...`, are not read: the authors say to ignore them (issue 22). Some files are damaged or cut
  wrongly (issues 9, 20 and 39).
"""

import re
from pathlib import Path
from typing import Literal

import pandas as pd

from emopipe.core.errors import CorpusError
from emopipe.core.log import LOGGER
from emopipe.corpora import lists
from emopipe.corpora.labelling import ClassOptions
from emopipe.corpora.splits import OwnSplitOptions
from emopipe.corpora.table import from_rows

SPLITS: dict[str, str] = {"train": "train", "dev": "val", "test": "test"}
"""What the lists call the splits -> the split."""
WITHOUT_FILE = frozenset({"dev_dia110_utt7"})
"""Clips of the lists that the release has no file for."""
_FOLDER: dict[str, str] = {"train": "train", "dev": "dev", "test": "(?:test|output_repeated_splits_test)"}
_NAME = re.compile(r"dia(\d+)_utt(\d+)")
_COLUMNS = ("Speaker", "Emotion", "Sentiment", "Dialogue_ID", "Utterance_ID", "Season", "Episode")


class CorpusOptions(ClassOptions, OwnSplitOptions):
    """MELD's lists define splits, classes and people."""

    shared_subjects: Literal["refuse", "keep"] = "keep"
    """What happens because people are in several of the published splits: keep uses the splits as they are, and scores
    then say how well models know these people; refuse stops with an error."""


def scan(root: Path, options: CorpusOptions) -> pd.DataFrame:
    """Return the clip table with dialogue, episode and sentiment; ids are such as train_dia0_utt0.

    Raises:
        CorpusError: A list or a file is missing, a list lacks a column, or a clip has two files.
    """
    files = lists.videos(root, "", "MELD")
    rows = [row for name, split in SPLITS.items() for row in _rows(root, name, split, files)]
    absent = [row["clip"] for row in rows if not row["path"] and row["clip"] in WITHOUT_FILE]
    if absent:
        LOGGER.info("The release of MELD has no file for %s, which is omitted.", ", ".join(absent))
    rows = [row for row in rows if row["clip"] not in absent]
    present = [row["clip"] for row in rows if row["path"]]
    lists.refuse_without_file([row["clip"] for row in rows], present, root, "MELD")
    return options.with_labels(from_rows(rows))


def _rows(root: Path, name: str, split: str, files: list[Path]) -> list[dict[str, str]]:
    """Return a row for each line of a split's list; the path is "" where there is no file."""
    file = lists.find(root, rf"(^|/){name}_sent_emo\.csv$", "MELD", f"{name}_sent_emo.csv")
    paths = _paths(root, name, files)
    rows = []
    for line in lists.read(file, _COLUMNS):
        dialogue, utterance = line["Dialogue_ID"], line["Utterance_ID"]
        rows.append({
            "clip": f"{name}_dia{dialogue}_utt{utterance}",
            "path": paths.get((dialogue, utterance), ""),
            "split": split,
            "label": line["Emotion"],
            "subject": line["Speaker"],
            "dialogue": f"{name}_dia{dialogue}",
            "episode": f"s{line['Season'].zfill(2)}e{line['Episode'].zfill(2)}",
            "sentiment": line["Sentiment"],
        })  # fmt: skip
    return rows


def _paths(root: Path, name: str, files: list[Path]) -> dict[tuple[str, str], str]:
    """Return (dialogue, utterance) -> path of the files of a split, by the innermost folder that names one."""
    paths: dict[tuple[str, str], str] = {}
    for file in files:
        match = _NAME.fullmatch(file.stem)
        if match is None or _split_name(file) != name:
            continue
        clip, path = (match[1], match[2]), file.as_posix()
        if clip in paths:
            raise CorpusError(
                f"The clip {name}_{file.stem} of MELD is in {root} twice: {paths[clip]} and {path}. Expected one file "
                "for each clip. Move the others out of the corpus folder."
            )
        paths[clip] = path
    return paths


def _split_name(file: Path) -> str:
    """Return what the lists call the split of a file; "" if no folder names one."""
    for folder in reversed(file.parts[:-1]):
        for name, pattern in _FOLDER.items():
            if re.match(pattern, folder, re.IGNORECASE):
                return name
    return ""

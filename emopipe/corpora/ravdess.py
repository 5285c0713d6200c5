"""RAVDESS, read off its file names: modality-channel-emotion-intensity-statement-repetition-actor."""

import re
from pathlib import Path
from typing import Literal

import pandas as pd

from emopipe.core.errors import CorpusError
from emopipe.core.text import abbreviate
from emopipe.corpora import splits
from emopipe.corpora.classes import with_labels
from emopipe.corpora.files import AUDIO, VIDEO, media_files
from emopipe.corpora.names import parsed
from emopipe.corpora.table import from_rows

_NAME = re.compile(
    r"(?P<modality>0[1-3])-(?P<channel>0[12])-(?P<label>0[1-8])-(?P<intensity>0[12])-(?P<statement>0[12])"
    r"-(?P<repetition>0[12])-(?P<subject>\d\d)"
)
_EXAMPLE = "01-01-03-01-01-01-01"
_MEANING: dict[str, dict[str, str]] = {
    "modality": {"01": "av", "02": "video", "03": "audio"},
    "channel": {"01": "speech", "02": "song"},
    "label": {
        "01": "neutral",
        "02": "calm",
        "03": "happy",
        "04": "sad",
        "05": "angry",
        "06": "fearful",
        "07": "disgust",
        "08": "surprised",
    },
    "intensity": {"01": "normal", "02": "strong"},
}


class CorpusOptions(splits.SplitOptions):
    """Which of RAVDESS's recordings are taken, and how they are split."""

    split: Literal["auto", "subject", "repetition", "stratified"] = "auto"
    """By subject, by repetition (01 train, 02 val), or by clip; auto: by subject, for one by repetition."""
    modality: Literal["av", "video", "audio"] = "av"
    """Each take comes with sound (01), as silent video (02) and as sound alone (03): which one is taken."""
    channel: Literal["speech", "song", "both"] = "both"
    """Whether spoken or sung takes are wanted."""
    calm: Literal["exclude", "neutral"] = "exclude"
    """Calm is none of the seven classes: left out, or counted as Neutral."""


def scan(root: Path, options: CorpusOptions) -> pd.DataFrame:
    """The clip table of the recordings below root, with channel, intensity, statement and repetition.

    Raises:
        CorpusError: a file is not named as RAVDESS names its files, or none is of the wanted kind.
    """
    files = media_files(root, AUDIO if options.modality == "audio" else VIDEO)
    every = from_rows(parsed(root, files, _NAME, "RAVDESS", _EXAMPLE)).replace(_MEANING)
    table = _wanted(every, options)
    if table.empty:
        raise CorpusError(
            f"None of the {len(every)} recordings in {root} has a wanted class, modality: {options.modality} "
            f"and channel: {options.channel}, where the corpus has the modalities "
            f"{abbreviate(every['modality'].unique().tolist())} and the channels "
            f"{abbreviate(every['channel'].unique().tolist())}: change these options."
        )
    table = with_labels(table.replace({"label": {"calm": "neutral"}})).drop(columns="modality")
    is_auto = options.split == "auto"
    if options.split == "repetition" or (is_auto and not splits.is_by_subject(table, options)):
        return table.assign(split=table["repetition"].map({"01": "train", "02": "val"}).astype(str))
    return splits.assign(table, options)


def _wanted(table: pd.DataFrame, options: CorpusOptions) -> pd.DataFrame:
    keep = table["modality"] == options.modality
    if options.channel != "both":
        keep &= table["channel"] == options.channel
    if options.calm == "exclude":
        keep &= table["label"] != "calm"
    return table[keep]

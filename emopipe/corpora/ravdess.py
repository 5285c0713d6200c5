"""RAVDESS. Its file names give modality-channel-emotion-intensity-statement-repetition-actor.

Odd actors are men, even ones are women (the description of the release, https://zenodo.org/records/1188976).
"""

import re
from pathlib import Path
from typing import Literal

import pandas as pd
from pydantic import ValidationInfo, field_validator

from emopipe.core.errors import CorpusError
from emopipe.core.text import abbreviate
from emopipe.corpora import splits
from emopipe.corpora.files import FileOptions, clip_files
from emopipe.corpora.labelling import ClassOptions, labelling_in
from emopipe.corpora.names import parse_names
from emopipe.corpora.table import from_rows

_NAME = re.compile(
    r"(?P<modality>0[1-3])-(?P<channel>0[12])-(?P<label>0[1-8])-(?P<intensity>0[12])-(?P<sentence>0[12])"
    r"-(?P<repetition>0[12])-(?P<subject>\d\d)"
)
CALM = "Calm"
"""The class of calm clips, for runs and networks that have it."""
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


class CorpusOptions(ClassOptions, FileOptions, splits.SplitOptions):
    """Which of RAVDESS's recordings are used, and how they are split."""

    split: Literal["auto", "subject", "repetition", "stratified"] = "auto"
    """How clips are split: by subject, by repetition (01 train, 02 val), or by clip within each class (stratified).
    auto: by subject if there are several, else by repetition."""
    modality: Literal["av", "video", "audio"] = "av"
    """Which recordings are used: with sound (01), silent video (02), or sound alone (03)."""
    channel: Literal["speech", "song", "both"] = "both"
    """Whether spoken or sung recordings are used."""
    calm: Literal["exclude", "neutral", "calm"] = "exclude"
    """Calm is not one of the seven classes: exclude omits its clips, neutral counts them as Neutral, calm keeps them as
    the class Calm, where the label space or the classes of the network that is trained contain it. If the key is not
    set, a run keeps calm clips where its label space, or `labels.map`, has Calm."""

    @field_validator("calm")
    @classmethod
    def _is_a_class(cls, calm: str, info: ValidationInfo) -> str:
        labelling = labelling_in(info.context)
        if calm == "calm" and not labelling.label_of(CALM):
            where = "the key labels of the config" if labelling.of_run else "the `classes` of the network"
            raise ValueError(
                f"it is calm, which keeps clips as the class {CALM}, but the classes here are "
                f"{', '.join(labelling.space.names)}. Set it to exclude or neutral, or add {CALM} to {where}"
            )
        return calm

    @property
    def calm_counts_as(self) -> str:
        """The class name of calm clips; "" if they are omitted."""
        is_set = "calm" in self.model_fields_set
        keeps = self.calm == "calm" or (not is_set and self.labelling.keeps(CALM))
        return CALM if keeps else "neutral" if self.calm == "neutral" else ""


def scan(root: Path, options: CorpusOptions) -> pd.DataFrame:
    """Return the clip table of the recordings below root, with channel, intensity, sentence, repetition and sex.

    Raises:
        CorpusError: A file name does not follow RAVDESS's scheme, or the options select no recording.
    """
    # 1. All recordings, then those that the options select.
    files = clip_files(root, ["audio" if options.modality == "audio" else "video"], options.omit_folders)
    recordings = from_rows(parse_names(root, files, _NAME, "RAVDESS", _EXAMPLE)).replace(_MEANING)
    selected = recordings["modality"] == options.modality
    if options.channel != "both":
        selected &= recordings["channel"] == options.channel
    if not options.calm_counts_as:
        selected &= recordings["label"] != "calm"
    if not selected.any():
        raise CorpusError(
            f"None of the {len(recordings)} recordings in {root} has one of the classes, "
            f"modality: {options.modality} and channel: {options.channel}. The corpus has the modalities "
            f"{abbreviate(recordings['modality'].unique().tolist())} and the channels "
            f"{abbreviate(recordings['channel'].unique().tolist())}. Change these options."
        )
    table = recordings[selected].replace({"label": {"calm": options.calm_counts_as}})
    table = options.with_labels(table).drop(columns="modality")
    table = table.assign(sex=table["subject"].map(lambda actor: "male" if int(actor) % 2 else "female").astype(str))
    # 2. Their splits.
    is_auto = options.split == "auto"
    if options.split == "repetition" or (is_auto and not splits.is_by_subject(table, options)):
        split = table["repetition"].map({"01": "train", "02": "val"}).astype(str)
        return table.assign(split=split, **{splits.SPLIT_BY: splits.BY_REPETITION})
    return splits.assign(table, options)

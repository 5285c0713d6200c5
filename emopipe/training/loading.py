"""From the corpora that a step of a chain names to the lessons that a network is given."""

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pandas as pd

from emopipe import corpora, stills
from emopipe.backbones.base import Spec
from emopipe.core.errors import CorpusError
from emopipe.core.labels import CLASSES
from emopipe.core.log import LOGGER, Progress
from emopipe.faces import detectors
from emopipe.faces.detection import Detector
from emopipe.media.decoded import DecodeOptions
from emopipe.media.sandbox import ClipReader
from emopipe.stills.base import one_hot
from emopipe.stills.merge import merged
from emopipe.training import sharded_images
from emopipe.training.dataset import Lessons
from emopipe.training.phase_options import SpeechPhase, StillsPhase
from emopipe.training.sources import SourceBlock
from emopipe.training.speech_dataset import SpeechLessons
from emopipe.training.stills_dataset import StillLessons

Sources = Mapping[str, SourceBlock]


def lessons(sources: Sources, step: StillsPhase | SpeechPhase, spec: Spec, work: Path, threads: int) -> Lessons:
    """What a step learns from.

    Args:
        sources: The step's corpora by name.
        step: Its recipe.
        spec: What the network takes in.
        work: A folder in which stills are kept, cut, while training runs.
        threads: CPU threads of a detector.

    Raises:
        CorpusError: A corpus is not as its kind expects, or has nothing to learn from.
    """
    made = _stills(sources, step, spec, work, threads) if spec.modality == "face" else _speech(sources, step, spec)
    missing = [
        name for name, share in zip(CLASSES, made.targets[made.split == "train"].sum(0), strict=True) if not share
    ]
    if len(missing) == len(CLASSES):
        splits = {name: block.train for name, block in sources.items()}
        raise CorpusError(f"There is nothing to learn from in {splits}: correct the sources' `train`.")
    if missing:
        LOGGER.warning(f"no training sample shows {', '.join(missing)}: the network cannot learn it")
    counts = {split: int((made.split == split).sum()) for split in ("train", "val")}
    LOGGER.info(f"{counts['train']} samples to learn from, {counts['val']} to look at")
    return made


def _stills(sources: Sources, step: StillsPhase, spec: Spec, work: Path, threads: int) -> StillLessons:
    parts = []
    for name, block in sources.items():
        whole = stills.read(block.kind, _root(block), stills.options_class(block.kind).model_validate(block.options))
        role = _roles(whole.table["split"], block)
        chosen = whole.rows(role != "")
        cut, readable = sharded_images.prepare(chosen, spec.input, _detector(block, threads), work / f"{name}.npy")
        parts.append((chosen, cut, role[role != ""], readable))
    together = merged([part[0] for part in parts], list(sources))
    # Stills that are no pictures keep their numbers, but are in no split.
    role = np.concatenate([np.where(readable, role, "") for _, _, role, readable in parts])
    subject = together.table["subject"].to_numpy(str)
    held = sharded_images.Held([cut for _, cut, _, _ in parts])
    return StillLessons(held, together.targets, role, subject, spec.input, step.augment, step.side)


def _speech(sources: Sources, step: SpeechPhase, spec: Spec) -> SpeechLessons:
    tables = []
    for name, block in sources.items():
        root = _root(block)
        table = corpora.scan(block.kind, root, corpora.options_class(block.kind).model_validate(block.options))
        table = table[table["label"] != ""]
        table = table.assign(role=_roles(table["split"], block), file=[root / path for path in table["path"]])
        # Speakers of two corpora may go by one number.
        table["subject"] = table["subject"].map(lambda who, name=name: f"{name}/{who}" if who else "")
        tables.append(table[table["role"] != ""])
    table = pd.concat(tables, ignore_index=True)
    waves = _waves(table)
    heard = np.array([len(wave) > 0 for wave in waves], bool)
    return SpeechLessons(
        [wave for wave in waves if len(wave)],
        one_hot(table["label"])[heard],
        table["role"].to_numpy(str)[heard],
        table["subject"].to_numpy(str)[heard],
        spec.input,
        step,
    )


def _waves(table: pd.DataFrame) -> list[np.ndarray]:
    """Sound (samples,) int16 at 16 kHz of every row; empty where it has none, which is said."""
    progress = Progress("reading speech", len(table), unit="utterances")
    waves = []
    with ClipReader(DecodeOptions(policy="count", count=1)) as read_clip:
        for file in table["file"]:
            media = read_clip(file)
            if not len(media.audio):
                LOGGER.warning(f"{file} has no sound and is left out ({media.reason or media.status})")
            waves.append(media.audio)
            progress.advance()
    return waves


def _roles(split: pd.Series, block: SourceBlock) -> np.ndarray:
    """(n,) `train`, `val` or "": what each sample is for."""
    found = set(split) - {""}
    for key, names in (("train", block.train if found else ()), ("val", block.val or ())):
        if absent := [name for name in names if name not in found]:
            raise CorpusError(
                f"{block.path} has no split {absent[0]!r} (found: {', '.join(sorted(found)) or 'none'}): correct the "
                f"source's `{key}`."
            )
    if not found:
        return np.full(len(split), "train", "<U5")
    # A split of that name may be learned from, as any other.
    val = ["val"] if block.val is None else block.val
    return np.where(split.isin(block.train), "train", np.where(split.isin(val), "val", "")).astype("<U5")


def _root(block: SourceBlock) -> Path:
    return Path(block.path).expanduser()


def _detector(block: SourceBlock, threads: int) -> Detector | None:
    if block.detect is None:
        return None
    options = detectors.options_class(block.detect).model_validate(block.detector)
    return detectors.build(block.detect, options, threads=threads)

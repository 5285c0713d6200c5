"""Reads the corpora of a phase into a dataset for the trainer."""

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pandas as pd

from emopipe import corpora, stills
from emopipe.backbones.base import Spec
from emopipe.cache.status import text
from emopipe.core.errors import CorpusError
from emopipe.core.labels import CLASSES
from emopipe.core.log import LOGGER, Progress
from emopipe.faces import detectors
from emopipe.media.decoded import DecodeOptions
from emopipe.media.pairs import sound_files
from emopipe.media.sandbox import ClipReader
from emopipe.media.spans import in_order, spans_of
from emopipe.stills.base import one_hot
from emopipe.stills.merge import merged
from emopipe.training import sharded_images
from emopipe.training.dataset import Dataset
from emopipe.training.phase_options import SpeechPhase, StillsPhase
from emopipe.training.sources import SourceBlock
from emopipe.training.speech_dataset import SpeechDataset
from emopipe.training.stills_dataset import StillsDataset

Sources = Mapping[str, SourceBlock]


def load_dataset(
    sources: Sources,
    phase: StillsPhase | SpeechPhase,
    spec: Spec,
    work: Path,
    *,
    threads: int,
    device: str,
) -> Dataset:
    """Read the corpora of a phase.

    Args:
        sources: The phase's corpora by name.
        phase: The phase.
        spec: The network's specification.
        work: A folder in which cropped stills are kept while training runs.
        threads: CPU threads of a detector.
        device: Where a detector runs: auto, cpu or cuda.

    Raises:
        DeviceError: A detector cannot run on the device.
        CorpusError: A corpus does not have the form of its kind, or there are no training samples.
    """
    read = _stills if spec.modality == "face" else _speech
    dataset = read(sources, phase, spec, work, threads, device)
    shares = dataset.targets[dataset.split == "train"].sum(0)
    missing = [name for name, share in zip(CLASSES, shares, strict=True) if not share]
    if len(missing) == len(CLASSES):
        splits = {name: block.train for name, block in sources.items()}
        raise CorpusError(f"No training samples were found in the splits {splits}. Correct `train` of the sources.")
    if missing:
        shown = dataset.targets[dataset.split == "val"].argmax(1)
        wrong = int(np.isin(shown, [CLASSES.index(name) for name in missing]).sum())
        LOGGER.warning(
            f"No training sample shows {', '.join(missing)}, so the network gives these classes no probability. "
            f"{wrong} of {len(shown)} validation samples show them and count as wrong."
        )
    counts = {split: int((dataset.split == split).sum()) for split in ("train", "val")}
    LOGGER.info(f"{counts['train']} training samples, {counts['val']} validation samples")
    return dataset


def _stills(sources: Sources, phase: StillsPhase, spec: Spec, work: Path, threads: int, device: str) -> StillsDataset:
    parts = []
    for name, block in sources.items():
        # 1. The stills, and what each is for.
        whole = stills.read(block.kind, _root(block), stills.options_class(block.kind).model_validate(block.options))
        role = _roles(whole.table["split"], block)
        chosen = whole.rows(role != "")

        # 2. Their pixels. Stills that cannot be read keep their rows, but are in no split.
        detector = None
        if block.detect is not None:
            options = detectors.options_class(block.detect).model_validate(block.detector)
            detector = detectors.build(block.detect, options, threads=threads, device=device)
        images, is_readable = sharded_images.prepare(chosen, spec.input, detector, work / f"{name}.npy")
        parts.append((chosen, images, np.where(is_readable, role[role != ""], "")))

    together = merged([chosen for chosen, _, _ in parts], list(sources))
    images = sharded_images.ShardedImages([images for _, images, _ in parts])
    split = np.concatenate([role for _, _, role in parts])
    subject = together.table["subject"].to_numpy(str)
    return StillsDataset(images, together.targets, split, subject, spec.input, phase.augment, phase.side)


def _speech(
    sources: Sources, phase: SpeechPhase, spec: Spec, _work: Path, _threads: int, _device: str
) -> SpeechDataset:
    # 1. The utterances, and what each is for.
    tables = []
    for name, block in sources.items():
        root = _root(block)
        table = corpora.scan(block.kind, root, corpora.options_class(block.kind).model_validate(block.options))
        table = table[table["label"] != ""]
        table = in_order(table)
        heard = [sound or path for path, sound in zip(table["path"], sound_files(table), strict=True)]
        files = [(root / path, span) for path, span in zip(heard, spans_of(table), strict=True)]
        table = table.assign(role=_roles(table["split"], block), file=files)
        # Speakers of two corpora may have the same number.
        table["subject"] = table["subject"].map(lambda who, name=name: f"{name}/{who}" if who else "")
        tables.append(table[table["role"] != ""])
    table = pd.concat(tables, ignore_index=True)

    # 2. Their sound: (samples,) int16 at 16 kHz, empty where a file has none.
    progress = Progress("reading speech", len(table), unit="utterances")
    waves = []
    with ClipReader(DecodeOptions(policy="count", count=1)) as read_clip:
        for (file, _), reading in zip(table["file"], read_clip.readings(table["file"].tolist()), strict=True):
            media = reading()
            if not len(media.audio):
                LOGGER.warning(f"{file} is omitted because it has no sound. {text(media.reason) or media.status}")
            waves.append(media.audio)
            progress.advance()

    has_sound = np.array([len(wave) > 0 for wave in waves], bool)
    return SpeechDataset(
        [wave for wave in waves if len(wave)],
        one_hot(table["label"])[has_sound],
        table["role"].to_numpy(str)[has_sound],
        table["subject"].to_numpy(str)[has_sound],
        spec.input,
        phase,
    )


def _root(block: SourceBlock) -> Path:
    return Path(block.path).expanduser()


def _roles(split: pd.Series, block: SourceBlock) -> np.ndarray:
    """Return (n,) `train`, `val` or "": the use of each sample."""
    found = set(split) - {""}
    for key, names in (("train", block.train if found else ()), ("val", block.val or ())):
        if absent := [name for name in names if name not in found]:
            raise CorpusError(
                f"{block.path} has no split {absent[0]!r} (found: {', '.join(sorted(found)) or 'none'}). Correct "
                f"`{key}` of the source."
            )
    if not found:
        return np.full(len(split), "train", "<U5")
    # A split named val may be in `train`; then it is used for training.
    val = ["val"] if block.val is None else block.val
    return np.where(split.isin(block.train), "train", np.where(split.isin(val), "val", "")).astype("<U5")

"""Reads the corpora of a phase into a dataset for the trainer."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from emopipe import corpora, stills
from emopipe.backbones.base import Spec
from emopipe.backbones.shared_classes import answered
from emopipe.cache.status import UNREADABLE, text
from emopipe.core.errors import CorpusError
from emopipe.core.labels import CLASSES
from emopipe.core.log import LOGGER, Progress
from emopipe.corpora.digests import content_digests
from emopipe.corpora.labelling import in_classes
from emopipe.faces import detectors
from emopipe.media.decoded import DecodeOptions
from emopipe.media.pairs import sound_files
from emopipe.media.sandbox import ClipReader
from emopipe.media.spans import in_order, spans_of
from emopipe.stills.base import Stills, one_hot
from emopipe.stills.contents import Contents, across_splits, copies
from emopipe.stills.listed import omitted_keys
from emopipe.stills.merge import merged
from emopipe.training import sharded_images
from emopipe.training.dataset import Dataset
from emopipe.training.phase_options import SpeechPhase, StillsPhase
from emopipe.training.sources import SourceBlock
from emopipe.training.speech_dataset import SpeechDataset
from emopipe.training.stills_dataset import StillsDataset
from emopipe.weights.trained_on import DIGITS, TrainedOn, person

Sources = Mapping[str, SourceBlock]


@dataclass(frozen=True)
class Loaded:
    """The samples of a phase."""

    dataset: Dataset
    trained_on: TrainedOn
    """What is in the split train of the dataset; a held-out part for early stopping is included."""
    omitted: dict[str, int]
    """Source -> how many of its training samples are not used, because a copy is in a split that is not trained on or
    because `omit` lists them."""


def load_dataset(
    sources: Sources,
    phase: StillsPhase | SpeechPhase,
    spec: Spec,
    work: Path,
    *,
    threads: int,
    device: str,
    classes: Sequence[str] = CLASSES,
) -> Loaded:
    """Read the corpora of a phase.

    Args:
        sources: The phase's corpora by name.
        phase: The phase.
        spec: The network's specification.
        work: A folder in which cropped stills are kept while training runs.
        threads: CPU threads of a detector.
        device: Where a detector runs: auto, cpu or cuda.
        classes: The K classes of the targets.

    Raises:
        DeviceError: A detector cannot run on the device.
        CorpusError: A corpus does not have the form of its kind, or there are no training samples.
    """
    read = _stills if spec.modality == "face" else _speech
    loaded = read(sources, phase, spec, work, threads, device, classes)
    dataset = loaded.dataset
    shares = dataset.targets[dataset.split == "train"].sum(0)
    missing = [name for name, share in zip(classes, shares, strict=True) if not share]
    if {*(needed := answered(classes))} <= {*missing}:
        splits = {name: block.train for name, block in sources.items()}
        raise CorpusError(
            f"No training samples of the classes {', '.join(needed)} were found in the splits {splits}. Correct "
            "`train` of the sources, say by their option `labels` what their classes count as, or change `classes`."
        )
    if missing:
        shown = dataset.targets[dataset.split == "val"].argmax(1)
        wrong = int(np.isin(shown, [classes.index(name) for name in missing]).sum())
        LOGGER.warning(
            f"No training sample shows {', '.join(missing)}, so the network gives these classes no probability. "
            f"{wrong} of {len(shown)} validation samples show them and count as wrong."
        )
    counts = {split: int((dataset.split == split).sum()) for split in ("train", "val")}
    LOGGER.info(f"{counts['train']} training samples, {counts['val']} validation samples")
    return loaded


def _stills(
    sources: Sources, phase: StillsPhase, spec: Spec, work: Path, threads: int, device: str, classes: Sequence[str]
) -> Loaded:
    parts, found = [], {}
    for name, block in sources.items():
        # 1. The stills, and what each is for.
        own = stills.options_class(block.kind).model_validate(block.options, context=in_classes(classes))
        whole = stills.read(block.kind, _root(block), own)
        contents = Contents(whole)
        role = _roles(whole.table["split"], block)
        is_chosen = role != ""
        chosen = contents.recorded().rows(is_chosen)

        # 2. Their pixels. Stills that cannot be read keep their rows, but are in no split.
        detector = None
        if block.detect is not None:
            options = detectors.options_class(block.detect).model_validate(block.detector)
            detector = detectors.build(block.detect, options, threads=threads, device=device)
        images, is_readable = sharded_images.prepare(chosen, spec.input, detector, work / f"{name}.npy")
        role[is_chosen] = np.where(is_readable, role[is_chosen], "")
        parts.append((chosen, images, is_chosen))

        # 3. Their contents, and those of all other splits.
        people = [person(block.kind, subject) for subject in whole.table["subject"]]
        content = contents.digests(work / f"{name}.contents.npy")
        found[name] = _Samples(block, whole.table["split"].to_numpy(str), role, content, np.array(people, str))
        found[name].omit(_listed(whole, block))
    omitted = _omit_copies(found, "stills")

    together = merged([chosen for chosen, _, _ in parts], list(sources))
    images = sharded_images.ShardedImages([images for _, images, _ in parts])
    kept = [is_chosen for _, _, is_chosen in parts]
    split = np.concatenate([one.role[chosen] for one, chosen in zip(found.values(), kept, strict=True)])
    subject = together.table["subject"].to_numpy(str)
    dataset = StillsDataset(images, together.targets, split, subject, spec.input, phase.augment, phase.side)
    return Loaded(dataset, _trained_on(dataset, list(found.values()), classes), omitted)


def _listed(whole: Stills, block: SourceBlock) -> np.ndarray:
    """Return (n,) bool: the stills that the source's file `omit` lists."""
    keys = whole.table["key"]
    return keys.isin(omitted_keys(block.omit_file, keys)).to_numpy() if block.omit else np.zeros(len(keys), bool)


def _speech(
    sources: Sources, phase: SpeechPhase, spec: Spec, _work: Path, _threads: int, _device: str, classes: Sequence[str]
) -> Loaded:
    # 1. The utterances, and what each is for.
    tables, found = [], {}
    for name, block in sources.items():
        root = _root(block)
        own = corpora.options_class(block.kind).model_validate(block.options, context=in_classes(classes))
        table = corpora.scan(block.kind, root, own)
        table = content_digests(root, in_order(table[table["label"] != ""]), None)
        heard = [sound or path for path, sound in zip(table["path"], sound_files(table), strict=True)]
        files = [(root / path, span) for path, span in zip(heard, spans_of(table), strict=True)]
        content = table["digest"].replace(UNREADABLE, "").str[:DIGITS].to_numpy(str)
        people = np.array([person(block.kind, who) for who in table["subject"]], str)
        split, role = table["split"].to_numpy(str), _roles(table["split"], block)
        found[name] = _Samples(block, split, role, content, people)
        # Speakers of two corpora may have the same number.
        subject = table["subject"].map(lambda who, name=name: f"{name}/{who}" if who else "")
        tables.append(table.assign(file=files, subject=subject))
    omitted = _omit_copies(found, "utterances")
    role = np.concatenate([one.role for one in found.values()])
    table = pd.concat(tables, ignore_index=True).assign(role=role)[role != ""]

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
    dataset = SpeechDataset(
        [wave for wave in waves if len(wave)],
        one_hot(table["label"], classes)[has_sound],
        table["role"].to_numpy(str)[has_sound],
        table["subject"].to_numpy(str)[has_sound],
        spec.input,
        phase,
    )
    return Loaded(dataset, _trained_on(dataset, list(found.values()), classes), omitted)


@dataclass
class _Samples:
    """All samples of one corpus, N of them, those of other splits included."""

    block: SourceBlock
    split: np.ndarray
    """(N,) the corpus' own split; "" without splits."""
    role: np.ndarray
    """(N,) `train`, `val` or "": the use of each sample."""
    content: np.ndarray
    """(N,) the digest of its content; "" if unknown."""
    people: np.ndarray
    """(N,) its person, as `emopipe.weights.trained_on.person` names them."""
    omitted: int = 0
    """How many training samples `omit` took out."""

    @property
    def is_evaluated(self) -> np.ndarray:
        """(N,) bool: the samples of splits that are not trained on."""
        return (self.split != "") & ~np.isin(self.split, self.block.train)

    def omit(self, chosen: np.ndarray) -> None:
        """Take samples (N,) bool out of training."""
        taken = chosen & (self.role == "train")
        self.omitted += int(taken.sum())
        self.role[taken] = ""


def _omit_copies(found: Mapping[str, _Samples], unit: str) -> dict[str, int]:
    """Take training samples out whose content is evaluated in any of the corpora, and log what was found and done.

    Returns:
        Source -> how many of its training samples are not used; without those of which none is omitted.
    """
    evaluated = np.concatenate([one.content[one.is_evaluated] for one in found.values()])
    for name, one in found.items():
        if shared := across_splits(one.content, one.split, unit):
            LOGGER.info(f"{name}: {shared}")
        listed, trained = one.omitted, one.omitted + int((one.role == "train").sum())
        is_copy = copies(one.content, evaluated) & (one.role == "train")
        if is_copy.any() and one.block.copies == "keep":
            LOGGER.warning(
                f"{name}: {is_copy.sum()} of {trained} training {unit} also stand in splits that are not trained on. "
                "They are used for training (copies: keep), so scores on those splits are too good."
            )
        elif is_copy.any() or listed:
            one.omit(is_copy)
            by_list = f", {listed} of them by {one.block.omit}" if listed else ""
            LOGGER.info(
                f"{name}: {one.omitted} of {trained} training {unit} also stand in splits that are not trained on, and "
                f"are omitted{by_list} (copies: {one.block.copies})"
            )
    return {name: one.omitted for name, one in found.items() if one.omitted}


def _trained_on(dataset: Dataset, found: list[_Samples], names: Sequence[str]) -> TrainedOn:
    """Return what the split train of a dataset holds."""
    sums = dataset.targets[dataset.split == "train"].sum(0).round().astype(int).tolist()
    classes = {label: count for label, count in zip(names, sums, strict=True) if count}
    trained = [one.role == "train" for one in found]
    people = {str(who) for one, rows in zip(found, trained, strict=True) for who in one.people[rows]}
    contents = {str(content) for one, rows in zip(found, trained, strict=True) for content in one.content[rows]}
    return TrainedOn(classes, frozenset(people - {""}), frozenset(contents - {""}))


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

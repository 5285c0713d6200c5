"""Stage chain: trains a backbone on labelled stills or speech of other corpora; one phase of its schedule."""

import contextlib
import json
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

from emopipe.backbones import registry
from emopipe.backbones.classifier import Classifier, load_head, save_classifier
from emopipe.backbones.head_in_file import has_classifier
from emopipe.cache.partial import partial_folder
from emopipe.cache.preserved import PreservedOutputs, content
from emopipe.core.errors import WeightsError
from emopipe.core.fingerprint import digest, recipe_text
from emopipe.core.labels import CLASSES
from emopipe.core.log import LOGGER
from emopipe.runtime import device as devices
from emopipe.training import imitated_vectors, imitation
from emopipe.training.checkpoint import Checkpoint
from emopipe.training.curves import TensorBoardLog, plot_history
from emopipe.training.history import write_history
from emopipe.training.loading import Loaded, load_dataset
from emopipe.training.phase_options import SpeechPhase, StillsPhase, phase_class
from emopipe.training.sources import SourceBlock
from emopipe.training.trainer import Trainer
from emopipe.weights import trained_on


def run(
    recipe: Mapping[str, Any],
    paths: Mapping[str, str],
    output: Path,
    history: Path,
    curve: Path,
    events: Path,
    *,
    start: str | None,
    device: str,
    threads: int,
    preserve: bool = False,
    root: Path = Path(),
) -> None:
    """Train a backbone on the corpora of one phase; an interrupted run resumes after its last epoch.

    Args:
        recipe: The recipe (`Plan.chain`).
        paths: The paths of the phase's corpora, by name.
        output: The file of weights to write (see `emopipe.backbones.classifier`). The folder `<output>.work` beside it
            holds cropped stills and the checkpoint until the weights are written.
        history: The CSV to write, one row per epoch.
        curve: The figure of the history to write.
        events: A folder for TensorBoard.
        start: Weights to start from, or None.
        device: auto, cpu or cuda; the network and the face detector of a source with `detect` run there.
        threads: CPU threads.
        preserve: Keep a copy of the outputs for the next run if this run is killed, and restore such a copy (see
            `emopipe.cache.preserved`). The workflow sets it, because it removes copies when a run ends; `emopipe
            pretrain` does not.
        root: The folder below which a network to imitate is looked for first.

    Raises:
        ConfigError: The loss is not finite, because the learning rate is too high.
        DeviceError: The device does not exist, or its memory is too small.
        CacheError: Another process is writing these weights.
        CorpusError: A corpus does not have the form of its kind, or there are no training samples.
        WeightsError: The weights to start from are missing or belong to another network.
    """
    where = devices.prepare(device, threads)
    made = digest(recipe)
    work = output.with_name(f"{output.name}.work")
    stamp = digest([recipe, content(start), devices.name_of(where)])
    preserved = PreservedOutputs([output, history, curve], stamp) if preserve else None
    with partial_folder(output):  # for its lock: only one process at a time may use `work`
        if preserved and preserved.restore():
            return
        with contextlib.closing(TensorBoardLog(events)) as log:
            trainer, loaded = _trainer(recipe, paths, work / made[:16], start, where, device, threads, root)
            trainer.on_epoch = log.write
            trainer.run()
        write_history(trainer.history, history)
        plot_history(trainer.history, output.stem, curve)
        metadata = {"recipe_digest": made, "recipe": recipe_text(recipe), "device": devices.name_of(where)}
        metadata |= _training_samples(loaded, start)
        save_classifier(trainer.model.cpu(), output, metadata, half=recipe["half"])
        LOGGER.info(f"{output} is written")
        if preserved:
            preserved.save()
        shutil.rmtree(work, ignore_errors=True)  # the weights are written, even if some of the folder stays


def _trainer(
    recipe: Mapping[str, Any],
    paths: Mapping[str, str],
    work: Path,
    start: str | None,
    where: torch.device,
    device: str,
    threads: int,
    root: Path,
) -> tuple[Trainer, Loaded]:
    """Return the phase's training, not started yet, and its samples; the folder `work` is for this recipe only."""
    # 1. The network, and where it starts.
    kind = recipe["kind"]
    options = registry.options_class(kind).model_validate(recipe["options"])
    spec = registry.spec(kind, options)
    phase: StillsPhase | SpeechPhase = phase_class(spec.modality).model_validate(recipe["phase"])
    torch.manual_seed(phase.seed)
    classes = recipe.get("classes", CLASSES)
    model = Classifier(registry.build(kind, options), spec.dim, phase.dropout, classes)
    teacher = None
    if phase.distill_weight:
        teacher = _teacher(recipe, start) if phase.teacher == "start" else "average"
    if start and not phase.from_scratch:
        _load(model, recipe, start)
    if phase.frozen:
        model.freeze()

    # 2. The corpora.
    sources = {name: SourceBlock(**block["options"], path=paths[name]) for name, block in recipe["sources"].items()}
    loaded = load_dataset(sources, phase, spec, work, threads=threads, device=device, classes=classes)

    checkpoint = Checkpoint(work / "checkpoint.pt", digest([recipe, devices.name_of(where)]))
    how = {"stop": phase.stop, "distill_weight": phase.distill_weight, "teacher": teacher}
    if isinstance(phase, SpeechPhase) and phase.imitate:
        other = phase.imitate.below(root)
        vectors = imitated_vectors.vectors(loaded.dataset.waves, other, device=device, threads=threads)
        is_trained = loaded.dataset.split == "train"
        torch.manual_seed(phase.seed)  # for the layer; to build the other network may have drawn numbers
        how["imitation"] = imitation.Imitation(vectors, is_trained, spec.dim, phase.imitate.weight)
    return Trainer(model, loaded.dataset, phase, where, checkpoint, **how), loaded


def _training_samples(loaded: Loaded, start: str | None) -> dict[str, str]:
    """Return the metadata on what the weights were trained on, with what they started from, and on what was omitted."""
    seen = loaded.trained_on.after(trained_on.read(start) if start else trained_on.TrainedOn())
    omitted = {"omitted_copies": json.dumps(loaded.omitted, sort_keys=True)} if loaded.omitted else {}
    return {**trained_on.to_metadata(seen), **omitted}


def _teacher(recipe: Mapping[str, Any], start: str | None) -> Classifier:
    """Return the network that the phase starts from, as its teacher."""
    if not start or not has_classifier(start):
        raise WeightsError(
            f"distill_weight is set, but the weights that the phase starts from ({start or 'none'}) have no classifier "
            "that could teach. Start from weights that `emopipe pretrain` made, put a phase before this one, or remove "
            "distill_weight."
        )
    options = registry.options_class(recipe["kind"]).model_validate(recipe["options"])
    dim = registry.spec(recipe["kind"], options).dim
    with torch.random.fork_rng():
        network = registry.build(recipe["kind"], options)
        teacher = Classifier(network, dim, classes=recipe.get("classes", CLASSES))
    _load(teacher, recipe, start)
    if teacher.absent is not None and teacher.absent.all():
        raise WeightsError(
            f"distill_weight is set, but the weights that the phase starts from ({start}) know none of the classes "
            f"{', '.join(teacher.classes)}. Start from weights with some of these classes, or remove distill_weight."
        )
    return teacher


def _load(model: Classifier, recipe: Mapping[str, Any], start: str) -> None:
    """Load weights into the backbone and, if the file has one, the classifier."""
    options = registry.options_class(recipe["kind"]).model_validate(recipe["options"])
    registry.load(recipe["kind"], options, model.backbone, start)
    if has_classifier(start):
        load_head(model, start)

"""Stage chain: labelled stills or speech from elsewhere -> weights of a backbone; one step of its chain."""

import contextlib
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

from emopipe.backbones import registry
from emopipe.backbones.classifier import Classifier, has_classifier, load_head, save_classifier
from emopipe.cache.partial import folder_for
from emopipe.cache.preserved import Legacy, content
from emopipe.core.errors import WeightsError
from emopipe.core.fingerprint import digest, recipe_text
from emopipe.core.log import LOGGER
from emopipe.runtime import device as devices
from emopipe.training.checkpoint import Checkpoint
from emopipe.training.history import Journal, draw, write_history
from emopipe.training.loading import lessons
from emopipe.training.phase_options import SpeechPhase, StillsPhase, phase_class
from emopipe.training.sources import SourceBlock
from emopipe.training.trainer import School


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
    outlive: bool = False,
) -> None:
    """Train a backbone on the corpora of one step; a run that was cut off goes on after its last epoch.

    Args:
        recipe: `Plan.chain`.
        paths: Where the step's corpora lie, by name.
        output: The weights to make (`emopipe.backbones.classifier`). Beside it, `<output>.work` holds stills
            and checkpoint until the weights are there.
        history: A CSV, one row an epoch.
        curve: A picture of it.
        events: A folder for TensorBoard.
        start: Weights to start from, or None.
        device: auto, cpu or cuda.
        threads: CPU threads.
        outlive: Keep what was made for the job that a next run starts in its place (`cache.preserved`), and take
            up what such a job has left; for runs that clear it away, which `emopipe pretrain` does not.

    Raises:
        ConfigError: The loss is no number any more, as the learning rate is too high.
        CacheError: Another process is making these weights.
        CorpusError: A corpus is not as its kind expects, or has nothing to learn from.
        WeightsError: The weights to start from are missing or of another network.
    """
    where = devices.prepare(device, threads)
    made = digest(recipe)
    work = output.with_name(f"{output.name}.work")
    stamp = digest([recipe, content(start), devices.name_of(where)])
    legacy = Legacy([output, history, curve], stamp) if outlive else None
    with folder_for(output):  # for its lock: `work` is one process' alone
        if legacy and legacy.take_up():
            return
        with contextlib.closing(Journal(events)) as log:
            school = _school(recipe, paths, work / made[:16], start, where, threads)
            school.tell = log.tell
            school.run()
        write_history(school.history, history)
        draw(school.history, output.stem, curve)
        metadata = {"recipe_digest": made, "recipe": recipe_text(recipe), "device": devices.name_of(where)}
        save_classifier(school.model.cpu(), output, metadata, half=recipe["half"])
        LOGGER.info(f"{output} is made")
        if legacy:
            legacy.leave()
        shutil.rmtree(work, ignore_errors=True)  # the weights are there, whatever is left of it


def _school(
    recipe: Mapping[str, Any],
    paths: Mapping[str, str],
    work: Path,
    start: str | None,
    where: torch.device,
    threads: int,
) -> School:
    """The step's training, not begun yet; `work` is this recipe's own: it holds its stills and its checkpoint."""
    options = registry.options_class(recipe["kind"]).model_validate(recipe["options"])
    spec = registry.spec(recipe["kind"], options)
    step: StillsPhase | SpeechPhase = phase_class(spec.modality).model_validate(recipe["phase"])
    torch.manual_seed(step.seed)
    model = Classifier(registry.build(recipe["kind"], options), spec.dim, step.dropout)
    teacher = _teacher(recipe, start) if step.distill_weight and step.teacher == "start" else None
    if start and not step.from_scratch:
        _load(model, recipe, start)
    sources = {name: SourceBlock(**block["options"], path=paths[name]) for name, block in recipe["sources"].items()}
    learned_from = lessons(sources, step, spec, work, threads)
    checkpoint = Checkpoint(work / "checkpoint.pt", digest([recipe, devices.name_of(where)]))
    return School(model, learned_from, step, where, checkpoint, teacher)


def _load(model: Classifier, recipe: Mapping[str, Any], start: str) -> None:
    """Weights to start from, with their classifier, where they have this project's."""
    options = registry.options_class(recipe["kind"]).model_validate(recipe["options"])
    registry.load(recipe["kind"], options, model.backbone, start)
    if has_classifier(start):
        load_head(model, start)


def _teacher(recipe: Mapping[str, Any], start: str | None) -> Classifier:
    """The network that a step starts from, to learn from what it says."""
    if not start or not has_classifier(start):
        raise WeightsError(
            f"distill_weight is set, but the weights that the phase starts from ({start or 'none'}) have no classifier "
            "that could teach. Start from weights that `emopipe pretrain` made, put a phase before this one, or remove "
            "distill_weight."
        )
    options = registry.options_class(recipe["kind"]).model_validate(recipe["options"])
    with torch.random.fork_rng():
        teacher = Classifier(registry.build(recipe["kind"], options), registry.spec(recipe["kind"], options).dim)
    _load(teacher, recipe, start)
    return teacher

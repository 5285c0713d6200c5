"""Stage chain: labelled stills or speech from elsewhere -> weights of a backbone; one step of its chain."""

import contextlib
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

from emopipe import device as devices
from emopipe.backbones import registry
from emopipe.backbones.emotion import Classifier, save_classifier
from emopipe.pretraining import journal
from emopipe.pretraining.reading import lessons
from emopipe.pretraining.schooling import School
from emopipe.pretraining.sources import SourceBlock
from emopipe.pretraining.steps import SpeechStep, StillsStep, step_class
from emopipe.progress import LOGGER
from emopipe.provenance import digest, recipe_text


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
) -> None:
    """Train a backbone on the corpora of one step; a run that was cut off goes on after its last epoch.

    Args:
        recipe: `Plan.chain`.
        paths: Where the step's corpora lie, by name.
        output: The weights to make (see `emopipe.backbones.emotion`). Beside it a folder `<output>.work` holds stills
            and checkpoint until the weights are there.
        history: A CSV, one row an epoch.
        curve: A picture of it.
        events: A folder for TensorBoard.
        start: Weights to start from, or None.
        device: auto, cpu or cuda.
        threads: CPU threads.

    Raises:
        ConfigError: The loss is no number any more, as the learning rate is too high.
        CorpusError: A corpus is not as its kind expects, or has nothing to learn from.
        WeightsError: The weights to start from are missing or of another network.
    """
    where = devices.prepare(device, threads)
    made = digest(recipe)
    work = output.with_name(f"{output.name}.work")
    with contextlib.closing(journal.Journal(events)) as log:
        school = _school(recipe, paths, work / made[:16], start, where, threads)
        school.tell = log.tell
        school.run()
    journal.write_history(school.history, history)
    journal.draw(school.history, output.stem, curve)
    metadata = {"recipe_digest": made, "recipe": recipe_text(recipe), "device": devices.name_of(where)}
    save_classifier(school.model.cpu(), output, metadata, half=recipe["half"])
    LOGGER.info(f"{output} is made")
    shutil.rmtree(work)


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
    step: StillsStep | SpeechStep = step_class(spec.modality).model_validate(recipe["step"])
    torch.manual_seed(step.seed)
    network = registry.build(recipe["kind"], options)
    if start:
        registry.load(recipe["kind"], options, network, start)
    model = Classifier(network, spec.dim, step.dropout)
    sources = {name: SourceBlock(**block["options"], path=paths[name]) for name, block in recipe["sources"].items()}
    learned_from = lessons(sources, step, spec, work, threads)
    return School(model, learned_from, step, where, work / "checkpoint.pt", digest(recipe))

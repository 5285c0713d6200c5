"""The command `emopipe pretrain`: makes one file of weights from a recipe, without a workflow."""

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any, ClassVar

import typer
from pydantic import Field

from emopipe.backbones import registry as backbones
from emopipe.core.atomic import sha256
from emopipe.core.errors import ConfigError, WeightsError
from emopipe.core.fingerprint import digest
from emopipe.core.labels import CLASSES
from emopipe.core.log import LOGGER, log_to
from emopipe.core.options import Options
from emopipe.core.validation import checked, with_new_names
from emopipe.corpora.classes import OwnClasses
from emopipe.training.sources import SourceBlock
from emopipe.weights.checksums import verify
from emopipe.weights.naming import refuse_missing, resolve
from emopipe.workflow import config as configs
from emopipe.workflow.training_recipe import Recipe, phase_recipe


class WeightsRecipe(Options):
    """A file that describes how weights are made."""

    renamed: ClassVar = {"chain": "schedule"}

    kind: str
    """The network: a kind of backbone."""
    options: dict[str, Any] = Field(default_factory=dict)
    """The network's own options."""
    weights: str | None = None
    """Weights that the first phase starts from: a file, in the folder that --data names or in the one where the command
    runs, or a name that `emopipe weights list` shows."""
    sources: dict[configs.Name, SourceBlock] = Field(min_length=1)
    """The corpora. Their paths are relative to the folder that --data names."""
    schedule: list[dict[str, Any]] = Field(min_length=1)
    """The phases of the training, in order."""
    classes: OwnClasses = Field(default_factory=lambda: list(CLASSES))
    """The classes of the network, two or more. Default: the seven. A run uses those that its `labels` have, too."""
    half: bool = False
    """Save the weights of every phase in half precision."""


def pretrain(
    recipe: Annotated[Path, typer.Argument(help="The recipe, a YAML file such as configs/weights/expression.yaml.")],
    data: Annotated[Path, typer.Option(help="The folder that contains the recipe's corpora.")],
    out: Annotated[Path, typer.Option(help="The file of weights to write; its name ends in .safetensors.")],
    device: Annotated[str, typer.Option(help="auto, cpu or cuda.")] = "auto",
    threads: Annotated[int, typer.Option(help="CPU threads.")] = 2,
) -> None:
    """Train a network on labelled stills or speech. A run that was interrupted resumes when it is called again.

    Writes next to OUT the history (.csv), its curves (.png) and a folder for TensorBoard (.events). If the recipe has
    several phases, the weights of the earlier phases are kept there as .step0, .step1 and so on.
    """
    log_to(None)
    if out.suffix != ".safetensors":
        raise ConfigError(
            f"--out is {out}, but weights are written as safetensors. Give a file name that ends in .safetensors."
        )
    wanted = _resolved(checked(WeightsRecipe, configs.read(recipe)), data)
    _run(wanted, _recipes(wanted, data), data, out, device, threads)


def _resolved(wanted: WeightsRecipe, data: Path) -> WeightsRecipe:
    """Replace `timm:<name>` by kind and options, and the name of weights by their path and options."""
    kind, options = backbones.unfolded(wanted.kind, wanted.options)
    options = with_new_names(backbones.options_class(kind), options, "options")
    if not backbones.trainable(kind):
        raise ConfigError(
            f"kind is {kind}, but networks of this kind are already trained and cannot be trained further. Choose "
            "another kind."
        )
    wanted = wanted.model_copy(update={"kind": kind, "options": options})
    if not wanted.weights:
        return wanted
    beside = data / wanted.weights
    chosen = resolve(str(beside) if beside.is_file() else wanted.weights, kind, "weights")
    refuse_missing(chosen.path, "weights")
    verify(chosen.path)
    if not Path(chosen.path).is_file():
        raise WeightsError(
            f"weights is {chosen.path}, which is neither in {data} nor here. Put the file into "
            f"{data}, or change the path."
        )
    return wanted.model_copy(update={"options": {**chosen.defaults, **options}, "weights": chosen.path})


def _recipes(wanted: WeightsRecipe, data: Path) -> list[Recipe]:
    """Return the recipe of every phase. All phases are checked before the first one runs."""
    options = checked(backbones.options_class(wanted.kind), wanted.options, "options")
    recipes: list[Recipe] = []
    start = sha256(Path(wanted.weights)) if wanted.weights else ""
    for number, phase in enumerate(wanted.schedule):
        keys = {"where": f"schedule.{number}", "start": start, "half": wanted.half, "root": data}
        keys["classes"] = wanted.classes
        recipes.append(phase_recipe(wanted.kind, options, phase, wanted.sources, **keys))
        start = digest(recipes[-1])
    return recipes


def _run(wanted: WeightsRecipe, recipes: Sequence[Recipe], data: Path, out: Path, device: str, threads: int) -> None:
    """Train phase after phase; skip a phase whose weights already exist and were made by its recipe."""
    from emopipe.cache.metadata import made_by
    from emopipe.stages import chain  # torch is slow to import

    paths = {name: str(data / Path(block.path).expanduser()) for name, block in wanted.sources.items()}
    start = wanted.weights
    for number, recipe in enumerate(recipes):
        is_last = number == len(recipes) - 1
        output = out if is_last else out.with_name(f"{out.stem}.step{number}{out.suffix}")
        if made_by(output, recipe):
            LOGGER.info(f"{output} already exists and was made by this recipe")
        else:
            beside = (output.with_suffix(suffix) for suffix in (".csv", ".png", ".events"))
            chain.run(recipe, paths, output, *beside, start=start, device=device, threads=threads, root=data)
        start = str(output)

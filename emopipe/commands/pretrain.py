"""The command `emopipe pretrain`: makes one file of weights as a recipe says, outside of any workflow."""

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any

import typer
from pydantic import Field

from emopipe.backbones import registry as backbones
from emopipe.core.atomic import sha256
from emopipe.core.errors import ConfigError, EmopipeError, WeightsError
from emopipe.core.fingerprint import digest
from emopipe.core.log import LOGGER, log_to
from emopipe.core.options import Options
from emopipe.core.validation import checked, with_new_names
from emopipe.training.sources import SourceBlock
from emopipe.weights.checksums import verify
from emopipe.weights.naming import refuse_missing, resolve
from emopipe.workflow import config as configs
from emopipe.workflow.training_recipe import Recipe, step_recipe


class WeightsRecipe(Options):
    """A file that says how weights are made."""

    kind: str
    """The network: a kind of backbone."""
    options: dict[str, Any] = Field(default_factory=dict)
    """The network's own options."""
    weights: str | None = None
    """Weights that the first step starts from: a file, or a name that `emopipe weights list` shows."""
    sources: dict[configs.Name, SourceBlock] = Field(min_length=1)
    """The corpora; their paths are relative to the folder of data that the command is given."""
    chain: list[dict[str, Any]] = Field(min_length=1)
    """The steps, one after the other."""
    half: bool = False
    """Keep every step's weights in half precision."""


def pretrain(
    recipe: Annotated[Path, typer.Argument(help="A file that says how, such as configs/weights/expression.yaml.")],
    data: Annotated[Path, typer.Option(help="The folder that the recipe's corpora lie in.")],
    out: Annotated[Path, typer.Option(help="The weights to make, a .safetensors file.")],
    device: Annotated[str, typer.Option(help="auto, cpu or cuda.")] = "auto",
    threads: Annotated[int, typer.Option(help="CPU threads.")] = 2,
) -> None:
    """Train a network on labelled stills or speech. What was cut off goes on where it was when it is called again.

    Beside OUT, and by its name, come the history (.csv), its curves (.png) and a folder for TensorBoard (.events). Of
    several steps, the earlier ones' weights are kept there too, as .step0 and so on.
    """
    log_to(None)
    try:
        if out.suffix != ".safetensors":
            raise ConfigError(f"--out is {out}; weights are written as safetensors, so end its name in .safetensors.")
        wanted = _resolved(checked(WeightsRecipe, configs.read(recipe)))
        _run(wanted, _recipes(wanted, data), data, out, device, threads)
    except EmopipeError as error:
        typer.echo(str(error), err=True)
        raise typer.Exit(1) from None


def _resolved(wanted: WeightsRecipe) -> WeightsRecipe:
    """With the kind's options out of `timm:<name>`, and the path and options of weights that go by a name."""
    kind, options = backbones.unfolded(wanted.kind, wanted.options)
    options = with_new_names(backbones.options_class(kind), options, "options")
    if not backbones.trainable(kind):
        raise ConfigError(f"kind is {kind}, but such a network comes trained and cannot be trained here.")
    if not wanted.weights:
        return wanted.model_copy(update={"kind": kind, "options": options})
    chosen = resolve(wanted.weights, kind, "weights")
    refuse_missing(chosen.path, "weights")
    verify(chosen.path)
    if not Path(chosen.path).is_file():
        raise WeightsError(f"weights names {chosen.path}, which is not there: put the file there, or change the path.")
    return wanted.model_copy(update={"kind": kind, "options": {**chosen.defaults, **options}, "weights": chosen.path})


def _recipes(wanted: WeightsRecipe, data: Path) -> list[Recipe]:
    """Every step's recipe: all are checked before the first one runs."""
    options = checked(backbones.options_class(wanted.kind), wanted.options, "options")
    recipes: list[Recipe] = []
    start = sha256(Path(wanted.weights)) if wanted.weights else ""
    for number, step in enumerate(wanted.chain):
        keys = {"where": f"chain.{number}", "start": start, "half": wanted.half, "root": data}
        recipes.append(step_recipe(wanted.kind, options, step, wanted.sources, **keys))
        start = digest(recipes[-1])
    return recipes


def _run(wanted: WeightsRecipe, recipes: Sequence[Recipe], data: Path, out: Path, device: str, threads: int) -> None:
    from emopipe.cache.metadata import made_by
    from emopipe.stages import chain  # torch is slow to import

    paths = {name: str(data / Path(block.path).expanduser()) for name, block in wanted.sources.items()}
    start = wanted.weights
    for number, recipe in enumerate(recipes):
        last = number == len(recipes) - 1
        output = out if last else out.with_name(f"{out.stem}.step{number}{out.suffix}")
        if made_by(output, recipe):
            LOGGER.info(f"{output} is there already, made by this recipe")
        else:
            beside = (output.with_suffix(suffix) for suffix in (".csv", ".png", ".events"))
            chain.run(recipe, paths, output, *beside, start=start, device=device, threads=threads)
        start = str(output)

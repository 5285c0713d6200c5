"""The command `emopipe`: looks at configs and files; the work itself is Snakemake's."""

import json
from pathlib import Path
from typing import Annotated, Any

import h5py
import typer

from emopipe import corpora, stills
from emopipe.backbones import registry as backbones
from emopipe.commands import weights
from emopipe.commands.evaluate import evaluate
from emopipe.commands.pretrain import pretrain
from emopipe.commands.run import run
from emopipe.commands.verify import verify
from emopipe.core.errors import EmopipeError
from emopipe.faces import detectors
from emopipe.training.step_options import step_class
from emopipe.workflow import config as configs
from emopipe.workflow.resume import resume

app = typer.Typer(no_args_is_help=True, add_completion=False, help="Look at emopipe's configs, caches and results.")
app.add_typer(weights.app, name="weights")
app.command()(pretrain)
app.command()(evaluate)
app.command()(verify)
app.command(
    epilog="Example: emopipe run --configfile smoke --cores 2",
    context_settings={"allow_extra_args": True, "ignore_unknown_options": True},
)(run)
app.command(context_settings={"allow_extra_args": True, "ignore_unknown_options": True})(resume)


@app.command()
def check(config: Annotated[Path, typer.Argument(help="A config file.")], corpus_root: str | None = None) -> None:
    """Check a config file, without looking at the corpus."""
    try:
        raw = configs.read(config)
        checked = configs.parse({**raw, **({"corpus_root": corpus_root} if corpus_root else {})})
    except EmopipeError as error:
        typer.echo(str(error), err=True)
        raise typer.Exit(1) from None
    typer.echo(f"{config} is sound: run {checked.run}, models {', '.join(checked.models) or 'none'}.")


@app.command("config-keys")
def config_keys() -> None:
    """Every key of the config with its type, default and description."""
    _tell(configs.Config.model_json_schema(), "")
    for block, kinds in {
        "corpus": corpora,
        "faces.<name>": detectors,
        "backbones.<name>": backbones,
        "sources.<name>": stills,
    }.items():
        for kind in kinds.KINDS:
            typer.echo(f"\n{block}.options of {kind}:")
            _tell(kinds.options_class(kind).model_json_schema(), "  ")
    for modality in ("face", "audio"):
        typer.echo(f"\nbackbones.<name>.chain, each step of a network of modality {modality}:")
        _tell(step_class(modality).model_json_schema(), "  ")


def _tell(schema: dict[str, Any], indent: str) -> None:
    for key, kind, default, description in _keys(schema):
        typer.echo(f"{indent}{key}  ({kind}, {default})\n{indent}    {description}")


@app.command()
def inspect(file: Annotated[Path, typer.Argument(help="A cache file (.h5).")]) -> None:
    """What made a cache file, and how its clips fared."""
    try:
        with h5py.File(file, "r") as cache:
            for name, value in cache.attrs.items():
                typer.echo(f"{name}: {value}")
            status = [text.decode() for text in cache["clips/status"][:]]
    except (OSError, KeyError) as error:
        typer.echo(f"{file} is not a cache file of emopipe: {error}", err=True)
        raise typer.Exit(1) from None
    typer.echo(f"clips: { ({name: status.count(name) for name in sorted(set(status))}) }")


def _keys(schema: dict[str, Any], prefix: str = "", known: dict[str, Any] | None = None) -> list[tuple[str, ...]]:
    """Rows for a JSON schema; blocks follow their key, presets stand as <name>."""
    known = known or schema.get("$defs", {})
    rows = []
    for key, field in schema.get("properties", {}).items():
        path = f"{prefix}{key}"
        default = "required" if key in schema.get("required", ()) else f"default {json.dumps(field.get('default', {}))}"
        rows.append((path, _type(field), default, field.get("description", "").replace("\n", " ")))
        inner, suffix = _inner(field, known)
        rows += _keys(inner, f"{path}.{suffix}", known) if inner else []
    return rows


def _type(field: dict[str, Any]) -> str:
    if "anyOf" in field:
        return " or ".join(_type(option) for option in field["anyOf"])
    return " | ".join(map(str, field["enum"])) if "enum" in field else field.get("type", "block")


def _inner(field: dict[str, Any], known: dict[str, Any]) -> tuple[dict[str, Any] | None, str]:
    """The block that a key holds, and what stands between them in the path."""
    options = [field, *field.get("anyOf", ())]
    values = [option.get("additionalProperties") for option in options] + [
        pattern for option in options for pattern in option.get("patternProperties", {}).values()
    ]
    for block in (value for value in values if isinstance(value, dict) and "$ref" in value):
        return known[block["$ref"].rpartition("/")[2]], "<name>."
    for block in (option for option in options if "$ref" in option):
        return known[block["$ref"].rpartition("/")[2]], ""
    return None, ""

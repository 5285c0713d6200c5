"""The command `emopipe config-keys`."""

import json
from collections.abc import Iterator
from typing import Annotated, Any

import typer

from emopipe import corpora, stills
from emopipe.backbones import registry as backbones
from emopipe.core.errors import ConfigError, EmopipeError
from emopipe.faces import detectors
from emopipe.training.phase_options import phase_class
from emopipe.workflow.config import Config


def config_keys(
    filter_: Annotated[
        str, typer.Argument(metavar="[FILTER]", help="Show only keys that contain this text, such as pretrain or lr.")
    ] = "",
) -> None:
    """List every key of the config with its type, allowed values, default and description."""
    found = [_show("", Config.model_json_schema(), filter_)]
    registries = {
        "corpus": corpora,
        "faces.<name>": detectors,
        "backbones.<name>": backbones,
        "sources.<name>": stills,
    }
    for block, registry in registries.items():
        for kind in registry.list_kinds():
            try:
                schema = registry.options_class(kind).model_json_schema()
            except EmopipeError as error:  # a plug-in that cannot be used
                typer.echo(f"\n{error}", err=True)
                continue
            found.append(_show(f"{block}.options of {kind}:", schema, filter_))
    for modality in ("face", "audio"):
        title = f"backbones.<name>.schedule, each phase of a network of modality {modality}:"
        found.append(_show(title, phase_class(modality).model_json_schema(), filter_))
    if not any(found):
        raise ConfigError(f"No key contains {filter_!r}. Shorten the text, or omit it to list all keys.")


def _show(title: str, schema: dict[str, Any], part: str) -> int:
    """Print the keys of a schema that contain a text, below a title; return how many there are."""
    shown = [(key, *rest) for key, *rest in keys(schema) if part.lower() in key.lower()]
    if title and (shown or not part):
        typer.echo(f"\n{title}")
    indent = "  " if title else ""
    for key, field, required in shown:
        default = "required" if required else f"default: {json.dumps(field.get('default', {}))}"
        typer.echo(f"{indent}{key}  ({_type(field)}; {default})")
        typer.echo(f"{indent}    {' '.join(field.get('description', '').split())}")
    return len(shown)


def keys(
    schema: dict[str, Any], prefix: str = "", definitions: dict[str, Any] | None = None
) -> Iterator[tuple[str, dict[str, Any], bool]]:
    """Yield every key of a JSON schema, its own schema, and whether it is required; inner blocks follow their key.

    A preset's name is shown as `<name>`, and an index of a list as `<number>`, as in `models.<name>.streams`.
    """
    definitions = definitions or schema.get("$defs", {})
    for key, field in schema.get("properties", {}).items():
        path = f"{prefix}{key}"
        yield path, field, key in schema.get("required", ())
        inner, name = _inner_block(field)
        if inner:
            yield from keys(definitions[inner.rpartition("/")[2]], f"{path}.{name}", definitions)


def _inner_block(field: dict[str, Any]) -> tuple[str, str]:
    """Return the reference of the block that a key holds, and what comes before its keys; "", "" for no block."""
    for option in [field, *field.get("anyOf", ())]:
        presets = [option.get("additionalProperties"), *option.get("patternProperties", {}).values()]
        for inner, name in [
            (option, ""),
            *((preset, "<name>.") for preset in presets),
            (option.get("items"), "<number>."),
        ]:
            if isinstance(inner, dict) and "$ref" in inner:
                return inner["$ref"], name
    return "", ""


def _type(field: dict[str, Any]) -> str:
    """Return a key's type and allowed values in words, such as `integer, at least 1` or `auto | cpu | cuda`."""
    if "anyOf" in field:
        return " or ".join(map(_type, field["anyOf"]))
    if "enum" in field:
        return " | ".join(map(str, field["enum"]))
    words = {
        "minimum": "at least",
        "exclusiveMinimum": "more than",
        "maximum": "at most",
        "exclusiveMaximum": "less than",
    }
    limits = [f"{text} {field[word]:g}" for word, text in words.items() if word in field]
    return ", ".join([field.get("type", "block"), *limits])

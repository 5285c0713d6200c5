"""The smallest config for a corpus that `emopipe init` has looked at, with comments."""

import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from emopipe.core.errors import CorpusError
from emopipe.core.labels import BASIC7, SETS, LabelSpace
from emopipe.core.text import escape_text
from emopipe.corpora.files import is_sound
from emopipe.corpora.recognition import Found
from emopipe.workflow import config as configs
from emopipe.workflow import preconditions

PROTOCOLS: tuple[dict[str, Any], ...] = ({}, *({"folds": folds} for folds in (4, 3, 2)))
"""Protocols that are tried: few clips need fewer folds than the default."""
KFOLD: dict[str, Any] = {"kind": "kfold"}
"""Every labelled clip is predicted by models that were trained without it."""

SAME = "what becomes of clips of the same content that are in several splits or classes"

NETWORKS = {
    "face": "  face: {kind: expression, weights: expression}",
    "voice": "  voice: {kind: speech, weights: speech_logmel}",
}
MODELS = {
    "face_only": ("face",),
    "audio_only": ("voice",),
    "fused_both": ("face", "voice"),
}


def name_for(source: Path) -> str:
    """Return a name for the run and the corpus: that of the folder or table, with what names may not have replaced."""
    stem = source.name if source.is_dir() else source.stem
    return re.sub(r"[^A-Za-z0-9_-]+", "_", stem).strip("_-")[: configs.LONGEST_NAME] or "mine"


def streams_of(found: Found, with_sound: int | None) -> list[str]:
    """Return the networks that a corpus is for: face, voice or both.

    Args:
        found: The corpus.
        with_sound: How many of the clips that were opened have sound; None if none was opened.
    """
    sounds = found.table["path"].map(lambda path: is_sound(found.root / path))
    if sounds.all():
        return ["voice"]
    return ["face"] if with_sound == 0 and not sounds.any() else ["face", "voice"]


def protocol_for(raw: Mapping[str, Any], found: Found) -> dict[str, Any]:
    """Return the protocol of the fewest changes under which the clips are enough.

    Args:
        raw: The config as keys and values; its `protocol` is what the user has chosen.
        found: The corpus.

    Raises:
        CorpusError: The clips are not enough under any.
    """
    chosen, first = raw.get("protocol", {}), None
    for protocol in PROTOCOLS:
        whole = {**chosen, **protocol}
        try:
            preconditions.check_clips(configs.parse({**raw, "protocol": whole}), found.table)
        except CorpusError as error:
            first = first or error
        else:
            return whole
    raise first


def config_text(found: Found, name: str, source: Path, streams: list[str], *, cross_validate: bool = False) -> str:
    """Return the text of the config, which `emopipe run` takes as it is.

    Args:
        found: The corpus.
        name: Name of the run and of the corpus.
        source: What the user gave, for a comment.
        streams: Networks to use, of NETWORKS.
        cross_validate: Whether every clip is predicted out of fold, in place of a val split.

    Raises:
        CorpusError: The clips are not enough to train on.
    """
    text = _text(found, name, source, streams, KFOLD if cross_validate else {})
    protocol = protocol_for(yaml.safe_load(text), found)
    return _text(found, name, source, streams, protocol)


def _text(found: Found, name: str, source: Path, streams: list[str], protocol: dict[str, Any]) -> str:
    heard = found.kind == "ravdess" and "voice" in streams
    lines = [
        f"# Made by `emopipe init {escape_text(str(source))}`. `emopipe config-keys` lists all keys.",
        f"run: {name}  # results/{name}/",
        f"corpus_root: {json.dumps(str(found.root), ensure_ascii=False)}",
        "corpus:",
        f"  name: {name}  # cache/{name}/; another corpus needs another name",
        f"  kind: {found.kind}",
        *([f"  options: {_flow(found.options)}  # `emopipe config-keys` explains them"] if found.options else []),
        *([f"  duplicates: {found.duplicates}  # {SAME}"] if found.duplicates else []),
        *([f"labels: {_flow_labels(found.labelling.space)}"] if found.labelling.space != BASIC7 else []),
        *([f"protocol: {_flow(protocol)}  # {_why(protocol)}"] if protocol else []),
        "",
        "decode:",
        "  eight: {policy: count, count: 8}  # frames of each clip, evenly spaced",
        *(["faces:", "  main: {detector: mtcnn}"] if "face" in streams else []),
        "",
        "# The shipped networks as they are: only small models over their vectors are trained, in minutes.",
        "# To train a network on your clips too, add to it: pretrain: {folds: 3, epochs: 3, lr: 0.0005}",
        *(["# speech_logmel was trained on RAVDESS, actors 1 to 16: test on others."] if heard else []),
        "backbones:",
        *(NETWORKS[stream] for stream in streams),
        "",
        "models:",
        *(
            f"  {model}: {{streams: [{', '.join(needed)}]}}"
            for model, needed in MODELS.items()
            if set(needed) <= set(streams)
        ),
    ]
    return "\n".join(lines) + "\n"


def _flow(block: Mapping[str, Any]) -> str:
    """Return a block in one line of YAML."""
    return yaml.safe_dump(dict(block), default_flow_style=True, width=10**6, allow_unicode=True).strip()


def _flow_labels(space: LabelSpace) -> str:
    """Return what the key `labels` holds: the name of a set or names, and the kind if it is not one class a clip."""
    named = [name for name, names in SETS.items() if names == space.names]
    if space.kind == "single" and named:
        return named[0]
    block = {"set": named[0]} if named and space.kind != "dimensions" else {"names": list(space.names)}
    block |= {"kind": space.kind, **({"range": [space.low, space.high]} if space.kind == "dimensions" else {})}
    short = block["names"] if space.kind == "single" else block
    return yaml.safe_dump(short, default_flow_style=True, width=10**6, sort_keys=False, allow_unicode=True).strip()


def _why(protocol: Mapping[str, Any]) -> str:
    if protocol.get("kind") == "kfold":
        return "every clip is predicted by models that were trained without it"
    return "fewer folds than by default (5), because there are few clips"

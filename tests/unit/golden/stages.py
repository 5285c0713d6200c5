"""What extraction makes of a clip and of synthesized pictures and sounds, stage by stage, as arrays by name."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from emopipe.cache.store import Reader, Row
from emopipe.core import tables
from emopipe.core.fingerprint import digest
from emopipe.corpora.table import from_rows
from emopipe.faces import detectors
from emopipe.faces.alignment import canonical_crop, derive
from emopipe.media.decoded import decode_jpegs
from emopipe.media.spectrogram import RATE, LogMelOptions, SpectrogramOptions, compute_spectrogram
from emopipe.media.wave import as_wave
from emopipe.stages import decode, faces, features
from emopipe.weights.entries import package_registry
from emopipe.weights.naming import named
from emopipe.weights.paths import path_of

CLIP = Path(__file__).with_name("clip.mp4")
"""The clip s01_happy_1 of the demo corpus: 320 x 240 pixels, H.264 and AAC."""
DETECTORS = ("mtcnn", "centerface")
NETWORKS = {"expression": "mtcnn.h5", "speech_logmel": "decode.h5"}
"""Shipped network -> the file of the stage before."""
FRAMES = 3
SMALL_SIDE = 120
"""The longest side of frames that are scaled down, in pixels."""
EVERY = 8
"""Of pictures, sounds and spectrograms, each eighth row and column is kept."""


def of_clip(clip: Path, folder: Path) -> dict[str, np.ndarray]:
    """Run the stages decode, faces and features on a clip with a face and sound; `folder` gets the caches."""
    whole = {"options": {"policy": "count", "count": FRAMES}}
    small = {"options": {**whole["options"], "max_side": SMALL_SIDE}}
    found: dict[str, np.ndarray] = {}
    for name, recipe in (("decode", whole), ("decode_small", small)):
        row = _decode(clip, folder, name, recipe)
        found[f"{name}/frames"] = thinned(decode_jpegs(row.arrays["jpeg"], row.arrays["jpeg_size"]))
        found[f"{name}/time"] = np.concatenate([row.arrays["time"], row.arrays["audio_start"]])
        found[f"{name}/audio"] = row.arrays["audio"][::EVERY]
    for kind in DETECTORS:
        row = _search(folder, kind, digest(whole))
        found |= {f"{kind}/{field}": row.arrays[field] for field in ("mask", "box", "landmarks", "score")}
        found[f"{kind}/crops"] = thinned(decode_jpegs(row.arrays["crop"], row.arrays["crop_size"]))
    for name in NETWORKS:
        row = _embed(folder, name)
        found |= {f"{name}/{field}": row.arrays[field] for field in ("x", "logp", "time", "mask")}
    return found


def _decode(clip: Path, folder: Path, name: str, recipe: Mapping[str, Any]) -> Row:
    table = from_rows([{"clip": "golden", "path": clip.name, "split": "train", "label": "Happy", "subject": "s01"}])
    tables.write(table.assign(digest="golden"), folder / "clips.csv")
    path = folder / f"{name}.h5"
    decode.run(recipe, clip.parent, folder / "clips.csv", path, folder / f"{name}.status.h5")
    return _only_row(path)


def _search(folder: Path, kind: str, media: str) -> Row:
    options = detectors.options_class(kind)().model_dump()
    recipe = {"detector": kind, "options": options, "jpeg_quality": 95, "every": 1, "media": media}
    path = folder / f"{kind}.h5"
    faces.run(recipe, folder / "decode.h5", path, weights=None, device="cpu", threads=1)
    return _only_row(path)


def _embed(folder: Path, name: str) -> Row:
    registry, source = package_registry(), folder / NETWORKS[name]
    entry = named(name, registry)
    with Reader(source) as reader:
        made_by = reader.attributes["recipe_digest"]
    recipe = {
        "kind": entry.kind,
        "options": entry.options,
        "source": made_by,
        "batch": 32,
        "precision": "float32",
        "view": "",
    }
    path, weights = folder / f"{name}.h5", str(path_of(entry, registry))
    features.run(recipe, source, path, weights=weights, pretrained=None, device="cpu", threads=1)
    return _only_row(path)


def _only_row(path: Path) -> Row:
    with Reader(path) as reader:
        return reader["golden"]


def of_drawn_faces() -> dict[str, np.ndarray]:
    """Return the canonical crop and a network's crop of a pattern, for a small, a large and a tilted face."""
    y, x = np.mgrid[:480, :640].astype(np.float64)
    waves = [np.sin(x / 5) * np.cos(y / 7), np.sin((x + y) / 11), np.cos(np.hypot(x - 300, y - 200) / 6)]
    frame = np.rint(127.5 + 100 * np.stack(waves, axis=-1)).astype(np.uint8)
    points = np.array([[-16, -18], [16, -18], [0, 2], [-13, 19], [13, 19]]) @ [1, 1j]  # about the face's middle
    found = {}
    for name, factor in (("small", 0.7), ("large", 4.2), ("tilted", 1.9 * np.exp(0.3j))):
        placed = points * factor + (310 + 230j)
        crop = canonical_crop(frame, np.stack([placed.real, placed.imag], axis=-1))
        found[f"align_{name}/canonical"] = thinned([crop])
        found[f"align_{name}/network"] = thinned([derive(crop, 100.0, 48, 7.0)])
    return found


def of_synthesized_sound() -> dict[str, np.ndarray]:
    """Return spectrograms of half a second of 29 overtones whose pitch rises; those of `full_scale` show its level."""
    time = np.arange(RATE // 2) / RATE
    pitch = 2 * np.pi * (120 * time + 60 * time**2)
    wave = sum(np.sin(overtone * pitch) / overtone for overtone in range(1, 30)) * np.hanning(len(time))
    wave = as_wave(np.rint(6000 * wave).astype(np.int16))
    kinds = {
        "logmel": LogMelOptions(),
        "spectrogram": SpectrogramOptions(),
        "full_scale": LogMelOptions(level="full_scale"),
    }
    return {f"sound/{name}": compute_spectrogram(wave, options)[:, ::EVERY, ::EVERY] for name, options in kinds.items()}


def thinned(images: list[np.ndarray]) -> np.ndarray:
    """Return every eighth pixel, (N, h, w, 3), of N images of one size."""
    return np.stack(images)[:, ::EVERY, ::EVERY]

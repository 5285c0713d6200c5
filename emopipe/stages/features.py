"""Stage features: a shard's faces or sound -> a backbone's vectors, with times, mask and status."""

from collections.abc import Iterator, Mapping
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np

from emopipe import device as devices
from emopipe.backbones import registry
from emopipe.backbones.extractor import Extractor
from emopipe.faces.crops import read_crops
from emopipe.files import sha256
from emopipe.progress import Progress
from emopipe.sound import read_wave
from emopipe.spectra import spectrum
from emopipe.stages.reuse import earlier
from emopipe.store import OK, Field, Reader, Row, Writer

CLIPS_AT_ONCE = 64
"""Clips whose faces are held in memory together, so that they share batches."""


def fields(dim: int) -> dict[str, Field]:
    """Per clip T rows: vectors (NaN where masked), seconds, mask; and one row: the fold of the network used."""
    return {"x": Field("f4", (dim,)), "time": Field("f8"), "mask": Field("?"), "fold": Field("i4")}


def run(
    recipe: Mapping[str, Any],
    source: Path,
    output: Path,
    *,
    weights: str | None,
    pretrained: Path | None,
    device: str,
    threads: int,
) -> None:
    """Extract one backbone's vectors of one shard.

    Args:
        recipe: `Plan.features`.
        source: The shard of the faces stage (face network) or of the decode stage (audio network).
        output: The file to make; clips that it already holds unchanged are taken over.
        weights: A file of weights, or None.
        pretrained: What the pretrain stage learned, or None.
        device: auto, cpu or cuda.
        threads: CPU threads.
    """
    where = devices.prepare(device, threads)
    options = registry.options_class(recipe["kind"]).model_validate(recipe["options"])
    network = Extractor(recipe["kind"], options, weights=weights, pretrained=pretrained, where=where, threads=threads)
    spec = network.spec
    with (
        Reader(source) as clips,
        earlier(output, recipe) as done,
        Writer(output, fields(spec.dim), stage="features", recipe=recipe) as writer,
    ):
        kept = {clip: row for clip in clips.clips if (row := done.get(clip, clips.digest[clip]))}
        new = iter([clip for clip in clips.clips if clip not in kept])
        made = (
            _face_rows(clips, new, network, recipe["batch"])
            if spec.modality == "face"
            else _audio_rows(clips, new, network)
        )
        progress = Progress(f"features {output.parent.name} {output.stem}", len(clips.clips))
        for clip in clips.clips:
            writer.add(kept[clip] if clip in kept else next(made))
            progress.advance()
        writer.note(
            dim=spec.dim,
            modality=spec.modality,
            input=repr(spec.input),
            licence=spec.licence,
            device=devices.name_of(where),
            learned_sha256=sha256(pretrained) if pretrained else "",
        )


def _face_rows(faces: Reader, clips: Iterator[str], network: Extractor, batch: int) -> Iterator[Row]:
    """Rows in the order of `clips`; the faces of many clips go through the network together."""
    geometry = network.spec.input
    while group := list(islice(clips, CLIPS_AT_ONCE)):
        crops = {clip: read_crops(faces, clip, geometry) for clip in group}
        vectors = _embed_together(crops, network, batch)
        for clip in group:
            if len(crops[clip]):
                yield _face_row(faces, clip, vectors[clip], network.fold_of(clip))
            else:
                yield Row(clip, faces.digest[clip], faces.status[clip], faces.reason[clip], {})


def _embed_together(crops: Mapping[str, np.ndarray], network: Extractor, batch: int) -> dict[str, np.ndarray]:
    """Vectors (n, D) of each clip's faces (n, side, side, 3), in batches over all clips of one fold."""
    vectors: dict[str, np.ndarray] = {}
    for fold in sorted({network.fold_of(clip) for clip in crops}):
        members = [clip for clip in crops if network.fold_of(clip) == fold]
        faces = np.concatenate([crops[clip] for clip in members])
        parts = [
            network.embed(fold, network.spec.input.prepare(faces[start : start + batch]))
            for start in range(0, len(faces), batch)
        ]
        ends = np.cumsum([len(crops[clip]) for clip in members])[:-1]
        whole = np.concatenate(parts) if parts else np.empty((0, network.spec.dim), np.float32)
        vectors |= dict(zip(members, np.split(whole, ends), strict=True))
    return vectors


def _face_row(faces: Reader, clip: str, vectors: np.ndarray, fold: int) -> Row:
    """Vectors stand at the frames in which the face was found; the other frames are masked."""
    mask = faces.field(clip, "mask")
    x = np.full((len(mask), vectors.shape[1]), np.nan, np.float32)
    x[mask] = vectors
    return Row(clip, faces.digest[clip], OK, "", _arrays(x, faces.field(clip, "time"), mask, fold))


def _audio_rows(media: Reader, clips: Iterator[str], network: Extractor) -> Iterator[Row]:
    """Rows in the order of `clips`; a clip of any length goes through the network whole."""
    for clip in clips:
        wave = read_wave(media, clip)
        if not len(wave):
            yield Row(clip, media.digest[clip], media.status[clip], media.reason[clip], {})
            continue
        picture = spectrum(wave, network.spec.input.options)  # (C, F, T)
        fold = network.fold_of(clip)
        vectors = network.embed(fold, picture[None])[0]  # (T', D)
        times = network.patch_times(picture.shape[-1]) + media.field(clip, "audio_start")[0]
        yield Row(clip, media.digest[clip], OK, "", _arrays(vectors, times, np.ones(len(times), bool), fold))


def _arrays(vectors: np.ndarray, times: np.ndarray, mask: np.ndarray, fold: int) -> dict[str, np.ndarray]:
    return {"x": vectors, "time": times, "mask": mask, "fold": np.array([fold], np.int32)}

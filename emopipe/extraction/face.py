"""Vectors of clips' faces: a batch holds faces of several clips."""

import functools
from collections.abc import Iterator, Mapping

import numpy as np

from emopipe.cache.clip_rows import ClipRows
from emopipe.cache.failures import FailurePolicy
from emopipe.cache.status import OK
from emopipe.cache.store import Row
from emopipe.core.ahead import ahead, thread_pool
from emopipe.core.errors import EmopipeError
from emopipe.extraction import views
from emopipe.extraction.extractor import Embedded, Extractor
from emopipe.faces.crops import read_crops

GPU_GROUP = 8
"""On a GPU, all threads together read clips until these have the faces of so many batches, so that few batches are
small. On the CPU, which gains nothing by large batches, each thread reads those of one."""


def rows(
    faces: ClipRows,
    clips: Iterator[str],
    network: Extractor,
    batch: int,
    view: str,
    policy: FailurePolicy,
    *,
    workers: int = 1,
) -> Iterator[Row]:
    """Yield the rows of clips, in order.

    Args:
        faces: A shard of the faces stage.
        clips: Ids of clips in it.
        network: A face backbone.
        batch: The number of faces that the network takes at once.
        view: A view of `VIEWS["face"]`; an empty name means the clip itself.
        policy: What happens if the network fails on a clip, or its crops cannot be decoded.
        workers: How many threads read and embed faces; the network must allow it.
    """
    batches = 1 if network.device == "cpu" else max(1, GPU_GROUP // workers)
    groups = _groups(faces, clips, batch * batches)
    tasks = ((group, functools.partial(_together, faces, group, network, batch, view)) for group in groups)
    with thread_pool(workers) as pool:
        for group, result in ahead(tasks, pool, workers):
            vectors = result()
            for clip in group:
                compute = functools.partial(_row, faces, clip, vectors, network, batch, view)
                yield policy.row(clip, faces.digest[clip], compute)


def _groups(faces: ClipRows, clips: Iterator[str], most: int) -> Iterator[list[str]]:
    """Yield the clips in groups of about so many faces."""
    group: list[str] = []
    held = 0
    for clip in clips:
        group.append(clip)
        held += len(faces.field(clip, "crop_size"))
        if held >= most:
            yield group
            group, held = [], 0
    yield group


def _together(faces: ClipRows, clips: list[str], network: Extractor, batch: int, view: str) -> dict[str, Embedded]:
    """Return the vectors of clips' faces; without clips that fail, whose errors are `_row`'s to raise."""
    crops: dict[str, np.ndarray] = {}
    for clip in clips:
        try:
            crops[clip] = _read(faces, clip, network, view)
        except (EmopipeError, OSError):  # the file is damaged, or the system refuses to read it
            raise
        except Exception:  # only of this clip: `_row` reads it again, under the failure policy
            continue
    try:
        return _embed(crops, network, batch)
    except EmopipeError:
        raise
    except Exception:  # the network fails on a clip of the group: `_row` computes each alone
        return {}


def _read(faces: ClipRows, clip: str, network: Extractor, view: str) -> np.ndarray:
    """Return a clip's crops (n, side, side, 3) in a view."""
    return views.augment_crops(read_crops(faces, clip, network.spec.input), view)


def _embed(crops: Mapping[str, np.ndarray], network: Extractor, batch: int) -> dict[str, Embedded]:
    """Return the vectors of each clip's crops (n, side, side, 3); clips of the same fold share batches."""
    vectors: dict[str, Embedded] = {}
    for fold in sorted({network.fold_of(clip) for clip in crops}):
        members = [clip for clip in crops if network.fold_of(clip) == fold]
        together = np.concatenate([crops[clip] for clip in members])
        parts = [
            network.embed(fold, network.spec.input.prepare(together[start : start + batch]))
            for start in range(0, len(together), batch)
        ]
        if not parts:
            continue  # no crops, so no vectors; `_row` asks for none
        whole = {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}
        ends = np.cumsum([len(crops[clip]) for clip in members])
        for clip, end in zip(members, ends, strict=True):
            vectors[clip] = {name: found[end - len(crops[clip]) : end] for name, found in whole.items()}
    return vectors


def _row(faces: ClipRows, clip: str, vectors: Mapping[str, Embedded], network: Extractor, batch: int, view: str) -> Row:
    """Return a clip's row, with vectors at the frames in which the face was found; the other frames are masked."""
    if not len(faces.field(clip, "crop_size")):
        return Row(clip, faces.digest[clip], faces.status[clip], faces.reason[clip], {})
    own = vectors[clip] if clip in vectors else _embed({clip: _read(faces, clip, network, view)}, network, batch)[clip]
    mask = faces.field(clip, "mask")
    arrays = {"time": faces.field(clip, "time"), "mask": mask, "fold": np.array([network.fold_of(clip)], np.int32)}
    for name, found in own.items():
        arrays[name] = np.full((len(mask), found.shape[1]), np.nan, np.float32)
        arrays[name][mask] = found
    return Row(clip, faces.digest[clip], OK, "", arrays)

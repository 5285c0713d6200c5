"""Vectors of clips' faces: the faces of many clips go through the network together."""

import functools
from collections.abc import Iterator, Mapping

import numpy as np

from emopipe.cache.failures import FailurePolicy
from emopipe.cache.status import OK
from emopipe.cache.store import Reader, Row
from emopipe.core.errors import EmopipeError
from emopipe.extraction import views
from emopipe.extraction.extractor import Extractor
from emopipe.faces.crops import read_crops

FACES_AT_ONCE = 1024
"""Faces that are held in memory together at the least, so that clips share batches."""


def rows(
    faces: Reader, clips: Iterator[str], network: Extractor, batch: int, view: str, policy: FailurePolicy
) -> Iterator[Row]:
    """Rows in the order of `clips`, of a view of them; an empty name is the plain one."""
    for crops in _groups(faces, clips, network, view):
        try:
            vectors = _embed_together(crops, network, batch)
        except EmopipeError:
            raise
        except Exception:  # one clip of the group breaks the network: which one shows when each goes alone
            vectors = {}
        for clip in crops:
            yield policy.row(
                clip, faces.digest[clip], functools.partial(_row, faces, clip, crops[clip], vectors, network, batch)
            )


def _groups(faces: Reader, clips: Iterator[str], network: Extractor, view: str) -> Iterator[dict[str, np.ndarray]]:
    """The clips' faces, in groups of about FACES_AT_ONCE."""
    group: dict[str, np.ndarray] = {}
    for clip in clips:
        group[clip] = views.of_crops(read_crops(faces, clip, network.spec.input), view)
        if sum(map(len, group.values())) >= FACES_AT_ONCE:
            yield group
            group = {}
    yield group


def _embed_together(crops: Mapping[str, np.ndarray], network: Extractor, batch: int) -> dict[str, np.ndarray]:
    """Vectors (n, D) of each clip's faces (n, side, side, 3), in batches over all clips of one fold."""
    vectors: dict[str, np.ndarray] = {}
    for fold in sorted({network.fold_of(clip) for clip in crops}):
        members = [clip for clip in crops if network.fold_of(clip) == fold]
        together = np.concatenate([crops[clip] for clip in members])
        parts = [
            network.embed(fold, network.spec.input.prepare(together[start : start + batch]))
            for start in range(0, len(together), batch)
        ]
        ends = np.cumsum([len(crops[clip]) for clip in members])[:-1]
        whole = np.concatenate(parts) if parts else np.empty((0, network.spec.dim), np.float32)
        vectors |= dict(zip(members, np.split(whole, ends), strict=True))
    return vectors


def _row(
    faces: Reader,
    clip: str,
    crops: np.ndarray,
    vectors: Mapping[str, np.ndarray],
    network: Extractor,
    batch: int,
) -> Row:
    """Vectors stand at the frames in which the face was found; the other frames are masked."""
    if not len(crops):
        return Row(clip, faces.digest[clip], faces.status[clip], faces.reason[clip], {})
    own = vectors[clip] if clip in vectors else _embed_together({clip: crops}, network, batch)[clip]
    mask = faces.field(clip, "mask")
    x = np.full((len(mask), own.shape[1]), np.nan, np.float32)
    x[mask] = own
    fold = np.array([network.fold_of(clip)], np.int32)
    arrays = {"x": x, "time": faces.field(clip, "time"), "mask": mask, "fold": fold}
    return Row(clip, faces.digest[clip], OK, "", arrays)

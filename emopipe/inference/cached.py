"""What the cache holds of clips, for use from Python: vectors of a backbone, and faces."""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import torch

from emopipe.cache.store import Reader
from emopipe.core import tables
from emopipe.core.errors import CacheError
from emopipe.core.labels import CLASSES
from emopipe.fusion.features import ClipFeatures
from emopipe.media.decoded import decode_jpegs

CLIP_TABLE = "clips.csv"
"""The clip table in the folder of a cache."""


class Features(Mapping[str, ClipFeatures]):
    """A backbone's vectors of the clips of a corpus: clip id -> vectors; see `load_features`."""

    def __init__(self, path: Path) -> None:
        """Open a file of features, such as cache/demo/features/expression.h5, or one shard of it.

        Raises:
            CacheError: The file is missing or damaged, or holds something else.
        """
        self.path = path
        self._reader = Reader(path)  # stays open, because each opening reads the table of all clips
        if "x" not in self._reader.fields:
            raise CacheError(
                f"{path} holds {', '.join(self._reader.fields)}, but features have x, time and mask. Give a file of "
                "the folder features/."
            )
        self.dim: int = self._reader.fields["x"].row[0]
        self.blocks = int(self._reader.attributes.get("blocks", 1))
        """Number of equally long parts of a vector, such as the layers of `layers: learned`, one after the other."""
        self.prior: tuple[float, ...] = tuple(json.loads(self._reader.attributes.get("head_prior") or "[]"))
        """(C,) the shares of the classes that the network's own head was trained on; () without a head."""
        given = json.loads(self._reader.attributes.get("head_classes") or "null")
        self.head_classes: tuple[str, ...] = tuple(given or CLASSES)
        """The C classes of the network's own head: the columns of `logp`."""
        self.status = dict(self._reader.status)

    def __getitem__(self, clip: str) -> ClipFeatures:
        if clip not in self.status:
            raise KeyError(f"{clip} is not among the {len(self)} clips of {self.path}")
        names = [name for name in ("x", "time", "mask", "logp") if name in self._reader.fields]
        return ClipFeatures(**{name: self._reader.field(clip, name) for name in names})

    def __iter__(self) -> Iterator[str]:
        return iter(self.status)

    def __len__(self) -> int:
        return len(self.status)

    @property
    def labels(self) -> pd.DataFrame:
        """The clip table beside the features: clip, split, label, subject; an empty one if there is none."""
        found = [folder / CLIP_TABLE for folder in self.path.absolute().parents if (folder / CLIP_TABLE).is_file()]
        columns = ["clip", "split", "label", "subject"]
        if not found:
            return pd.DataFrame(columns=columns)
        table = tables.read(found[0])
        return table[table["clip"].isin(self.status)][columns].reset_index(drop=True)

    def to_frame(self) -> pd.DataFrame:
        """Return one row a vector: clip, time, x0 to x<D-1>; masked ones are omitted."""
        x, time, clips = self._stacked()
        frame = pd.DataFrame(x, columns=[f"x{number}" for number in range(self.dim)])
        frame.insert(0, "time", time)
        frame.insert(0, "clip", clips)
        return frame

    def to_torch(self) -> dict[str, torch.Tensor]:
        """Return clip -> vectors (n, D) float32; masked ones are omitted."""
        return {clip: torch.from_numpy(found.x[found.mask]) for clip, found in self.items()}

    def _stacked(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Return all vectors (n, D), with their times (n,) and clips (n,)."""
        (x, offsets), (time, _), (mask, _) = (self._reader.flat(name) for name in ("x", "time", "mask"))
        clips = np.repeat(np.array(list(self.status), dtype=object), np.diff(offsets))
        return x[mask], time[mask], clips[mask]


@dataclass(frozen=True)
class ClipFaces:
    """The main face of one clip."""

    crops: np.ndarray
    """(n, 256, 256, 3) uint8 RGB: the aligned face at each of the n frames in which it was found."""
    time: np.ndarray
    """(T,) seconds: the sampled frames."""
    mask: np.ndarray
    """(T,) bool: whether the face was found."""
    box: np.ndarray
    """(T, 4) float32 x1, y1, x2, y2 in pixels; NaN where it was not found."""
    landmarks: np.ndarray
    """(T, 5, 2) float32 in pixels: eyes, nose, corners of the mouth; NaN where it was not found."""
    score: np.ndarray
    """(T,) float32: the detector's score; NaN where it was not found."""


class Faces(Mapping[str, ClipFaces]):
    """The faces of clips: clip id -> the main face; see `load_faces`."""

    def __init__(self, path: Path) -> None:
        """Open a shard of faces, such as cache/demo/faces/main/00.h5, or the folder of all shards.

        Raises:
            CacheError: There is no such file, or it is damaged.
        """
        files = sorted(path.glob("*.h5")) if path.is_dir() else [path]
        if not files:
            raise CacheError(f"The folder {path} holds no shard of faces. Give a folder such as cache/demo/faces/main.")
        self._reader_of: dict[str, Reader] = {}
        for file in files:
            reader = Reader(file)
            if "crop" not in reader.fields:
                raise CacheError(
                    f"{file} holds {', '.join(reader.fields)}, but not faces. Give a file of the folder faces/."
                )
            self._reader_of |= dict.fromkeys(reader.clips, reader)

    def __getitem__(self, clip: str) -> ClipFaces:
        if clip not in self._reader_of:
            raise KeyError(f"{clip} is not among the {len(self)} clips")
        reader = self._reader_of[clip]
        images = decode_jpegs(reader.field(clip, "crop"), reader.field(clip, "crop_size"))
        crops = np.stack(images)[..., ::-1] if images else np.empty((0, 256, 256, 3), np.uint8)
        names = ("time", "mask", "box", "landmarks", "score")
        return ClipFaces(crops, *(reader.field(clip, name) for name in names))

    def __iter__(self) -> Iterator[str]:
        return iter(self._reader_of)

    def __len__(self) -> int:
        return len(self._reader_of)


def load_features(path: str | Path) -> Features:
    """Open a backbone's cached vectors.

    Args:
        path: Such as cache/demo/features/expression.h5.

    Returns:
        Clip id -> `ClipFeatures` (x (T, D), time (T,), mask (T,)), with `.labels`, `.to_frame()`, `.to_torch()`.

    Raises:
        CacheError: The file is missing or damaged, or holds something else.
    """
    return Features(Path(path))


def load_faces(path: str | Path) -> Faces:
    """Open cached faces.

    Args:
        path: Such as cache/demo/faces/main/00.h5, or the folder of all shards.

    Returns:
        Clip id -> `ClipFaces` (crops, boxes, landmarks, times).

    Raises:
        CacheError: There is no such file, or it is damaged, or holds something else.
    """
    return Faces(Path(path))

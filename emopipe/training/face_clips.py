"""The faces of training clips in memory, as a dataset for a face network."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from emopipe.backbones.base import Spec
from emopipe.cache.store import Reader
from emopipe.core.labels import BASIC7, LabelSpace
from emopipe.core.log import LOGGER, Progress
from emopipe.faces.crops import read_crops
from emopipe.training.augment_image import held_side
from emopipe.training.augment_options import FaceAugmentation
from emopipe.training.options import PretrainOptions
from emopipe.training.stills_dataset import StillsDataset


def read(
    shards: Sequence[Path],
    clips: pd.DataFrame,
    spec: Spec,
    _options: PretrainOptions,
    space: LabelSpace = BASIC7,
) -> tuple[StillsDataset, pd.DataFrame]:
    """Read the faces of clips: every sampled frame in which the main face was found is a sample.

    Args:
        shards: The files of the faces stage.
        clips: Rows of the clip table.
        spec: The network's specification.
        space: The label space, of one class for each clip.

    Returns:
        The dataset, and the rows of the clips that have a face; `clip` of the dataset counts these. All samples are in
        the split train.
    """
    # 1. The crops of each clip: (n, side, side) for grey or (n, side, side, 3), uint8
    geometry, wanted = spec.input, set(clips["clip"])
    margin = held_side(geometry.size) / geometry.size
    progress, found = Progress("reading faces", len(wanted)), {}
    for path in shards:
        with Reader(path) as faces:
            for clip in wanted.intersection(faces.clips):
                progress.advance()
                try:
                    crops = read_crops(faces, clip, geometry, margin=margin)
                except ValueError as error:
                    LOGGER.warning(f"clip {clip}: the network is trained without it. {error}")
                    continue
                if len(crops):
                    found[clip] = geometry.convert_channels(crops)
    # 2. All in one array
    clips = clips[clips["clip"].isin(list(found))]
    counts = [len(found[clip]) for clip in clips["clip"]]
    shape = next(iter(found.values())).shape[1:] if found else (0, 0)
    pixels = np.empty((sum(counts), *shape), np.uint8)
    for clip, stop in zip(clips["clip"], np.cumsum(counts), strict=True):
        of_clip = found.pop(clip)  # so that memory never holds two copies of all faces
        pixels[stop - len(of_clip) : stop] = of_clip
    # 3. Each face has the class, or the shares of votes, and the subject of its clip.
    clip = np.repeat(np.arange(len(clips)), counts)
    targets, subject = space.targets(clips).astype("f4")[clip], clips["subject"].to_numpy(str)[clip]
    split = np.full(len(clip), "train")
    return StillsDataset(pixels, targets, split, subject, geometry, FaceAugmentation(), clip=clip), clips

"""How much each vector of a clip counts in a model's answer: the weights of the attention within each stream."""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch

from emopipe.cache.status import OK
from emopipe.cache.store import Field, Reader, Row, Writer
from emopipe.fusion.cross_validation import CrossValidationResult
from emopipe.fusion.data import FusionDataset
from emopipe.fusion.model import FusionModel
from emopipe.fusion.protocol import ProtocolSplit
from emopipe.fusion.stack import TrainedRun

CLIPS_AT_ONCE = 64
"""How many clips go through a network together."""
TIME = "@time"
"""What the name of a stream's times ends in, in a file of weights."""


def write(
    path: Path,
    recipe: Mapping[str, Any],
    result: CrossValidationResult,
    dataset: FusionDataset | None,
    table: pd.DataFrame,
    split: ProtocolSplit,
    features: Mapping[str, Path],
) -> None:
    """Write the weights of all clips whose predictions are reported, as an HDF5 file of clips (`cache.store`).

    Args:
        path: The file to write. For each stream, it has a field with the weights (T,) of a clip's vectors and one with
            their times, `<stream>@time`; masked vectors are omitted. Weights of a clip and stream sum to 1.
        recipe: `Plan.fusion`.
        result: The trained networks.
        dataset: Features of the clips in `table`; None if no stream is usable.
        table: The clip table.
        split: Which clips were predicted.
        features: Stream -> its merged features, for the times.
    """
    streams = list(dataset.streams) if dataset else []
    fields = {name: Field("f4") for name in streams} | {f"{name}{TIME}": Field("f8") for name in streams}
    weights = dict(_by_clip(result, dataset, split)) if dataset else {}
    with Writer(path, fields, stage="attention", recipe=recipe) as writer:
        reported = table["clip"].iloc[sorted(weights)].tolist()
        times = {name: _times(features[name], reported) for name in streams}
        for number in sorted(weights):
            clip = table["clip"].iloc[number]
            arrays = {name: found for name, found in weights[number].items() if len(found)}
            arrays |= {f"{name}{TIME}": times[name][clip] for name in streams}
            writer.add(Row(clip, "", OK, "", arrays))


def of_clips(networks: Sequence[TrainedRun], dataset: FusionDataset, rows: np.ndarray) -> list[dict[str, np.ndarray]]:
    """Return stream -> weights (T,) for each clip of `rows` (B,): the mean over networks that read the first vectors.

    If backbones were trained with several seeds, networks that read the vectors of others are omitted, as in `write`.
    """
    models = [_model(dataset, network) for network in networks if network.run.network == 0]
    parts = [rows[start : start + CLIPS_AT_ONCE] for start in range(0, len(rows), CLIPS_AT_ONCE)]
    return [weights for part in parts for weights in _mean_weights(models, dataset, part)]


def _by_clip(
    result: CrossValidationResult, dataset: FusionDataset, split: ProtocolSplit
) -> Iterator[tuple[int, dict[str, np.ndarray]]]:
    """Yield the number of each clip that is reported, and its weights by stream: the mean over the networks.

    If backbones were trained with several seeds, these are the networks that read the vectors of the first.
    """
    networks = {name: network for name, network in result.networks.items() if network.run.network == 0}
    whole = [network for name, network in networks.items() if ".fold" not in name]
    parts = [(whole, split.predict_idx)]
    if split.cross_validated:
        for fold in range(split.folds):
            of_fold = [network for name, network in networks.items() if name.endswith(f".fold{fold}")]
            parts.append((of_fold, split.train_idx[split.fold == fold]))
    for those, idx in parts:
        models = [_model(dataset, network) for network in those]
        for start in range(0, len(idx) if models else 0, CLIPS_AT_ONCE):
            rows = idx[start : start + CLIPS_AT_ONCE]
            yield from zip(rows.tolist(), _mean_weights(models, dataset, rows), strict=True)


def _model(dataset: FusionDataset, network: TrainedRun) -> FusionModel:
    moments, space = dataset.placeholder_moments(), dataset.space
    model = FusionModel(moments, dataset.modalities, network.run.options, len(space), space.kind)
    model.load_state_dict(network.state)
    return model.to(dataset.device, dataset.dtype).eval()


@torch.inference_mode()
def _mean_weights(
    models: Sequence[FusionModel], dataset: FusionDataset, rows: np.ndarray
) -> list[dict[str, np.ndarray]]:
    """Return, for each clip of `rows` (B,), stream -> the mean weights (T,) of its vectors."""
    batch = dataset.full_batch(torch.as_tensor(rows, device=dataset.device))
    of_models = [model.attention_weights(batch) for model in models]
    found = []
    for place in range(len(rows)):
        one = {}
        for stream, given in batch.items():
            mean = torch.stack([weights[stream][place] for weights in of_models]).mean(0)  # (T,)
            one[stream] = mean[given.mask[place]].float().cpu().numpy()
        found.append(one)
    return found


def _times(path: Path, clips: Sequence[str]) -> dict[str, np.ndarray]:
    """Return clip -> the times of its vectors that are neither masked nor infinite, as `fusion.features.load` does."""
    with Reader(path) as reader:
        found = {}
        for clip in clips:
            if clip not in reader:
                found[clip] = np.empty(0)
                continue
            x, mask = reader.field(clip, "x"), reader.field(clip, "mask")
            found[clip] = reader.field(clip, "time")[mask & np.isfinite(x).all(1)]
        return found

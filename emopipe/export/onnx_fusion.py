"""Fusion networks as ONNX: all networks of a model in one file, which gives the mean of their probabilities."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import torch
from torch import nn

from emopipe.backbones.seeds import count_networks
from emopipe.core.labels import LabelSpace
from emopipe.export.onnx_writing import NotExportedError, Port, write
from emopipe.fusion.answers import answers
from emopipe.fusion.blocks import BlockSum
from emopipe.fusion.model import FusionModel, Moments
from emopipe.fusion.options import FusionOptions, encodes_time, frame_inputs
from emopipe.fusion.stream_batch import StreamBatch
from emopipe.inference.fusion_predictor import FusionPredictor
from emopipe.inference.manifest import OnnxFile

BATCH = "batch"
"""The name of the axis of clips."""
State = Mapping[str, torch.Tensor]


class SummedBlocks(nn.Module):
    """The sum of `emopipe.fusion.blocks.BlockSum` by operations that ONNX has."""

    def __init__(self, of: BlockSum) -> None:
        """Take the weights."""
        super().__init__()
        self.register_buffer("weights", of.weights.detach())  # (L,)

    def forward(self, stream: StreamBatch, dim: int) -> StreamBatch:
        """As `BlockSum.forward`."""
        return stream._replace(x=self._sum(stream.x, dim), statistics=self._sum(stream.statistics, dim))

    def _sum(self, values: torch.Tensor, dim: int) -> torch.Tensor:
        """(..., k L d) -> (..., k d)."""
        if not values.shape[-1]:
            return values
        # By slices, because a reshape of a traced tensor keeps the number of clips of the example.
        parts = [values[..., start : start + dim] for start in range(0, int(values.shape[-1]), dim)]  # k L of (..., d)
        blocks = range(len(self.weights))
        groups = range(0, len(parts), len(self.weights))
        return torch.cat([sum(parts[first + n] * self.weights[n] for n in blocks) for first in groups], -1)


class MeanOfNetworks(nn.Module):
    """The networks of a model: clips -> the mean (B, K) float32 of their probabilities, or values of dimensions.

    A clip without any vector gets the shares of the classes among the training clips, or the mean of each dimension.
    """

    def __init__(self, model: FusionPredictor) -> None:
        """Load the networks of a model that has some."""
        super().__init__()
        options, modalities = model.effective
        states = list(model.networks.values())
        self.space: LabelSpace = model.space
        self.networks = nn.ModuleList(_network(state, modalities, options, self.space) for state in states)
        self.ports = _ports(states[0], modalities, options, len(self.space))
        absent = np.asarray(model.prior) <= 0 if self.space.kind != "dimensions" else np.zeros(len(self.space), bool)
        self.register_buffer("absent", torch.from_numpy(absent))
        self.register_buffer("prior", torch.from_numpy(np.asarray(model.prior, np.float64)))
        self.eval()

    def forward(self, *inputs: torch.Tensor) -> torch.Tensor:
        """Return probabilities or values (B, K) of the inputs in the order of `ports`."""
        streams: dict[str, dict[str, torch.Tensor]] = {}
        for port, tensor in zip(self.ports, inputs, strict=True):
            stream, _, field = port.name.rpartition(".")
            streams.setdefault(stream, {})[field] = tensor
        batches = {stream: _batch(fields) for stream, fields in streams.items()}
        found = []
        for network in self.networks:
            logits = network(batches).double()
            found.append(answers(logits.masked_fill(self.absent, torch.finfo(logits.dtype).min), self.space))
        covered = torch.stack([batch.mask.any(-1) for batch in batches.values()]).any(0)
        return torch.where(covered[:, None], torch.stack(found).mean(0), self.prior).float()

    def example(self, clips: int, vectors: int, seed: int) -> list[torch.Tensor]:
        """Return inputs of random numbers. Streams have different numbers of vectors; some clips lack some of them."""
        draws = torch.Generator().manual_seed(seed)
        streams = list(dict.fromkeys(_stream(port) for port in self.ports))
        made = []
        for port in self.ports:
            number = vectors + streams.index(_stream(port))
            sizes = [size if isinstance(size, int) else clips if size == BATCH else number for size in port.shape]
            values = torch.randn(sizes, generator=draws)
            made.append(values > -1 if port.dtype == "bool" else values.to(getattr(torch, port.dtype)))
        return made


def _network(state: State, modalities: Mapping[str, str], options: FusionOptions, space: LabelSpace) -> FusionModel:
    """Return a network with its state."""
    moments = {}
    for stream in modalities:
        parts = [state.get(f"standardise.{kind}scale_{stream}", torch.empty(0)) for kind in ("", "statistics_")]
        blocks = state.get(f"network.blocks.{stream}.logits", torch.empty(1))
        moments[stream] = Moments(*(value for part in parts for value in (part * 0, part * 0 + 1)), blocks=len(blocks))
    network = FusionModel(moments, modalities, options, len(space), space.kind)
    network.load_state_dict(dict(state))
    for stream, block_sum in network.network.blocks.items():
        network.network.blocks[stream] = SummedBlocks(block_sum)
    return network


def _ports(state: State, modalities: Mapping[str, str], options: FusionOptions, classes: int) -> Sequence[Port]:
    """Return what the networks read of each stream; `classes` is K."""
    ports = []
    for stream, modality in modalities.items():
        vectors = f"{stream}.vectors"
        dim = len(state[f"standardise.scale_{stream}"])
        ports += [
            Port(f"{stream}.x", "float32", (BATCH, vectors, dim)),
            Port(f"{stream}.mask", "bool", (BATCH, vectors)),
        ]
        if encodes_time(options):
            ports.append(Port(f"{stream}.time", "float64", (BATCH, vectors)))
        statistics = state.get(f"standardise.statistics_scale_{stream}")
        if statistics is not None:
            ports.append(Port(f"{stream}.statistics", "float32", (BATCH, len(statistics))))
        if "evidence" in frame_inputs(options, modality):
            ports.append(Port(f"{stream}.evidence", "float32", (BATCH, classes)))
    return ports


def _stream(port: Port) -> str:
    return port.name.rpartition(".")[0]


def _batch(fields: Mapping[str, torch.Tensor]) -> StreamBatch:
    x, none = fields["x"], fields["x"][:, 0, :0]
    return StreamBatch(
        x,
        fields["mask"],
        fields.get("time", x[..., :0]),
        fields.get("statistics", none),
        fields.get("evidence", none),
    )


def write_model(model: FusionPredictor, path: Path) -> OnnxFile:
    """Write the networks of a model.

    Raises:
        NotExportedError: The model is not a network, or its networks read vectors of several networks of a backbone.
    """
    if model.is_pool:
        raise NotExportedError("it is a formula of a few numbers (`emopipe.fusion.product`), which its file holds.")
    _, modalities = model.effective
    if not modalities:
        raise NotExportedError("no training clip had vectors, so there is no network.")
    if several := [stream for stream in modalities if count_networks(stream, model.files) > 1]:
        raise NotExportedError(f"its networks read different networks of the backbone {several[0]}.")
    network = MeanOfNetworks(model)
    examples = [network.example(*sizes) for sizes in ((2, 5, 101), (7, 13, 102), (1, 1, 103))]
    name = "values" if model.space.kind == "dimensions" else "probabilities"
    outputs = [Port(name, "float32", (BATCH, len(model.space)))]
    about = f"the mean of the {len(network.networks)} fusion networks; masked vectors may hold any finite numbers"
    if views := [file for file in model.files if "@" in file]:
        about += f"; emopipe takes the mean over the plain vectors and those of {', '.join(views)}"
    return write(network, path, about, network.ports, outputs, examples)

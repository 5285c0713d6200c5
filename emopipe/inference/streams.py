"""From decoded clips in memory to the vectors of a model's streams, by the code of the stages."""

import functools
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor

import cv2
import numpy as np
import torch

from emopipe import extraction
from emopipe.backbones import registry
from emopipe.cache.clip_rows import ClipRows, RowsInMemory
from emopipe.cache.failures import FailurePolicy
from emopipe.core.labels import CLASSES
from emopipe.extraction.extractor import Extractor
from emopipe.faces import rows as face_rows
from emopipe.faces.detection import Detections
from emopipe.inference.memo import RememberingExtractor
from emopipe.inference.model import Model, Stream
from emopipe.stages.features import fields


class Streams:
    """The networks of a model's detectors and streams; each is built when it is first used."""

    def __init__(self, model: Model, where: torch.device, device: str, threads: int) -> None:
        """Create the streams; nothing is loaded yet.

        Args:
            model: The model.
            where: Where torch networks run.
            device: Where other networks run: auto, cpu or cuda.
            threads: CPU threads.
        """
        self._model, self._where, self._device, self._threads = model, where, device, threads
        self._pool = ThreadPoolExecutor(threads)
        self._detectors: dict[str, face_rows.DetectorPerThread] = {}
        self._networks: dict[str, RememberingExtractor] = {}
        self.policy = FailurePolicy("keep_going")

    def detect(self, preset: str, jpegs: Sequence[np.ndarray]) -> list[Detections]:
        """Return the faces of frames, which are given as JPEG bytes, by a preset's detector; all are searched."""
        return self._detect(preset, face_rows.Frames(jpegs), range(len(jpegs)))

    def _detect(self, preset: str, frames: Sequence[np.ndarray], numbers: Sequence[int]) -> list[Detections]:
        if preset not in self._detectors:
            cv2.setNumThreads(1)  # frames already run in parallel threads
            block = self._model.faces[preset]
            self._detectors[preset] = face_rows.DetectorPerThread(
                block.detector, block.options, block.weights, self._device
            )
        return self._detectors[preset].in_threads(self._pool, frames, numbers)

    def faces(
        self, preset: str, media: ClipRows, found: Mapping[str, Sequence[Detections]] | None = None
    ) -> RowsInMemory:
        """Return the rows of the faces of clips.

        Args:
            preset: The preset of faces.
            media: Decoded clips.
            found: Clip -> the faces of its frames, if they are known; default: the preset's detector finds them.
        """
        made, block = [], self._model.faces[preset]
        for clip in media.clips:
            find = functools.partial(self._detect, preset) if found is None else functools.partial(_known, found[clip])
            every = block.every if found is None else 1
            compute = functools.partial(face_rows.row, media, clip, find, block.jpeg_quality, every)
            made.append(self.policy.row(clip, "", compute))
        return RowsInMemory(made, face_rows.FIELDS)

    def vectors(self, media: Mapping[str, ClipRows], faces: Mapping[str, ClipRows]) -> dict[str, RowsInMemory]:
        """Return the rows of each stream's vectors, by stream or `<stream>@<view>`.

        Args:
            media: Decode preset -> the clips.
            faces: Preset of faces -> the clips.
        """
        found = {}
        for name, stream in self._model.streams.items():
            source = (faces if stream.modality == "face" else media)[stream.preset]
            network = self._network(name, stream)
            module = extraction.module_for(stream.modality)
            for view in stream.views:
                made = module.rows(source, iter(source.clips), network, stream.batch, view, self.policy)
                file = f"{name}@{view}" if view else name
                classes = network.head.classes if network.head else CLASSES
                held = fields(network.spec.dim, has_head=network.head is not None, classes=classes)
                found[file] = RowsInMemory(list(made), held)
        return found

    def _network(self, name: str, stream: Stream) -> RememberingExtractor:
        if name not in self._networks:
            options = registry.options_class(stream.kind).model_validate(stream.options)
            network = Extractor(
                stream.kind,
                options,
                weights=stream.weights,
                pretrained=stream.pretrained,
                torch_device=self._where,
                device=self._device,
                threads=self._threads,
                precision=stream.precision,
                by_fold=False,
                wanted=self._model.space.names,
            )
            self._networks[name] = RememberingExtractor(network)
        return self._networks[name]


def _known(found: Sequence[Detections], _frames: Sequence[np.ndarray], numbers: Sequence[int]) -> list[Detections]:
    """Return faces that are known already."""
    return [found[number] for number in numbers]

"""Predicts new files by a model: each file, or windows of it, goes through the code of the stages as a clip."""

import functools
import itertools
import os
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch

from emopipe.cache import status as statuses
from emopipe.cache.clip_rows import ClipRows, RowsInMemory
from emopipe.cache.status import text
from emopipe.core.errors import ConfigError, MediaError
from emopipe.core.labels import LabelSpace
from emopipe.inference import asked_labels
from emopipe.inference import inputs as given_inputs
from emopipe.inference.model import Answers, Model, by_name
from emopipe.inference.predictions import Numbers, Prediction, Predictions, StreamAnswer, WindowAnswer
from emopipe.inference.recording import Recorder
from emopipe.inference.shipped import Shipped
from emopipe.inference.streams import Streams
from emopipe.inference.watching import Watch, seen, shown_preset
from emopipe.inference.windows import PART_SECONDS, WINDOWS_AT_ONCE, Grid, Timeline, ready
from emopipe.media import rows as media_rows
from emopipe.media.decoded import AUDIO_RATE, DecodeOptions, Media
from emopipe.media.sandbox import ClipReader, PartReader
from emopipe.runtime import device as devices

FILES_AT_ONCE = 8
"""How many files are in memory together, so that they share batches of the networks."""
SHIPPED = "shipped"
"""The name of the model that needs no run."""


class Predictor:
    """Keeps a model's networks in memory between calls.

    >>> predictor = Predictor()  # doctest: +SKIP
    >>> predictor.predict("interview.mp4").frame  # doctest: +SKIP
    """

    def __init__(
        self,
        model: str | Path = SHIPPED,
        *,
        labels: str | Sequence[str] | None = None,
        device: str = "auto",
        threads: int | None = None,
    ) -> None:
        """Open a model.

        Args:
            model: `shipped`; the folder of a finished run, such as results/demo; or a bundle, a folder or a .zip.
            labels: With `shipped`: the classes to answer in, a named set such as ferplus8, or names. Classes that the
                networks do not know get no probability. Default: the seven.
            device: auto, cpu or cuda.
            threads: CPU threads; default: as many as there are.

        Raises:
            ConfigError: The shipped networks cannot answer in these labels, or a run or bundle is asked for others.
            CacheError: The run is not finished.
            BundleError: The bundle is damaged or changed.
            WeightsError: Weights are missing.
            DeviceError: The device does not exist.
        """
        threads = threads or len(os.sched_getaffinity(0) if hasattr(os, "sched_getaffinity") else [0] * os.cpu_count())
        where = devices.prepare(device, threads)
        self._model = _open(model, where, labels)
        self._streams = Streams(self._model, where, device, threads)

    @property
    def remark(self) -> str:
        """What the shipped networks lack of the labels that were asked for, in full sentences; "" if nothing."""
        return asked_labels.about(self._model.space) if isinstance(self._model, Shipped) else ""

    @property
    def about_traces(self) -> str:
        """What the traces of the model are (`Seen.traces`), in plain sentences for a caption."""
        return self._model.about_traces

    @property
    def decode_options(self) -> DecodeOptions:
        """How the model reads the frames that a watch sees."""
        return self._model.decode[shown_preset(self._model)]

    def predict(
        self,
        inputs: str | Path | Iterable[str | Path],
        *,
        window: float | None = None,
        step: float | None = None,
        record: bool = False,
    ) -> Predictions:
        """Predict files; see `stream` for the arguments.

        Args:
            inputs: See `stream`.
            window: See `stream`.
            step: See `stream`.
            record: Keep small pictures, the spectrogram and the attention of each input, for `timeline_figure`.

        Returns:
            The answers, in the order of the inputs.
        """
        recorder = Recorder(self.about_traces) if record else None
        made = list(self.stream(inputs, window=window, step=step, watch=recorder))
        return Predictions(made, {one.input: recorder.take(one.input) for one in made} if recorder else {})

    def stream(
        self,
        inputs: str | Path | Iterable[str | Path],
        *,
        window: float | None = None,
        step: float | None = None,
        watch: Watch | None = None,
    ) -> Iterator[Prediction]:
        """Yield the answers one by one, as soon as they are known.

        Args:
            inputs: Videos, images, sound files, parts of them (`talk.mp4#t=12.5,20`), folders of them, patterns, or
                tables with a column `path` and, for parts, `start` and `end`.
            window: Answer for windows of so many seconds, too; the answer for the file is then the mean over them.
            step: Seconds from one window to the next; default: half a window.
            watch: Is called with the frames, faces and sound of each clip, or window, as soon as it is answered, and
                before the answer for its file is yielded.

        Raises:
            CorpusError: There is no input.
            ConfigError: `window` or `step` is not a positive number, or `step` is given alone.
        """
        files = given_inputs.expand(inputs)
        if window is None and step is not None:
            raise ConfigError("step is given without window. Give the length of a window, too.")
        if window is None:
            parts = [given_inputs.part_of(file) for file in files]
            with ExitStack() as stack:
                readings = {
                    name: stack.enter_context(ClipReader(options)).readings(parts)
                    for name, options in self._model.decode.items()
                }
                # The first file alone, so that the first answer comes soon.
                starts = [0, *range(1, len(files), FILES_AT_ONCE)]
                for start, stop in itertools.pairwise([*starts, len(files)]):
                    some = {name: made[start:stop] for name, made in readings.items()}
                    yield from self._whole(files[start:stop], some, watch)
            return
        grid = _grid(window, step)
        for file in files:
            yield self._over_time(file, grid, watch)

    # -- whole files ---------------------------------------------------------------------------------------------

    def _whole(
        self, files: list[str], readings: Mapping[str, list[Callable[[], Media]]], watch: Watch | None
    ) -> list[Prediction]:
        """Return the answers for some files, each as one clip; `readings` decode them."""
        clips = _ids(files)
        media = {preset: self._decode(clips, made) for preset, made in readings.items()}
        faces = {name: self._streams.faces(name, media[block.decode]) for name, block in self._model.faces.items()}
        return self._answers(clips, media, faces, dict.fromkeys(clips), watch)

    def _answers(
        self,
        clips: Mapping[str, str],
        media: Mapping[str, ClipRows],
        faces: Mapping[str, ClipRows],
        spans: Mapping[str, tuple[float, float] | None],
        watch: Watch | None,
    ) -> list[Prediction]:
        """Return the answers for clips, each a file or a window of one.

        Args:
            clips: Clip -> its file.
            media: Decode preset -> the decoded clips.
            faces: Preset of faces -> the faces of the clips.
            spans: Clip -> its window; None: it is a whole file.
            watch: See `stream`.
        """
        vectors, space = self._streams.vectors(media, faces), self._model.space
        answers = self._model.answer(list(clips), vectors)
        if watch:
            for clip, traces in zip(clips, self._model.traces(list(clips), vectors), strict=True):
                watch(seen(clips[clip], spans[clip], clip, self._model, media, faces, traces))
        return [
            _prediction(
                file, number, answers, self._stream_answers(clip, number, media, faces, vectors, answers), space
            )
            for number, (clip, file) in enumerate(clips.items())
        ]

    def _decode(self, clips: Iterable[str], readings: list[Callable[[], Media]]) -> RowsInMemory:
        """Return the decoded files of clips."""

        def decoded(clip: str, reading: Callable[[], Media]) -> media_rows.Row:
            return media_rows.row(clip, "", reading())

        row = self._streams.policy.row
        made = [row(clip, "", functools.partial(decoded, clip, one)) for clip, one in zip(clips, readings, strict=True)]
        return RowsInMemory(made, media_rows.FIELDS)

    def _stream_answers(
        self,
        clip: str,
        number: int,
        media: Mapping[str, ClipRows],
        faces: Mapping[str, ClipRows],
        vectors: Mapping[str, ClipRows],
        answers: Answers,
    ) -> dict[str, StreamAnswer]:
        """Return what each stream says about a clip."""
        made = {}
        for name, stream in self._model.streams.items():
            rows = vectors[name]
            if stream.modality == "face":
                source = faces[stream.preset]
                searched = len(media[self._model.faces[stream.preset].decode].field(clip, "jpeg_size"))
                found, unit = float(source.field(clip, "mask").sum()), "frames"
            else:
                source = media[stream.preset]
                found = searched = len(source.field(clip, "audio")) / AUDIO_RATE
                unit = "seconds"
            p, has = answers.parts.get(name, (None, None))
            own = p[number] if p is not None and has[number] else None
            status, reason = rows.status[clip], text(rows.reason[clip])
            says = _label(own, self._model.space), _numbers(own, self._model.space)
            made[name] = StreamAnswer(status, reason, found, float(searched), unit, *says)
        return made

    # -- windows over time ---------------------------------------------------------------------------------------

    def _over_time(self, file: str, grid: Grid, watch: Watch | None) -> Prediction:
        """Return the answer for a file of any length, with an answer for each window."""
        whole = Media(statuses.UNDECODABLE)
        windows: list[WindowAnswer] = []
        made: list[Prediction] = []
        found: dict[str, dict[float, bool]] = {}
        timelines = {preset: Timeline() for preset in self._model.decode}
        with ExitStack() as stack:
            readers = [_in_parts(stack, file, grid.options(options)) for options in self._model.decode.values()]
            for number, parts in enumerate(itertools.zip_longest(*readers)):
                for preset, part in zip(timelines, parts, strict=True):
                    if part is not None and part.status != statuses.PART:
                        whole = part
                    elif part is not None:
                        timelines[preset].add(part, self._detectors_of(preset))
                is_last = all(part is None or part.status != statuses.PART for part in parts)
                # That there is another part shows that the file goes on for as long as the parts before it.
                end = max(t.end for t in timelines.values()) if is_last else number * PART_SECONDS
                waiting = ready(grid, len(windows), end, is_last=is_last)
                for begin in range(0, len(waiting), WINDOWS_AT_ONCE):
                    some = waiting[begin : begin + WINDOWS_AT_ONCE]
                    answered = self._answer_windows(file, some, timelines, found, watch)
                    made += answered
                    windows += [
                        WindowAnswer(*window, one.label, one.values, one.space)
                        for window, one in zip(some, answered, strict=True)
                    ]
                for timeline in timelines.values():
                    timeline.drop(grid.window(len(windows))[0])
        counts = {name: self._counts(name, found, timelines) for name in self._model.streams}
        return _mean(file, whole, made, windows, counts, self._model.space)

    def _counts(
        self, name: str, found: Mapping[str, Mapping[float, bool]], timelines: Mapping[str, Timeline]
    ) -> tuple[float, float]:
        """Return how many frames have a face, of how many; or the seconds of sound twice. Windows overlap."""
        stream = self._model.streams[name]
        if stream.modality == "audio":
            return timelines[stream.preset].heard, timelines[stream.preset].heard
        frames = found.get(stream.preset, {})
        return float(sum(frames.values())), float(len(frames))

    def _detectors_of(self, preset: str) -> dict[str, functools.partial]:
        """Return, for each preset of faces that reads a decode preset, what finds the faces of frames."""
        return {
            name: functools.partial(self._streams.detect, name)
            for name, block in self._model.faces.items()
            if block.decode == preset
        }

    def _answer_windows(
        self,
        file: str,
        windows: list[tuple[float, float]],
        timelines: Mapping[str, Timeline],
        has_face: dict[str, dict[float, bool]],
        watch: Watch | None,
    ) -> list[Prediction]:
        """Return the answers for windows; `has_face` notes, for each preset of faces, which frames have a face."""
        spans = {str(number): window for number, window in enumerate(windows)}
        media = {preset: timeline.media(windows) for preset, timeline in timelines.items()}
        faces = {}
        for name, block in self._model.faces.items():
            timeline = timelines[block.decode]
            found = {clip: timeline.found(name, window) for clip, window in spans.items()}
            faces[name] = self._streams.faces(name, media[block.decode], found)
            for clip, window in spans.items():
                mask = faces[name].field(clip, "mask").tolist()  # empty if the search failed
                has_face.setdefault(name, {}).update(zip(timeline.times(window), mask, strict=False))
        return self._answers(dict.fromkeys(spans, file), media, faces, spans, watch)


def predict(
    inputs: str | Path | Iterable[str | Path],
    model: str | Path = SHIPPED,
    *,
    labels: str | Sequence[str] | None = None,
    window: float | None = None,
    step: float | None = None,
    record: bool = False,
    device: str = "auto",
    threads: int | None = None,
) -> Predictions:
    """Predict the emotion in videos, images and sound files.

    Args:
        inputs: Files, parts of them (`talk.mp4#t=12.5,20`), folders, patterns, or tables with a column `path` and, for
            parts, `start` and `end`.
        model: `shipped`; the folder of a finished run, such as results/demo; or a bundle, a folder or a .zip.
        labels: See `Predictor`.
        window: Answer for windows of so many seconds, too.
        step: Seconds from one window to the next; default: half a window.
        record: Keep small pictures, the spectrogram and the attention of each input, for `timeline_figure`.
        device: auto, cpu or cuda.
        threads: CPU threads; default: as many as there are.

    Returns:
        The answers, in the order of the inputs. A file that cannot be read has an answer that says why.
    """
    predictor = Predictor(model, labels=labels, device=device, threads=threads)
    return predictor.predict(inputs, window=window, step=step, record=record)


def _open(model: str | Path, device: torch.device, labels: str | Sequence[str] | None) -> Model:
    if str(model) == SHIPPED:
        return Shipped(asked_labels.space_of(labels))
    if labels is not None:
        raise ConfigError(
            f"--labels is given with --model {model}, which answers in its own labels. Remove --labels, or use the "
            "shipped model."
        )
    # Imports that the shipped model does not need, and that take time.
    from emopipe.inference.bundle import Bundle, is_bundle

    if is_bundle(Path(model)):
        return Bundle(Path(model), device)
    from emopipe.inference.finished_run import FinishedRun

    return FinishedRun(Path(model), device)


def _grid(window: float, step: float | None) -> Grid:
    step = window / 2 if step is None else step
    for name, value in (("window", window), ("step", step)):
        if not 0 < value < float("inf"):
            raise ConfigError(f"{name} is {value}. Expected a positive number of seconds.")
    return Grid(window, step)


def _ids(files: list[str]) -> dict[str, str]:
    """Return an id for each file: its stem, as corpora name clips; with a number if it is taken."""
    found: dict[str, str] = {}
    for number, file in enumerate(files):
        stem = Path(file).stem
        found[stem if stem not in found else f"{stem} {number}"] = file
    return found


def _in_parts(stack: ExitStack, file: str, options: DecodeOptions) -> Iterator[Media]:
    """Yield a file some seconds at a time, or the part of a file that was asked for, and at last its status."""
    path, span = given_inputs.part_of(file)
    if span is None:
        yield from stack.enter_context(PartReader(options, PART_SECONDS))(path)
        return
    try:
        media = stack.enter_context(ClipReader(options))(path, span)
    except MediaError as error:
        media = Media(statuses.UNREADABLE, error.why)
    yield replace(media, status=statuses.PART)
    yield Media(media.status, media.reason)


def _label(values: np.ndarray | None, space: LabelSpace) -> str | None:
    return None if values is None else space.answers(values[None])[0]


def _numbers(values: np.ndarray | None, space: LabelSpace) -> Numbers | None:
    return None if values is None else by_name(values, space)


def _prediction(
    file: str, number: int, answers: Answers, streams: dict[str, StreamAnswer], space: LabelSpace
) -> Prediction:
    """Return the answer for a clip. Its status is ok if all streams spoke, else that of the first that did not."""
    values = answers.values[number] if answers.answered[number] else None
    silent = [one for one in streams.values() if one.status != statuses.OK]
    status = silent[0].status if silent else statuses.OK
    reason = " ".join(dict.fromkeys(one.reason for one in streams.values() if one.reason))
    parts = answers.parts.items()
    models = {n: by_name(own[number], space) for n, (own, has) in parts if n not in streams and has[number]}
    label, numbers = _label(values, space), _numbers(values, space)
    return Prediction(file, status, reason, label, numbers, streams, models, space=space)


def _mean(
    file: str,
    whole: Media,
    made: list[Prediction],
    windows: list[WindowAnswer],
    counts: Mapping[str, tuple[float, float]],
    space: LabelSpace,
) -> Prediction:
    """Return the answer for a file: the mean over its windows."""
    answered = [one for one in made if one.answered]
    streams = {}
    for name in made[0].streams if made else ():
        parts = [one.streams[name] for one in made]
        own = _average([one.probabilities for one in parts if one.probabilities], space)
        spoke = [one for one in parts if one.status == statuses.OK]
        first = (spoke or parts)[0]
        says = _label(own, space), _numbers(own, space)
        streams[name] = StreamAnswer(first.status, first.reason, *counts[name], first.unit, *says)
    status, reason = whole.status, text(whole.reason)
    if whole.status == statuses.OK and not answered and made:
        status, reason = made[0].status, made[0].reason
    models = {
        name: _numbers(_average([one.models[name] for one in answered if name in one.models], space), space)
        for name in dict.fromkeys(name for one in answered for name in one.models)
    }
    values = _average([one.values for one in answered], space)
    says = _label(values, space), _numbers(values, space)
    return Prediction(file, status, reason, *says, streams, models, windows, space)


def _average(parts: list[Numbers], space: LabelSpace) -> np.ndarray | None:
    """Return the mean (K,) of the numbers of several answers; None if there are none."""
    return np.mean([[part[name] for name in space.names] for part in parts], 0) if parts else None

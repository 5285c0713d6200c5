"""Writes timelines and videos of answers, one input after the other, while a prediction runs."""

from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Self

from emopipe.core.errors import ConfigError
from emopipe.inference import inputs as given_inputs
from emopipe.inference.drawn_video import write_video
from emopipe.inference.output_names import output_names
from emopipe.inference.predictions import Prediction
from emopipe.inference.recording import Recorder, Recording
from emopipe.inference.timeline_figure import save, timeline_figure
from emopipe.inference.timeline_page import write_page
from emopipe.media.decoded import DecodeOptions

if TYPE_CHECKING:  # it imports torch, and a wrong name is refused before that
    from emopipe.inference.predictor import Predictor

TIMELINES, VIDEOS = (".html", ".png", ".svg"), (".mp4",)
"""Suffixes of what can be written."""


class Shown:
    """What is to be written of each input."""

    def __init__(self, timelines: Mapping[str, Path], videos: Mapping[str, Path]) -> None:
        """Take input -> file; one of the two may be empty."""
        self._timelines, self._videos = timelines, videos
        self._recorder: Recorder | None = None
        self._options: DecodeOptions | None = None
        self.faults: list[str] = []
        """What could not be written and why, in full sentences."""

    @classmethod
    def asked(cls, inputs: Iterable[str], timeline: str | None, video: str | None) -> Self:
        """Return what two options of the command ask for. Nothing is decoded.

        Raises:
            CorpusError: There is no input.
            ConfigError: See `output_names`.
        """
        files = given_inputs.expand(inputs)
        return cls(
            {} if timeline is None else output_names("--timeline", timeline, files, TIMELINES),
            {} if video is None else output_names("--video", video, files, VIDEOS),
        )

    def watch(self, predictor: "Predictor") -> Recorder:
        """Return what has to watch the prediction."""
        self._recorder, self._options = Recorder(predictor.about_traces), predictor.decode_options
        return self._recorder

    def written(self, answers: Iterable[Prediction]) -> Iterator[Prediction]:
        """Yield the answers; what was asked for is written before each is yielded."""
        for one in answers:
            recording = self._recorder.take(one.input)
            try:
                if one.input in self._timelines:
                    write_timeline(one, recording, self._timelines[one.input])
                if one.input in self._videos:
                    write_video(one, recording, self._options, self._videos[one.input])
            except ConfigError as error:
                self.faults.append(str(error))
            yield one


def write_timeline(one: Prediction, recording: Recording, path: Path) -> None:
    """Write a page or a figure of a file over time, by the suffix of the path.

    Raises:
        ConfigError: The file is a picture, or nothing of it could be decoded.
    """
    if not recording.end:
        why = f" {one.reason}" if one.reason else ""
        raise ConfigError(
            f"{one.input} has no frames or sound over time, so {path.name} was not written: it is a picture, or "
            f"it cannot be decoded.{why}"
        )
    if path.suffix.lower() == ".html":
        write_page(one, recording, path)
    else:
        save(timeline_figure(one, recording), path)

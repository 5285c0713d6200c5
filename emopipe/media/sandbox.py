"""Reads clips in a separate process, so that a hostile file cannot harm the job."""

import contextlib
import functools
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from types import TracebackType
from typing import Self

from emopipe.cache import status
from emopipe.core.errors import MediaError
from emopipe.core.fingerprint import ROOT
from emopipe.media import length_worker, part_worker, worker
from emopipe.media.decoded import DecodeOptions, Media, Span
from emopipe.media.frame_folders import FrameFolder, sound_of
from emopipe.media.protocol import AS_FILE, BLOATED, READY, receive_media, send_request

WORKER = worker.__name__
"""The module that the decoding process runs."""
PART_WORKER = part_worker.__name__
"""The module that the process which reads parts runs."""
LENGTH_WORKER = length_worker.__name__
"""The module that the process which measures lengths runs."""
KILLED = status.reason("decoder_killed")
START_SECONDS = 600.0
"""The longest time that the decoding process may take to start. A few seconds are usual; a busy network disk, from
which all processes of a cluster import Python packages at once, may need minutes."""
MOST_LOSSES = 3
"""After a file has lost so many processes one after the other, its other parts are not tried any more."""

_LAST_WORDS_SECONDS = 10  # time that a process gets to end after it closed its output
_ONE_THREAD = {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}  # decoding needs no more


class _Reader:
    """A context manager with one decoding process, which starts at its first use."""

    def __init__(self, options: DecodeOptions) -> None:
        self._options = options
        self._process: _Process | None = None
        self._is_over = False

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._is_over = True
        self._stop()

    def _stop(self) -> None:
        if self._process is not None:
            self._process.stop()
            self._process = None


class ClipReader(_Reader):
    """Reads clips as `read_clip` does, in another process, each within `clip_seconds` and `clip_memory_mb`.

    Use it as a context manager: one process serves all clips until the context ends. If a clip makes the process hang,
    crash or use too much memory, that clip is undecodable and a new process continues. An earlier clip may have caused
    a crash, so a crash counts only if it happens again in a new process.

    >>> with ClipReader(DecodeOptions(policy="count", count=3)) as read:  # doctest: +SKIP
    ...     media = read(Path("clip.mp4"))
    """

    def __call__(self, path: Path, span: Span | None = None, how: FrameFolder | None = None) -> Media:
        """Decode one clip: a file, a folder of frames, or a part of one.

        Args:
            path: The file or folder.
            span: The part; None: the whole.
            how: How a folder of frames is played; None: with the sound that is in it or beside it.

        Raises:
            MediaError: The system refuses to read the file, as in `read_clip`.
            ChildProcessError: The decoding process does not start, or not within START_SECONDS.
            MemoryError: The process was killed twice, most probably because the machine ran out of memory.
        """
        return _readable(path, self._read(path, [span] if span else [], how))

    def readings(self, clips: Sequence[tuple[Path, Span | None]]) -> list[Callable[[], Media]]:
        """Return a function for each clip, which decodes it and raises as `__call__`; call them once, in this order.

        Parts of one file that follow one another, in the order of their ends, are decoded in one pass; the limits of
        the options hold for each part.
        """
        found: list[Callable[[], Media]] = []
        runs: list[tuple[Path, list[Span]]] = []
        for path, span in clips:
            if span is None or path.is_dir():
                found.append(functools.partial(self, path, span))
                runs.append((path, []))
                continue
            if not runs or runs[-1][0] != path or not runs[-1][1] or runs[-1][1][-1].end > span.end:
                runs.append((path, []))
                answers = self._parts(*runs[-1])
            runs[-1][1].append(span)
            found.append(functools.partial(_next, path, answers))
        return found

    def _parts(self, path: Path, spans: Sequence[Span]) -> Iterator[Media]:
        """Yield the parts of a file, in one pass. If the process is lost, each of the others is read by itself."""
        done = losses = 0
        try:
            while len(spans) > 1 and done < len(spans):
                self._process = self._process or _Process(self._options, WORKER)
                media = self._process.read(None if done else path, spans)
                if media.status == status.UNREADABLE:
                    break
                done += 1
                yield media
        except _LostError:
            pass
        finally:
            if 1 < len(spans) != done:  # answers that nobody has read are left in the pipe
                self._stop()
        for span in spans[done:]:
            if losses < MOST_LOSSES:
                media = self._read(path, [span])
                losses = losses + 1 if self._process is None else 0
            yield media

    def _read(self, path: Path, spans: Sequence[Span], how: FrameFolder | None = None) -> Media:
        is_fresh = self._process is None
        self._process = self._process or _Process(self._options, WORKER)
        try:
            return self._process.read(path, spans, how)
        except _LostError as lost:
            self._stop()
            if self._is_over:  # the context ended while another thread was reading
                raise
            if is_fresh and lost.is_machines:
                raise MemoryError(status.text(str(lost))) from None
            if is_fresh or lost.is_sure:
                return Media(status.UNDECODABLE, str(lost))
        except BaseException:
            self._stop()
            raise
        return self._read(path, spans, how)


def _next(path: Path, answers: Iterator[Media]) -> Media:
    return _readable(path, next(answers))


def _readable(path: Path, media: Media) -> Media:
    """Return a decoded clip, or raise a MediaError if the system refused to read its file."""
    if media.status == status.UNREADABLE:
        raise MediaError(path, media.reason)
    return media


def _as_found(path: Path) -> FrameFolder:
    """Return how a folder of frames is played of which nothing else is known."""
    return FrameFolder(sound=sound_of(path)) if path.is_dir() else AS_FILE


class PartReader(_Reader):
    """Reads files as `read_parts` does, in another process; the limits of the options hold for each part.

    Use it as a context manager. If the process is lost, the file ends there: its last answer has the status
    undecodable and the reason.
    """

    def __init__(self, options: DecodeOptions, seconds: float) -> None:
        """Take the options of decoding, and the length of a part in seconds."""
        super().__init__(options)
        self._seconds = seconds

    def __call__(self, path: Path) -> Iterator[Media]:
        """Yield the parts of a file, and at last the status and the reason of the whole.

        Raises:
            ChildProcessError: As `ClipReader`.
        """
        self._process = self._process or _Process(self._options, PART_WORKER, str(self._seconds))
        is_whole = False
        try:
            media = self._process.read(path)
            while media.status == status.PART:
                yield media
                media = self._process.read(None)
            is_whole = True
            yield media
        except _LostError as lost:
            yield Media(status.UNDECODABLE, str(lost))
        finally:
            if not is_whole:  # answers that nobody has read are left in the pipe
                self._stop()


class LengthReader(_Reader):
    """Measures in another process how long files are, each within the limits of the options; a context manager."""

    def __call__(self, path: Path) -> float | None:
        """Return the time at which a file ends at the latest, in seconds; None if that is not known.

        Raises:
            ChildProcessError: As `ClipReader`.
        """
        self._process = self._process or _Process(self._options, LENGTH_WORKER)
        try:
            media = self._process.read(path)
        except _LostError:
            self._stop()
            return None
        return float(media.times[0]) if len(media.times) else None


class _LostError(Exception):
    """The process is lost. `is_sure`: only the clip can be the cause; `is_machines`: the machine may be the cause."""

    def __init__(self, reason: str, *, is_sure: bool = False, is_machines: bool = False) -> None:
        super().__init__(reason)
        self.is_sure, self.is_machines = is_sure, is_machines


class _Watch(threading.Thread):
    """Gives up a process after some seconds; time in which this job itself was stopped (Ctrl-Z) does not count."""

    TICK_SECONDS = 0.5

    def __init__(self, seconds: float, give_up: Callable[[], None]) -> None:
        super().__init__(daemon=True)
        self._left, self._give_up, self._is_over = seconds, give_up, threading.Event()
        self.is_late = False

    def run(self) -> None:
        while self._left > 0:
            begin = time.monotonic()
            if self._is_over.wait(min(self.TICK_SECONDS, self._left)):
                return
            self._left -= min(time.monotonic() - begin, 2 * self.TICK_SECONDS)
        self.is_late = True
        self._give_up()

    def end(self) -> None:
        """End the watch: the process has answered, or ended."""
        self._is_over.set()
        self.join()


class _Process:
    """One decoding process."""

    def __init__(self, options: DecodeOptions, module: str, *arguments: str) -> None:
        self._options = options
        packages = filter(None, [str(ROOT.parent), os.environ.get("PYTHONPATH")])
        self._popen = subprocess.Popen(
            # -P: no module is imported from the folder that the job happens to run in.
            [sys.executable, "-P", "-m", module, options.model_dump_json(), *arguments],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env={**os.environ, "PYTHONPATH": os.pathsep.join(packages), **_ONE_THREAD},
        )
        try:
            self._wait_until_ready()
        except BaseException:
            self.stop()
            raise

    def _wait_until_ready(self) -> None:
        watch = _Watch(START_SECONDS, self._popen.kill)
        watch.start()
        try:
            is_ready = self._popen.stdout.read(len(READY)) == READY
        finally:
            watch.end()
        if watch.is_late:
            raise ChildProcessError(
                f"The process that decodes clips did not answer within {START_SECONDS:g} s of its start, and was "
                f"stopped. Perhaps the disk of the Python packages ({sys.prefix}) hangs, or the machine is overloaded. "
                "Check both, then run again"
            )
        if not is_ready:
            raise ChildProcessError(
                "The process that decodes clips does not start. Its own message is above. Correct that, then run again."
            )

    def read(self, path: Path | None, spans: Sequence[Span] = (), how: FrameFolder | None = None) -> Media:
        """Ask for a file, or parts of it, and return the first answer; None: return the next answer about this file.

        Raises:
            _LostError: The process is lost.
        """
        watch = _Watch(self._options.clip_seconds, self._popen.kill)
        watch.start()
        try:
            if path is not None:
                send_request(self._popen.stdin, path, spans, how or _as_found(path))
            media = receive_media(self._popen.stdout, self._options.clip_memory_mb << 20)
            reason = media.reason if media.status == BLOATED else ""
        except (BrokenPipeError, EOFError):
            reason = self._end()
        except ValueError:
            reason = status.reason("decoder_nonsense")
        finally:
            watch.end()
        if watch.is_late:
            raise _LostError(status.reason("too_much_time", seconds=self._options.clip_seconds), is_sure=True)
        if reason:
            raise _LostError(reason, is_machines=reason == KILLED)
        return media

    def _end(self) -> str:
        """Return the reason that says how the process ended."""
        try:
            code = self._popen.wait(_LAST_WORDS_SECONDS)
        except subprocess.TimeoutExpired:
            return status.reason("decoder_silent")
        if code >= 0:
            return status.reason("decoder_exited", exit_code=code)
        if -code == signal.SIGKILL:
            return KILLED
        return status.reason("decoder_crashed", signal=signal.Signals(-code).name)

    def stop(self) -> None:
        """Kill the process; it holds nothing that must be saved."""
        self._popen.kill()
        self._popen.wait()
        for pipe in (self._popen.stdin, self._popen.stdout):
            with contextlib.suppress(BrokenPipeError):
                pipe.close()

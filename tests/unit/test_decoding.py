"""Clips in a process of their own: what they may do to it, what comes back, and that nothing else is touched."""

import contextlib
import errno
import io
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import av
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from emopipe.cache.status import text
from emopipe.core.errors import MediaError
from emopipe.media import files, protocol, sandbox
from emopipe.media.clip import read_clip
from emopipe.media.decoded import DecodeOptions, Media, Span
from emopipe.media.frame_folders import FrameFolder
from emopipe.media.sandbox import ClipReader
from tests.conftest import write_clip

REPOSITORY = Path(__file__).parents[2]
THREE = DecodeOptions(policy="count", count=3)


def options(**keys):
    return DecodeOptions(policy="count", count=3, **keys)


def same(one, other):
    arrays = all(np.array_equal(getattr(one, name), getattr(other, name)) for name in ("times", "audio"))
    plain = all(getattr(one, name) == getattr(other, name) for name in ("status", "reason", "jpegs", "audio_start"))
    return arrays and plain


# --- what comes back


@pytest.mark.slow
def test_it_is_what_this_process_would_have_decoded(tmp_path):
    paths = [write_clip(tmp_path / "a.avi"), write_clip(tmp_path / "b.mp4", video=None, audio="aac")]
    paths += [write_clip(tmp_path / "c.avi", audio=None), tmp_path / "text.mp4"]
    paths[-1].write_text("no video")
    with ClipReader(THREE) as read:
        found = [read(path) for path in paths]
    assert [media.status for media in found] == ["ok", "no_video", "no_audio", "undecodable"]
    assert all(same(media, read_clip(path, THREE)) for media, path in zip(found, paths, strict=True))
    assert found[0].audio.flags.writeable


@pytest.mark.slow
def test_a_file_that_cannot_be_read_is_no_status_and_no_end(tmp_path):
    with ClipReader(THREE) as read:
        with pytest.raises(
            MediaError, match=r"absent\.avi cannot be read \(No such file or directory\)\. Make it readable"
        ):
            read(tmp_path / "absent.avi")
        assert read(write_clip(tmp_path / "a.avi")).status == "ok"


@pytest.mark.slow
def test_names_are_told_in_one_line_whatever_is_in_them(tmp_path):
    name = os.fsdecode(b"two\nlines \xff.mp4")
    with ClipReader(THREE) as read, pytest.raises(MediaError, match=r"two\\nlines \\udcff\.mp4 cannot"):
        read(tmp_path / name)


@pytest.mark.parametrize("kind", ["pipe", "device", "folder"])
def test_what_is_no_file_is_not_opened(tmp_path, kind):
    """Opening a pipe waits for who writes to it, and /dev/zero has no end."""
    path = tmp_path / "a.mp4"
    {"pipe": os.mkfifo, "device": lambda p: p.symlink_to("/dev/zero"), "folder": Path.mkdir}[kind](path)
    with pytest.raises(MediaError, match="it is not a regular file"):
        read_clip(path, THREE)


def test_a_failing_disk_is_no_damaged_clip(tmp_path, monkeypatch):
    path = tmp_path / "a.avi"
    path.write_bytes(write_clip(tmp_path / "b.avi").read_bytes()[:700])
    assert read_clip(path, THREE).status == "undecodable"

    def fails(*_):
        raise OSError(errno.EIO, "Input/output error")

    monkeypatch.setattr(files.os, "read", fails)
    with pytest.raises(MediaError, match=r"a\.avi cannot be read \(Input/output error\)"):
        read_clip(path, THREE)
    assert read_clip(tmp_path / "b.avi", THREE).status == "ok"


# --- what a clip may do


@pytest.fixture
def unruly(monkeypatch):
    monkeypatch.setattr(sandbox, "WORKER", "tests.unit.unruly_decoder")


def pid(media):
    return int(re.search(r" by (\d+)$", media.reason)[1])


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("crash", "The decoder crashed (SIGSEGV)."),
        ("abort", "The decoder crashed (SIGABRT)."),
        ("leave", "The decoder exited with code 3."),
        ("close", "The decoder stopped answering."),
        ("babble", "The decoder gave an invalid answer."),
        ("hang", "Decoding takes more than 0.5 s (clip_seconds)."),
        ("bloat", "Decoding needs more than 64 MB (clip_memory_mb)."),
    ],
)
def test_a_clip_can_only_undo_itself(unruly, monkeypatch, name, reason):
    monkeypatch.setattr(sandbox, "_LAST_WORDS_SECONDS", 0.2)
    with ClipReader(options(clip_seconds=0.5, clip_memory_mb=64)) as read:
        before = read(Path("a"))
        lost = read(Path(name))
        after = read(Path("b"))
    assert (lost.status, text(lost.reason)) == ("undecodable", reason)
    assert after.reason.startswith("b by") and pid(after) != pid(before)


@pytest.mark.slow
def test_a_decoder_that_something_else_kills_says_nothing_of_the_clip(unruly):
    with ClipReader(THREE) as read:
        with pytest.raises(MemoryError, match=r"was killed .SIGKILL.; perhaps the machine ran out of memory"):
            read(Path("killed"))
        assert read(Path("b")).reason.startswith("b by")


@pytest.mark.slow
def test_time_in_which_the_job_itself_was_stopped_does_not_count(unruly):
    """As by Ctrl-Z, or by a cluster that lets another job go first."""
    code = "\n".join(
        [
            "from pathlib import Path",
            "from emopipe.media import sandbox",
            "from emopipe.media.decoded import DecodeOptions",
            "sandbox.WORKER = 'tests.unit.unruly_decoder'",
            "with sandbox.ClipReader(DecodeOptions(policy='count', count=3, clip_seconds=3)) as read:",
            "    print(read(Path('a')).reason, flush=True)",
            "    print(read(Path('nap')).reason)",
        ]
    )
    job = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True, start_new_session=True)
    assert job.stdout.readline().startswith("a by")
    os.killpg(job.pid, signal.SIGSTOP)
    time.sleep(4)
    os.killpg(job.pid, signal.SIGCONT)
    assert job.communicate(timeout=60)[0].startswith("nap by")


@pytest.mark.slow
@pytest.mark.parametrize(("before", "name"), [("spoiler", "fragile"), ("any", "bloated")])
def test_no_clip_pays_for_another(unruly, before, name):
    """What an earlier clip left behind may make the next one fail: it is tried again in a fresh process."""
    with ClipReader(THREE) as read:
        first, second = read(Path(before)), read(Path(name))
    assert second.reason.startswith(f"{name} by") and pid(first) != pid(second)


@pytest.mark.slow
def test_one_process_serves_all(unruly):
    with ClipReader(THREE) as read:
        assert len({pid(read(Path(name))) for name in "abc"}) == 1


@pytest.mark.slow
def test_what_libraries_print_is_neither_an_answer_nor_shown(unruly, capfd):
    with ClipReader(THREE) as read:
        assert read(Path("print")).reason.startswith("print by")
        assert read(Path("a")).reason.startswith("a by")
    assert capfd.readouterr() == ("", "")


@pytest.mark.slow
def test_signals_are_for_the_job_to_act_on(unruly):
    """A whole group is interrupted or terminated: a clip must not get a status by that."""
    with ClipReader(THREE) as read:
        assert read(Path("signals")).reason.startswith("signals by")


@pytest.mark.slow
def test_it_cannot_write(unruly, tmp_path):
    with ClipReader(THREE) as read:
        assert read(tmp_path / "write").reason == "cannot write: File too large"
    assert not any(path.read_bytes() for path in tmp_path.iterdir())


def test_nothing_starts_for_no_clips(monkeypatch):
    monkeypatch.setattr(sandbox, "WORKER", "emopipe.no_such_module")
    with ClipReader(THREE):
        pass


@pytest.mark.slow
def test_a_process_that_does_not_start_is_no_clips_fault(monkeypatch, tmp_path, capfd):
    monkeypatch.setattr(sandbox, "WORKER", "emopipe.no_such_module")
    with ClipReader(THREE) as read, pytest.raises(ChildProcessError, match=r"does not start. Its own message is above"):
        read(tmp_path / "a.mp4")
    assert "No module named emopipe.no_such_module" in capfd.readouterr().err


def test_a_process_that_starts_and_never_answers_is_given_up(monkeypatch, tmp_path):
    stopped, stop = [], sandbox._Process.stop
    monkeypatch.setattr(sandbox._Process, "stop", lambda self: stop(self) or stopped.append(self._popen.returncode))
    monkeypatch.setattr(sandbox, "WORKER", "tests.unit.silent_decoder")
    monkeypatch.setattr(sandbox, "START_SECONDS", 0.3)
    with (
        ClipReader(THREE) as read,
        pytest.raises(ChildProcessError, match=r"did not answer within 0\.3 s of its start.*then run again"),
    ):
        read(tmp_path / "a.mp4")
    assert stopped == [-signal.SIGKILL]


def test_a_request_to_end_while_a_process_starts_ends_it(monkeypatch, tmp_path):
    def interrupt(_self):
        raise KeyboardInterrupt

    made, popen = [], subprocess.Popen
    monkeypatch.setattr(
        sandbox.subprocess, "Popen", lambda *given, **keys: made.append(popen(*given, **keys)) or made[0]
    )
    monkeypatch.setattr(sandbox._Watch, "start", interrupt)
    with pytest.raises(KeyboardInterrupt), ClipReader(THREE) as read:
        read(tmp_path / "a.mp4")
    assert made[0].returncode == -signal.SIGKILL


@pytest.mark.slow
def test_modules_in_the_jobs_folder_are_not_imported(tmp_path, monkeypatch):
    for name in ("av", "numpy", "json"):
        (tmp_path / f"{name}.py").write_text("raise SystemExit('code of the working folder')")
    path = write_clip(tmp_path / "a.avi")
    monkeypatch.chdir(tmp_path)
    with ClipReader(THREE) as read:
        assert read(path).status == "ok"


def is_running(number):
    try:
        return "(zombie)" not in Path(f"/proc/{number}/status").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return False


def wait_for_the_end_of(number):
    deadline = time.monotonic() + 10
    while is_running(number):
        assert time.monotonic() < deadline, "it goes on"
        time.sleep(0.02)


@pytest.mark.slow
def test_it_ends_with_the_context(unruly):
    with ClipReader(THREE) as read:
        number = pid(read(Path("a")))
        assert is_running(number)
    wait_for_the_end_of(number)


JOB = """
import sys
from pathlib import Path
from emopipe.media import sandbox
from emopipe.media.decoded import DecodeOptions
sandbox.WORKER = "tests.unit.unruly_decoder"
with sandbox.ClipReader(DecodeOptions(policy="all")) as read:
    print(read(Path("a")).reason, flush=True)
    read(Path(sys.argv[1]))
    print("over", flush=True)
    sys.stdin.read()
"""


@pytest.mark.slow
@pytest.mark.parametrize("name", ["hang", "b"], ids=["at work", "idle"])
def test_it_ends_where_the_job_is_killed(name):
    environment = {**os.environ, "PYTHONPATH": str(REPOSITORY)}
    command = [sys.executable, "-c", JOB, name]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment) as job:
        number = int(job.stdout.readline().split()[-1])
        if name == "b":
            assert job.stdout.readline() == "over\n"
        else:
            time.sleep(0.1)
        assert is_running(number)
        job.send_signal(signal.SIGKILL)
        wait_for_the_end_of(number)


# --- what ffmpeg may do


@pytest.mark.slow
def test_more_memory_than_allowed_for_real(tmp_path):
    path = write_clip(tmp_path / "a.avi", size=(3840, 2160), seconds=0.3)
    with ClipReader(options(clip_memory_mb=64)) as read:
        found = read(path)
    assert (found.status, found.jpegs) == ("undecodable", [])
    assert text(found.reason) == "Decoding needs more than 64 MB (clip_memory_mb)."
    with ClipReader(options(clip_memory_mb=256)) as read:
        assert read(path).status == "ok"


@pytest.mark.slow
def test_more_time_than_allowed_for_real(tmp_path):
    path = write_clip(tmp_path / "a.avi", size=(1920, 1080), seconds=5, audio=None)
    with ClipReader(DecodeOptions(policy="all", clip_seconds=0.1)) as read:
        assert text(read(path).reason) == "Decoding takes more than 0.1 s (clip_seconds)."


def test_no_list_of_files_reaches_another(tmp_path, monkeypatch):
    """An ffconcat names clips to play one after the other; left to itself, ffmpeg opens them."""
    whole = write_clip(tmp_path / "whole.avi")
    (tmp_path / "list.avi").write_text(f"ffconcat version 1.0\nfile {whole.name}\n")
    monkeypatch.chdir(tmp_path)
    with av.open("list.avi") as container:
        assert container.streams.video
    assert read_clip(tmp_path / "list.avi", THREE).status == "undecodable"


# --- the protocol


MEDIA = st.builds(
    lambda status, reason, jpegs, audio, start: Media(
        status, reason, jpegs, np.arange(len(jpegs), dtype=float), np.array(audio, np.int16), start
    ),
    st.sampled_from(["ok", "no_audio", "no_video", "undecodable"]),
    st.text(st.characters(exclude_categories=("Cs",))),
    st.lists(st.binary(max_size=50), max_size=4),
    st.lists(st.integers(-32768, 32767), max_size=20),
    st.floats(allow_nan=False),
)


@pytest.mark.slow
@settings(max_examples=100, deadline=None)
@given(MEDIA)
def test_answers_arrive_as_they_were_sent(media):
    stream = io.BytesIO()
    protocol.send_media(stream, media)
    stream.seek(0)
    assert same(protocol.receive_media(stream, 1 << 20), media) and not stream.read()


@pytest.mark.slow
@settings(max_examples=200, deadline=None)
@given(MEDIA, st.integers(0, 400), st.binary(max_size=8))
def test_no_answer_can_do_more_than_be_refused(media, at, garbage):
    stream = io.BytesIO()
    protocol.send_media(stream, media)
    whole = stream.getvalue()
    stream = io.BytesIO(whole[:at] + garbage + whole[at + len(garbage) :])
    with contextlib.suppress(EOFError, ValueError):
        taken = protocol.receive_media(stream, 1 << 20)
        assert len(taken.jpegs) == len(taken.times)


@pytest.mark.parametrize("jpegs", [[1 << 40], [1 << 19] * 3])
def test_an_answer_cannot_ask_for_memory(jpegs):
    stream = io.BytesIO()
    protocol._send_counted(stream, f'{{"status": "ok", "reason": "", "jpegs": {jpegs}, "samples": 0}}'.encode())
    stream.seek(0)
    with pytest.raises(ValueError, match="an answer of more than 1048576 bytes"):
        protocol.receive_media(stream, 1 << 20)


@pytest.mark.parametrize("spans", [[], [Span(0.1, 12.5), Span(3.0)]], ids=["whole", "parts"])
@pytest.mark.parametrize("name", ["a b", "ä\n", os.fsdecode(b"\xff")])
def test_requests_arrive_as_they_were_sent(name, spans):
    stream, how = io.BytesIO(), FrameFolder(12.5, f"{name}.wav")
    protocol.send_request(stream, Path(name), spans, how)
    protocol.send_request(stream, Path(name), spans)
    stream.seek(0)
    assert protocol.receive_request(stream) == (Path(name), spans, how)
    assert protocol.receive_request(stream) == (Path(name), spans, FrameFolder())
    assert protocol.receive_request(stream) is None

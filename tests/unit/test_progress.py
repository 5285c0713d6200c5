"""Progress of long stages: in place on a terminal, plain lines in a pipe and in a log file."""

import io
import logging

import pytest

from emopipe.core import log
from emopipe.core.log import CLEAR_LINE, LOGGER, PROGRESS, Progress, log_to


class Clock:
    now = 100.0

    def monotonic(self):
        return self.now


class Terminal(io.StringIO):
    def isatty(self):
        return True


@pytest.fixture
def clock(monkeypatch):
    made = Clock()
    monkeypatch.setattr(log, "time", made)
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("COLUMNS", "60")
    monkeypatch.delenv("EMOPIPE_DEBUG", raising=False)
    before = LOGGER.handlers
    yield made
    LOGGER.handlers, PROGRESS.of = before, None


@pytest.fixture
def terminal(clock, monkeypatch):
    monkeypatch.setattr(log.sys, "stderr", Terminal())
    log_to(None)
    return log.sys.stderr


@pytest.fixture
def pipe(clock, monkeypatch):
    monkeypatch.setattr(log.sys, "stderr", io.StringIO())
    log_to(None)
    return log.sys.stderr


def log_to_both(stream, path, monkeypatch):
    """In the test itself: between a fixture and its test, pytest puts its own stream in place of stderr."""
    monkeypatch.setattr(log.sys, "stderr", stream)
    log_to(path)


def count(clock, progress, seconds, items):
    for _ in range(items):
        clock.now += seconds
        progress.advance()


def test_on_a_terminal_a_line_replaces_the_one_before(clock, terminal):
    count(clock, Progress("faces 00", 4), 0.6, 4)
    written = terminal.getvalue().split(CLEAR_LINE)[1:]
    assert written == [
        "faces 00: 1/4 clips, 1.7 clips/s, 2 s left",
        "faces 00: 2/4 clips, 1.7 clips/s, 1 s left",
        "faces 00: 3/4 clips, 1.7 clips/s, 1 s left",
        "faces 00: 4/4 clips, 1.7 clips/s, took 2 s\n",
    ]


def test_in_a_pipe_and_in_a_file_there_is_a_plain_line_every_few_seconds(clock, pipe, tmp_path, monkeypatch):
    log_to_both(pipe, tmp_path / "job.log", monkeypatch)
    count(clock, Progress("faces 00", 8), 2.0, 8)
    assert pipe.getvalue() == (tmp_path / "job.log").read_text()
    assert pipe.getvalue().splitlines() == [
        "faces 00: 3/8 clips, 0.5 clips/s, 10 s left",
        "faces 00: 6/8 clips, 0.5 clips/s, 4 s left",
        "faces 00: 8/8 clips, 0.5 clips/s, took 16 s",
    ]


def test_a_message_clears_the_line_that_is_written_in_place(clock, terminal):
    progress = Progress("faces 00", 4)
    count(clock, progress, 1.0, 1)
    LOGGER.warning("No face was found.")
    assert terminal.getvalue().endswith(f"left{CLEAR_LINE}No face was found.\n")


def test_a_line_in_place_fits_into_the_terminal(clock, terminal):
    count(clock, Progress("features " + "long_name " * 20, 4), 1.0, 1)
    assert len(terminal.getvalue().removeprefix(CLEAR_LINE)) == 59


def test_a_dumb_terminal_gets_plain_lines(clock, terminal, monkeypatch):
    monkeypatch.setenv("TERM", "dumb")
    count(clock, Progress("faces 00", 2), 1.0, 2)
    assert terminal.getvalue() == "faces 00: 2/2 clips, 1.0 clips/s, took 2 s\n"


@pytest.mark.parametrize(
    ("seconds", "said"),
    [
        (0.5, "2.0 epochs/s, 4 s left"),
        (10, "0.1 epochs/s, 80 s left"),
        (12, "12 s/epoch, 96 s left"),
        (60, "60 s/epoch, 8 min left"),
        (900, "900 s/epoch, 2.0 h left"),
    ],
)
def test_slow_items_are_reported_as_seconds_an_item(clock, pipe, seconds, said):
    count(clock, Progress("training", 10, unit="epochs", every_seconds=0), seconds, 2)
    assert pipe.getvalue().splitlines()[-1] == f"training: 2/10 epochs, {said}"


def test_the_first_step_within_an_item_is_reported_at_once(clock, pipe):
    Progress("fusion face", 6, unit="networks")
    clock.now += 2
    PROGRESS.within(1, 100, items=3)  # 0.03 networks
    clock.now += 1
    PROGRESS.within(2, 100, items=3)  # too soon for a second line
    assert pipe.getvalue() == "fusion face: 0/6 networks, step 1 of 100, 67 s/network, 7 min left\n"


def test_steps_are_forgotten_when_their_item_is_done(clock, pipe):
    progress = Progress("fusion face", 6, unit="networks", every_seconds=0)
    clock.now += 30
    PROGRESS.within(50, 100, items=3)
    clock.now += 30
    PROGRESS.within(100, 100, items=3)
    progress.advance(3)
    assert pipe.getvalue().splitlines() == [
        "fusion face: 0/6 networks, step 50 of 100, 20 s/network, 90 s left",
        "fusion face: 3/6 networks, 20 s/network, 60 s left",
    ]


def test_without_a_progress_steps_are_not_reported(clock, pipe):
    count(clock, Progress("fusion face", 1, unit="networks"), 1, 1)
    PROGRESS.within(1, 2)
    assert len(pipe.getvalue().splitlines()) == 1


def test_nothing_to_do_is_said_without_a_rate(clock, pipe):
    Progress("reading sound", 0).advance(0)
    assert pipe.getvalue() == "reading sound: 0/0 clips, took 0 s\n"


def test_a_traceback_is_in_the_file_and_on_the_terminal_only_if_asked_for(clock, pipe, tmp_path, monkeypatch):
    log_to_both(pipe, tmp_path / "job.log", monkeypatch)

    def fail():
        try:
            {}["key"]
        except KeyError:
            LOGGER.exception("It failed.")

    fail()
    assert pipe.getvalue() == "It failed.\n" and "Traceback" in (tmp_path / "job.log").read_text()
    monkeypatch.setenv("EMOPIPE_DEBUG", "1")
    fail()
    assert "Traceback" in pipe.getvalue()


def test_a_foreign_logger_may_use_the_handler(clock, terminal):
    handler = log.TerminalHandler(terminal)
    handler.emit(logging.makeLogRecord({"msg": "", "levelno": logging.INFO}))
    assert terminal.getvalue() == ""

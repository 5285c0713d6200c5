"""A small workflow whose code tells what it computes, a finished run of it, and runs that can be killed."""

import os
import shutil
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import psutil

from emopipe.cache.store import Reader
from tests.workflow.conftest import (
    Workflow,
    copy_of_the_code,
    draw_folder_corpus,
    small_config,
    write_config,
    write_onnx_net,
)

TIMEOUT_SECONDS = 600
TOLERANCE = 1e-5
"""Features of a resumed run may differ by this much: networks see clips in other batches."""
TELLING = r"""
def told(what, folder, *rows):
    import os
    with open(os.environ["EMOPIPE_TRACE"], "a", encoding="utf-8") as trace:
        for row in rows:
            trace.write(f"{what}\t{folder}\t{row.clip}\n")
    time.sleep(0.05 if what == "computed" else 0)


class Output:"""
EDITS = {
    # Parts are flushed after every clip and checkpoints kept after every epoch: small runs have few.
    "emopipe/cache/incremental.py": {
        "FLUSH_SECONDS = 10.0": "FLUSH_SECONDS = 0.0",
        "\nclass Output:": TELLING,
        "self._parts.add(row)": 'told("computed", self._parts._path, row); self._parts.add(row)',
        "self._write(self._rows)": 'self._write(self._rows); told("flushed", self._path, *self._rows)',
    },
    "emopipe/training/checkpoint.py": {
        "SAVE_SECONDS = 10.0": "SAVE_SECONDS = 0.0",
        "self._saved = time.monotonic()\n\n    def load": "time.sleep(0.3)\n\n    def load",
    },
    "emopipe/fusion/trained_cache.py": {
        "        return trained\n": "        __import__('time').sleep(1); return trained\n"
    },
}
"""What is changed in the code of these runs: file -> text -> other text."""


@dataclass(frozen=True)
class Outcome:
    """What became of one fault."""

    injected: str
    survived: bool
    lost: int
    """Clips that are missing at the end, or stand there with another status."""
    twice: int
    """Clips that were computed more than once; none of them had been flushed, else it is no survival."""
    note: str = ""


class Killable:
    """A workflow in a folder of its own, with a run's trace of what it computed."""

    def __init__(self, code: Path, work: Path) -> None:
        self.code, self.work, self.trace = code, work, work / "trace.tsv"
        self.config = write_config(work / "small.yaml", fault_config(work))

    def begin(self, *targets: str, before: tuple[str, ...] = (), resume: bool = False) -> subprocess.Popen:
        """Start Snakemake, or `emopipe resume`, in a process group of its own; `before` is a command to run it by."""
        python = [sys.executable, "-m", "snakemake"]
        if resume:
            python = [sys.executable, "-c", "from emopipe.commands.main import app; app()", "resume"]
        where = ["--snakefile", str(self.code / "Snakefile"), "--directory", str(self.work)]
        command = [*before, *python, *where, *targets, "--configfile", self.config]
        return subprocess.Popen(
            [*command, "--cores", "2", "--resources", "gpu=1"],
            cwd=self.work,
            env=os.environ | {"PYTHONPATH": str(self.code), "EMOPIPE_TRACE": str(self.trace)},
            stdout=(self.work / "output.txt").open("w"),
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )

    def run(self, *targets: str, before: tuple[str, ...] = (), resume: bool = False) -> tuple[int, str]:
        """Run to the end: the exit status and what was said."""
        code = self.begin(*targets, before=before, resume=resume).wait(TIMEOUT_SECONDS)
        return code, (self.work / "output.txt").read_text()

    def finish(self, *targets: str, resume: bool = True) -> str:
        """Go on to the end, which has to come."""
        code, output = self.run(*targets, resume=resume)
        if code:
            raise AssertionError(f"the run did not finish:\n{output[-4000:]}")
        return output

    def lines(self, what: str, stage: str = "") -> list[tuple[str, str]]:
        """The trace: (folder of parts, clip) of all that was computed or flushed, in order."""
        if not self.trace.is_file():
            return []
        split = [line.split("\t") for line in self.trace.read_text(encoding="utf-8").splitlines()]
        return [(parts[1], parts[2]) for parts in split if len(parts) == 3 and parts[0] == what and stage in parts[1]]

    def twice(self) -> int:
        """How many clips were computed more than once."""
        return sum(count - 1 for count in Counter(self.lines("computed")).values())

    def flushed_again(self) -> int:
        """How many clips were computed again though they had been flushed: none should be."""
        return sum(count - 1 for count in Counter(self.lines("flushed")).values())


def fault_config(work: Path) -> dict:
    """The small config of the rerun tests, with a chain of one step before one of its networks."""
    config = small_config(work)
    config["sources"] = {"stills": {"kind": "folder", "path": str(work / "stills")}}
    config["backbones"]["learned"]["schedule"] = [{"sources": ["stills"], "epochs": 4, "batch": 7}]
    config["backbones"]["learned"]["pretrain"] |= {"epochs": 3}
    return config


def instrumented(folder: Path) -> Path:
    """A copy of the code that writes down what it computes."""
    folder.mkdir()
    copy_of_the_code(folder)
    for file, edits in EDITS.items():
        text = (folder / file).read_text()
        for old, new in edits.items():
            if old not in text:
                raise AssertionError(f"{file} has no {old!r} any more: correct tests/faults/runs.py")
            text = text.replace(old, new, 1)
        (folder / file).write_text(text)
    return folder


def finished(folder: Path, draw_stills: Callable[[Path, int], None]) -> Killable:
    """An undisturbed run, with which the others are compared."""
    work = folder / "undisturbed"
    draw_folder_corpus(work / "corpus")
    draw_stills(work / "stills", 0)
    write_onnx_net(work / "net.onnx", seed=0)
    whole = Killable(instrumented(folder / "code"), work)
    # Nothing kills this run, so it needs no processes of its own.
    Workflow(whole.code, work).snakemake("--configfile", whole.config)
    return whole


def copy_without(whole: Killable, name: str, *patterns: str) -> Killable:
    """A copy of the finished run that lacks some of what it made."""
    work = whole.work.parent / name
    shutil.copytree(whole.work, work, symlinks=True)
    for pattern in patterns:
        for path in work.glob(pattern):
            shutil.rmtree(path) if path.is_dir() else path.unlink()
    return Killable(whole.code, work)


def job_of(main: subprocess.Popen, rule: str) -> psutil.Process | None:
    """The process that runs the script of a rule's job, where there is one."""
    try:
        children = psutil.Process(main.pid).children(recursive=True)
        return next((c for c in children if any(part.endswith(f".{rule}.py") for part in c.cmdline())), None)
    except (psutil.NoSuchProcess, psutil.ZombieProcess):
        return None


def wait_for(condition: Callable[[], object], main: subprocess.Popen) -> bool:
    """Whether the condition came true while the run was alive."""
    end = time.monotonic() + TIMEOUT_SECONDS
    while time.monotonic() < end and main.poll() is None:
        if condition():
            return True
        time.sleep(0.005)
    return False


def alive_in(work: Path) -> list[psutil.Process]:
    """Python processes that work in a folder."""
    found = psutil.process_iter(["cwd", "status"])
    return [p for p in found if p.info["cwd"] == str(work) and p.info["status"] != psutil.STATUS_ZOMBIE]


def kill_group(main: subprocess.Popen) -> None:
    """SIGKILL to Snakemake and all its jobs."""
    os.killpg(main.pid, signal.SIGKILL)
    main.wait()


def differing(whole: Killable, other: Killable, patterns: tuple[str, ...]) -> tuple[int, list[str]]:
    """Clips that are lost in the caches, and files that differ by more than they may."""
    lost, wrong = 0, []
    for pattern in patterns:
        paths = sorted(whole.work.glob(pattern))
        if not paths:
            raise AssertionError(f"the undisturbed run made nothing such as {pattern}")
        for path in paths:
            mine = other.work / path.relative_to(whole.work)
            if not mine.is_file():
                wrong.append(f"{mine.name} is missing")
            elif path.suffix == ".h5":
                gone, same = _compare_caches(path, mine)
                lost += gone
                wrong += [] if same else [f"{mine.name} differs"]
            elif not _same_table(path, mine) if path.suffix == ".csv" else path.read_bytes() != mine.read_bytes():
                wrong.append(f"{mine.name} differs")
    return lost, wrong


def _compare_caches(path: Path, mine: Path) -> tuple[int, bool]:
    with Reader(path) as expected, Reader(mine) as found:
        lost = sum(found.status.get(clip) != expected.status[clip] for clip in expected.clips)
        if lost or found.clips != expected.clips:
            return lost, False
        same = all(
            np.allclose(expected.field(clip, name), found.field(clip, name), atol=TOLERANCE, rtol=0, equal_nan=True)
            for clip in expected.clips
            for name in expected.fields
        )
        return 0, same


def _same_table(path: Path, mine: Path) -> bool:
    """Text has to be the same; numbers that features have a part in may differ by a little."""
    expected, found = (pd.read_csv(p, keep_default_na=False) for p in (path, mine))
    if list(expected) != list(found) or len(expected) != len(found):
        return False
    numbers = expected.select_dtypes("number").columns
    text = [column for column in expected if column not in numbers]
    return expected[text].equals(found[text]) and np.allclose(
        expected[numbers], found[numbers], atol=1e-3, equal_nan=True
    )

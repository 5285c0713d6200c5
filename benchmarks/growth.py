#!/usr/bin/env python3
"""How the cost of extraction grows with the number of clips, and what it takes to merge and load many vectors.

Small clips (128 x 96 pixels, 10 drawn frames, 0.4 s of sound) are written into a temporary folder: eight files, each
copied under many names with a content of its own. `snakemake extract` runs on them by a Snakemake of its own: one frame
of each clip, `mtcnn`, the shipped networks of faces and of sound. The first table has the processor seconds and the
most memory of each stage's jobs and of Snakemake itself, as the system counted them when each process ended. A job
starts for some seconds before its first clip. A run on eight clips gives this time, which is subtracted in "ms a clip";
where it is most of a stage's time (70 %), the rest is within its noise and is not shown.

The second table is of a cache of random vectors, 1,156 clips x 50 frames x 512 numbers: the merge of its shards, and
the merged file loaded as models read it.

    python benchmarks/growth.py [--clips 100,1000,10000] [--cores 2] [--folder FOLDER]
"""

import json
import os
import struct
import subprocess
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Annotated

import av
import cv2
import numpy as np
import typer
import yaml

from emopipe.cache.store import Row, Writer, clips_digest
from emopipe.core.fingerprint import digest
from emopipe.core.labels import CLASSES
from emopipe.demo.frames import draw_frames
from emopipe.demo.plan import DemoOptions, plan
from emopipe.fusion.features import load
from emopipe.stages import features, merge

REPOSITORY = Path(__file__).parents[1]
FILES, START = 8, 8
"""Different files that are copied, and the clips of the run that measures the start of jobs."""
FRAMES, RATE = 10, 16_000
CACHED_CLIPS, CACHED_FRAMES, DIM, SHARDS = 1156, 50, 512, 4
"""The clips of AFEW's Train and Val, as a cache of all their frames."""
REPEATS = 5

ACCOUNT = """
import atexit, json, os, re, resource, sys, time

def _note():
    both = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    account = {
        "argv": sys.argv, "pid": os.getpid(), "parent": os.getppid(),
        "own_s": both[0].ru_utime + both[0].ru_stime, "children_s": both[1].ru_utime + both[1].ru_stime,
        # ru_maxrss begins with that of the process that forked this one; VmHWM does not.
        "peak_mb": int(re.search(r"VmHWM:\\s+(\\d+)", open("/proc/self/status").read())[1]) / 1024,
    }
    with open(os.path.join(os.environ["GROWTH_ACCOUNTS"], f"{os.getpid()}_{time.time_ns()}.json"), "w") as file:
        json.dump(account, file)

atexit.register(_note)
"""
"""`sitecustomize` of every process of a run: at its end it notes what it and its children used."""


def main(
    clips: Annotated[str, typer.Option(help="Sizes of the corpora; empty: none.")] = "100,1000,10000",
    cores: Annotated[int, typer.Option(help="CPU cores.")] = 2,
    cache: Annotated[bool, typer.Option(help="Whether merge and load are measured.")] = True,
    folder: Annotated[Path | None, typer.Option(help="Where clips and caches are written.")] = None,
) -> None:
    """Print both tables as Markdown."""
    sizes = [int(size) for size in clips.split(",") if size]
    if sizes:
        growth(sizes, cores, folder)
    if cache:
        with tempfile.TemporaryDirectory(dir=folder) as name:
            print(merged_and_loaded(Path(name)))


# -- growth --------------------------------------------------------------------------------------------------------


@dataclass
class Cost:
    """What the jobs of a stage took together."""

    jobs: int = 0
    seconds: float = 0.0
    """Of processors."""
    peak_mb: float = 0.0
    """The most memory of one process."""


def growth(sizes: list[int], cores: int, folder: Path | None) -> None:
    """Print a row for each size and stage, and for all with the wall time."""
    start, _ = measured(START, cores, folder)
    print("| clips | stage | jobs | CPU s | of which start | ms a clip | most memory, MB |\n|" + "---|" * 7, flush=True)
    for size in sizes:
        costs, wall = measured(size, cores, folder)
        for stage, cost in costs.items():
            if stage == "snakemake":
                continue
            first = start[stage].seconds / start[stage].jobs  # of one job with START clips
            a_clip = (cost.seconds - cost.jobs * first) / (size - cost.jobs * START)
            begun = cost.jobs * (first - START * a_clip)
            each = f"{1000 * a_clip:.1f}" if begun < 0.7 * cost.seconds else ""
            cells = f"{cost.jobs} | {cost.seconds:.1f} | {begun:.1f} | {each} | {cost.peak_mb:.0f}"
            print(f"| {size} | {stage} | {cells} |")
        own = costs["snakemake"]
        print(f"| {size} | Snakemake | | {own.seconds:.1f} | | {1000 * own.seconds / size:.1f} | {own.peak_mb:.0f} |")
        spent = sum(cost.seconds for cost in costs.values())
        print(
            f"| {size} | all, {wall:.0f} s of wall time | | {spent:.1f} | | {1000 * spent / size:.1f} | |", flush=True
        )


def measured(size: int, cores: int, folder: Path | None) -> tuple[dict[str, Cost], float]:
    """Run the workflow on a corpus of this size; return what each stage and Snakemake took, and the wall time in s."""
    with tempfile.TemporaryDirectory(dir=folder) as name:
        root, work, accounts = (Path(name, part) for part in ("corpus", "work", "accounts"))
        for made in (root, work, accounts):
            made.mkdir()
        (accounts / "sitecustomize.py").write_text(ACCOUNT)
        generate(root, size)
        (work / "growth.yaml").write_text(yaml.safe_dump(config_of(root, cores)))
        command = [sys.executable, "-m", "snakemake", "--snakefile", REPOSITORY / "Snakefile", "--directory", work]
        command += ["--cores", cores, "--configfile", work / "growth.yaml", "--", "extract"]
        paths = os.pathsep.join([str(accounts), str(REPOSITORY)])
        scripts = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
        begin = time.perf_counter()
        run = subprocess.run(
            list(map(str, command)),
            env={**os.environ, "PYTHONPATH": paths, "PATH": scripts, "GROWTH_ACCOUNTS": str(accounts)},
            capture_output=True,
            text=True,
        )
        if run.returncode:
            sys.exit(f"snakemake ended with {run.returncode}:\n{run.stdout[-2000:]}{run.stderr[-3000:]}")
        return costs_in(accounts), time.perf_counter() - begin


def costs_in(accounts: Path) -> dict[str, Cost]:
    """Return what the processes of a run noted, by stage; processes of decoders count for the job that started them."""
    notes = [json.loads(path.read_text()) for path in sorted(accounts.glob("*.json"))]
    found: dict[str, Cost] = defaultdict(Cost)
    for note in notes:
        is_job = ".snakemake/scripts" in note["argv"][0]
        if not is_job and "--directory" not in note["argv"]:
            continue
        stage = Path(note["argv"][0]).name.split(".")[-2] if is_job else "snakemake"
        cost = found[stage]
        cost.jobs += 1
        cost.seconds += note["own_s"] + (note["children_s"] if is_job else 0)
        helpers = [other["peak_mb"] for other in notes if is_job and other["parent"] == note["pid"]]
        cost.peak_mb = max(cost.peak_mb, note["peak_mb"], *helpers)
    return found


def generate(root: Path, size: int) -> None:
    """<class>/<subject>_<number>.mp4, each with a content of its own, by an atom of MP4 that players skip."""
    files = [drawn(root / "first.mp4", number) for number in range(FILES)]
    for label in CLASSES:
        (root / label).mkdir()
    for number in range(size):
        own = struct.pack(">I4sI", 12, b"free", number)
        path = root / CLASSES[number % len(CLASSES)] / f"s{number // 20:05d}_{number:07d}.mp4"
        path.write_bytes(files[number % FILES] + own)


def drawn(path: Path, number: int) -> bytes:
    """Return a small clip of one of the demo corpus' subjects, with a tone as its sound."""
    frames, _ = draw_frames(plan(DemoOptions())[21 * number], np.linspace(0, 1, FRAMES))
    wave = 0.3 * np.sin(2 * np.pi * (200 + 20 * number) * np.arange(round(0.4 * RATE)) / RATE)
    with av.open(str(path), "w") as file:
        video, audio = file.add_stream("mpeg4", rate=25), file.add_stream("aac", rate=RATE, layout="mono")
        video.width, video.height, video.pix_fmt, video.bit_rate = 128, 96, "yuv420p", 400_000
        for index, pixels in enumerate(frames):
            small = cv2.resize(pixels, (128, 96), interpolation=cv2.INTER_AREA)
            image = av.VideoFrame.from_ndarray(small, format="rgb24")
            image.pts, image.time_base = index, Fraction(1, 25)
            file.mux(video.encode(image))
        file.mux(video.encode(None))
        sound = av.AudioFrame.from_ndarray(wave[None].astype(np.float32), format="fltp", layout="mono")
        sound.sample_rate, sound.pts, sound.time_base = RATE, 0, Fraction(1, RATE)
        file.mux(audio.encode(sound))
        file.mux(audio.encode(None))
    content = path.read_bytes()
    path.unlink()
    return content


def config_of(root: Path, cores: int) -> dict:
    """Return a config of extraction: one frame of each clip, a detector, a network of faces and one of sound."""
    return {
        "run": "growth",
        "corpus": {"name": "growth", "kind": "folder", "options": {"subject_pattern": "(?P<subject>s[0-9]+)_"}},
        "corpus_root": str(root),
        "protocol": {"kind": "kfold"},
        "threads": cores,
        "device": "cpu",
        "decode": {"one": {"policy": "count", "count": 1}},
        "faces": {"main": {"detector": "mtcnn"}},
        "backbones": {
            "face": {"kind": "expression", "weights": "expression"},
            "voice": {"kind": "speech", "weights": "speech_logmel"},
        },
    }


# -- merge and load ------------------------------------------------------------------------------------------------


def merged_and_loaded(folder: Path) -> str:
    """Return the table of the least seconds of merging and of loading."""
    random, recipe = np.random.default_rng(0), {"stage": "features"}
    names = [f"c{number:04d}" for number in range(CACHED_CLIPS)]
    shards = [folder / f"{number}.h5" for number in range(SHARDS)]
    for number, path in enumerate(shards):
        write_shard(path, names[number::SHARDS], random, recipe)
    of_clips = clips_digest([(name, name) for name in names])
    whole, merged = {"stage": "merge", "features": digest(recipe)}, folder / "merged.h5"
    steps = {
        "merge": lambda: merge.run(whole, shards, merged, clips=of_clips),
        "load": lambda: load(merged, names, digest(whole)),
    }
    lines = ["", f"| {CACHED_CLIPS} clips x {CACHED_FRAMES} x {DIM} | CPU s | wall s |", "|---|---|---|"]
    for step, run in steps.items():
        cpu, wall = (min(column) for column in zip(*(clocked(run) for _ in range(REPEATS)), strict=True))
        lines.append(f"| {step} | {cpu:.2f} | {wall:.2f} |")
    return "\n".join(lines)


def write_shard(path: Path, names: list[str], random: np.random.Generator, recipe: dict) -> None:
    """Write the vectors of some clips as the stage features does."""
    about = {"dim": DIM, "blocks": 1, "modality": "face", "input": "", "licence": "", "citation": "", "device": "cpu"}
    with Writer(path, features.fields(DIM, has_head=True), stage="features", recipe=recipe) as writer:
        for name in names:
            arrays = {
                "x": random.standard_normal((CACHED_FRAMES, DIM), np.float32),
                "logp": random.standard_normal((CACHED_FRAMES, len(CLASSES)), np.float32),
                "time": np.arange(CACHED_FRAMES) / 25,
                "mask": np.ones(CACHED_FRAMES, bool),
                "fold": np.array([-1], np.int32),
            }
            writer.add(Row(name, name, "ok", "", arrays))
        writer.note(**about, learned_sha256="", head_prior="[]")


def clocked(run: Callable[[], object]) -> tuple[float, float]:
    """Return the processor seconds and the wall seconds of a function."""
    begin, spent = time.perf_counter(), time.process_time()
    run()
    return time.process_time() - spent, time.perf_counter() - begin


if __name__ == "__main__":
    typer.run(main)

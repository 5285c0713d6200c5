#!/usr/bin/env python3
"""What a large corpus costs before anything is computed, and whether what touches every clip stays linear.

Corpora of tiny files are generated in a temporary folder, which counts for nothing. The first table is of dry runs of
the whole workflow, each by a Snakemake of its own: of a new corpus, every clip of which is read; of the same once it is
known and its clips' digests are remembered; and of a finished run, where every job's recipe and inputs are compared and
nothing is to be done (its files are empty, but for the tables of clips and the statuses). The second table is of the
functions that see all clips at once: seconds, and microseconds a clip, which should not grow.

    python benchmarks/dag_scale.py [--clips 10000,100000,1000000] [--parts 10000,100000] [--kind folder]
"""

import contextlib
import os
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import numpy as np
import pandas as pd
import typer
import yaml

from emopipe import corpora
from emopipe.cache.store import Row, Writer
from emopipe.core import tables
from emopipe.core.fingerprint import digest
from emopipe.core.labels import CLASSES
from emopipe.report import ledger
from emopipe.stages import corpus, features, merge
from emopipe.workflow import config as configs
from emopipe.workflow import scan, sharding
from emopipe.workflow.config import Config
from emopipe.workflow.plan import Plan

REPOSITORY = Path(__file__).parents[1]
CLIPS_A_SUBJECT = 20
DIM, FRAMES = 8, 2
"""Of the vectors that are merged."""


def main(
    clips: Annotated[str, typer.Option(help="Sizes of the corpora that are planned.")] = "10000,100000,1000000",
    parts: Annotated[str, typer.Option(help="Sizes at which single functions are timed.")] = "10000,100000",
    kind: Annotated[str, typer.Option(help="The corpus' adapter: folder or table.")] = "folder",
    folder: Annotated[Path | None, typer.Option(help="Where corpora are generated; some GB for a million.")] = None,
) -> None:
    """Print both tables as Markdown."""
    planned, timed = numbers(clips), numbers(parts)
    rows = []
    print("| clips | shards | jobs | new: s (CPU s) | known: s (CPU s) | finished: s (CPU s) | peak MB |", flush=True)
    print("|" + "---|" * 7, flush=True)
    for size in sorted({*planned, *timed}):
        with tempfile.TemporaryDirectory(dir=folder) as name:
            root, work = Path(name, "corpus"), Path(name, "work")
            work.mkdir()
            generate(root, size, kind)
            raw = config_of(root, kind)
            (work / "scale.yaml").write_text(yaml.safe_dump(raw))
            if size in planned:
                print(plans(work, size), flush=True)
            if size in timed:
                rows += [(what, size, seconds) for what, seconds in functions(configs.parse(raw), work)]
    if rows:
        print(f"\n{linearity(rows)}")


def numbers(text: str) -> list[int]:
    """Sizes out of an option."""
    return [int(number) for number in text.split(",") if number]


def generate(root: Path, size: int, kind: str) -> None:
    """<split>/<class>/<subject>_<number>.mp4, each with a content of its own; for `table`, listed beside."""
    rows = []
    for number in range(size):
        subject, label = number // CLIPS_A_SUBJECT, CLASSES[number % len(CLASSES)]
        split = "val" if subject % 5 == 0 else "train"
        rows.append((f"{split}/{label}/s{subject:05d}_{number:07d}.mp4", label, split, f"s{subject:05d}"))
    for split in ("train", "val"):
        for label in CLASSES:
            (root / split / label).mkdir(parents=True)
    for path, *_ in rows:
        with open(os.path.join(root, path), "w") as file:
            file.write(path)
    if kind == "table":
        pd.DataFrame(rows, columns=["path", "label", "split", "subject"]).to_csv(root / "clips.csv", index=False)


def config_of(root: Path, kind: str) -> dict:
    """One decode, one detector, a face and an audio network, one of which is trained further, and three models."""
    options = {"subject_pattern": "(?P<subject>s[0-9]+)_"} if kind == "folder" else {}
    return {
        "run": "scale",
        "corpus": {"name": "scale", "kind": kind, "options": options},
        "corpus_root": str(root),
        "decode": {"few": {"policy": "count", "count": 4}},
        "faces": {"main": {"detector": "mtcnn"}},
        "backbones": {
            "face": {"kind": "expression", "weights": "expression"},
            "voice": {"kind": "speech", "weights": "speech_logmel", "pretrain": {}},
        },
        "models": {
            "face_one": {"streams": ["face"]},
            "audio_one": {"streams": ["voice"]},
            "fused_two": {"streams": ["face", "voice"], "fusion": "fbp"},
        },
    }


# -- planning ------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Ran:
    """One Snakemake: what it said, how long it took, how long processors worked for it, the most memory it held."""

    output: str
    seconds: float
    processor_seconds: float
    megabytes: float

    @property
    def times(self) -> str:
        """Both times: where other work goes on beside the benchmark, the latter is the truer."""
        return f"{self.seconds:.0f} ({self.processor_seconds:.0f})"

    def count(self, job: str) -> int:
        """How many jobs of a rule it would run, or `total`."""
        found = re.search(rf"^{job}\s+(\d+)$", self.output, re.M)
        return int(found[1]) if found else 0


def plans(work: Path, size: int) -> str:
    """The table's row for one corpus."""
    first, second = snakemake(work, "--dry-run"), snakemake(work, "--dry-run")
    finish(work)
    finished = snakemake(work, "--dry-run")
    if "Nothing to be done" not in finished.output:
        sys.exit(f"The run that was made to look finished is not:\n{finished.output[-3000:]}")
    peak = max(ran.megabytes for ran in (first, second, finished))
    cells = [size, first.count("decode"), first.count("total")]
    cells += [ran.times for ran in (first, second, finished)] + [f"{peak:.0f}"]
    return "| " + " | ".join(map(str, cells)) + " |"


def snakemake(work: Path, *arguments: str) -> Ran:
    """Run it as a user would, and wait for this very process: its memory is no other's."""
    command = [sys.executable, "-m", "snakemake", "--snakefile", REPOSITORY / "Snakefile", "--directory", work]
    command += [*arguments, "--configfile", work / "scale.yaml", "--cores", "2", "--resources", "gpu=1"]
    with tempfile.TemporaryFile("w+") as said:
        begin = time.perf_counter()
        process = subprocess.Popen(
            list(map(str, command)),
            stdout=said,
            stderr=subprocess.STDOUT,
            cwd=work,
            env={**os.environ, "PYTHONPATH": str(REPOSITORY)},
        )
        _, status, usage = os.wait4(process.pid, 0)
        seconds = time.perf_counter() - begin
        process.returncode = os.waitstatus_to_exitcode(status)
        said.seek(0)
        output = said.read()
    if process.returncode:
        sys.exit(f"snakemake {' '.join(arguments)} ended with {process.returncode}:\n{output[-3000:]}")
    ran = Ran(output, seconds, usage.ru_utime + usage.ru_stime, usage.ru_maxrss / 1024)
    print(f"snakemake {' '.join(arguments)}: {ran.times}", file=sys.stderr, flush=True)
    return ran


def finish(work: Path) -> None:
    """Make the workflow look finished: the clip tables and statuses are real, the rest is empty and touched."""
    snakemake(work, "cache/scale/clips.csv")
    outputs = [line.split("\t")[0] for line in snakemake(work, "--summary").output.splitlines() if "\t" in line]
    for name in filter(lambda name: name.startswith(("cache/", "results/")), outputs):
        path = work / name
        path.parent.mkdir(parents=True, exist_ok=True)
        if not path.exists():
            path.touch()
    with contextlib.chdir(work):
        config = configs.parse(yaml.safe_load(Path("scale.yaml").read_text()))
        plan = Plan(config, scan.scan(config), REPOSITORY / "workflow_scripts")
        for shard in plan.shards:
            rows = statuses(plan.shard_table(shard))
            write(Path(f"cache/scale/media/few/{shard}.status.h5"), {}, rows, plan.decode("few"))
    snakemake(work, "--touch")


# -- functions -----------------------------------------------------------------------------------------------------


def functions(config: Config, work: Path) -> Iterator[tuple[str, float]]:
    """What is done with all clips at once, and the seconds that it takes."""
    options = corpora.options_class(config.corpus.kind).model_validate(config.corpus.options)
    root, recipe = Path(config.corpus_root), {"stage": "benchmark"}
    with contextlib.chdir(work):
        table, seconds = clocked(lambda: corpora.scan(config.corpus.kind, root, options))
        yield "clip table, scan and check", seconds
        scan.scan(config)
        table, seconds = clocked(lambda: scan.scan(config))
        yield "the same with remembered digests", seconds
        count = sharding.automatic(len(table), cores=None)
        shards, cut = sharding.cut(table, count), {**recipe, "shards": count}
        tables_of_shards = [Path(f"timed/shards/{name}.csv") for name in shards]
        yield "corpus stage", clocked(lambda: corpus.run(cut, table, Path("timed/clips.csv"), tables_of_shards))[1]
        vectors = [Path(f"timed/features/{name}.h5") for name in shards]
        fates = [Path(f"timed/statuses/{name}.h5") for name in shards]
        for part, path, fate in zip(shards.values(), vectors, fates, strict=True):
            write(path, features.fields(DIM, has_head=False), made_up(part), recipe)
            write(fate, {}, statuses(part), recipe)
        clips = Plan(config, table, REPOSITORY / "workflow_scripts").all_digest()
        of_vectors, merged = {**recipe, "features": digest(recipe)}, Path("timed/merged.h5")
        yield "merge of a backbone", clocked(lambda: merge.run(of_vectors, vectors, merged, clips=clips))[1]
        stages = {"decode": fates, "faces": fates, "features/face": [merged]}
        built, seconds = clocked(lambda: ledger.build(table, stages))
        yield "ledger of three stages", seconds
        yield "ledger written and counted", clocked(lambda: told(built))[1]


def told(built: pd.DataFrame) -> None:
    """What the report does with a ledger."""
    tables.write(built, Path("timed/ledger.csv"))
    ledger.counts(built)


def statuses(part: pd.DataFrame) -> Iterator[Row]:
    """A shard's rows without data."""
    return (Row(clip, digest, "ok", "", {}) for clip, digest in zip(part["clip"], part["digest"], strict=True))


def made_up(part: pd.DataFrame) -> Iterator[Row]:
    """A shard's rows with tiny vectors."""
    arrays = {
        "x": np.ones((FRAMES, DIM), np.float32),
        "time": np.arange(FRAMES, dtype=np.float64),
        "mask": np.ones(FRAMES, bool),
        "fold": np.array([-1], np.int32),
    }
    return (Row(clip, digest, "ok", "", arrays) for clip, digest in zip(part["clip"], part["digest"], strict=True))


def write(path: Path, fields: dict, rows: Iterator[Row], recipe: dict) -> None:
    """A cache file of these rows."""
    about = {"dim": DIM, "modality": "face", "input": "", "licence": "", "citation": "", "device": "cpu"}
    with Writer(path, fields, stage="benchmark", recipe=recipe) as writer:
        for row in rows:
            writer.add(row)
        writer.note(**about, learned_sha256="", head_prior="")


def clocked(run: Callable) -> tuple:
    """What a function gives, and the seconds that it takes."""
    begin = time.perf_counter()
    result = run()
    return result, time.perf_counter() - begin


def linearity(rows: list[tuple[str, int, float]]) -> str:
    """Seconds and microseconds a clip of every function (rows) at every size (columns)."""
    table = pd.DataFrame(rows, columns=["what", "size", "seconds"])
    table["cell"] = [f"{s:.1f} s, {1e6 * s / n:.0f} µs" for s, n in zip(table["seconds"], table["size"], strict=True)]
    wide = table.pivot(index="what", columns="size", values="cell").loc[table["what"].unique()]
    lines = ["| | " + " | ".join(f"{size} clips" for size in wide) + " |", "|" + "---|" * (1 + wide.shape[1])]
    return "\n".join([*lines, *("| " + " | ".join([what, *cells]) + " |" for what, *cells in wide.itertuples())])


if __name__ == "__main__":
    typer.run(main)

"""What was run: the config, versions, devices, and the time of each stage."""

import importlib.metadata
import platform
from pathlib import Path

import pandas as pd

from emopipe.cache import store
from emopipe.report.page.parts import Code, Section, Table
from emopipe.report.page.sources import Sources

LIBRARIES = ("emopipe", "torch", "snakemake", "av", "opencv-python-headless", "onnxruntime", "numpy", "scikit-learn")
"""Distributions whose versions the page names, in this order, where they are installed."""


def section(sources: Sources) -> Section:
    """Return the section."""
    parts = [
        Table.of("Versions and devices", _versions(sources)),
        Table.of(
            "Time by stage",
            stage_times([sources.folder / "benchmarks", sources.clips.parent / "benchmarks"]),
            [
                "Seconds of the jobs when they last ran, added up over jobs, some of which run at the same time. What "
                "was in the cache before this run is counted as well, and so is what other runs on the corpus made."
            ],
        ),
        Code("The config", (sources.folder / "config.yaml").read_text(encoding="utf-8")),
    ]
    return Section("run", "What was run", parts)


def _versions(sources: Sources) -> pd.DataFrame:
    rows = []
    for name in LIBRARIES:
        try:
            rows.append((name, importlib.metadata.version(name)))
        except importlib.metadata.PackageNotFoundError:
            continue
    rows.append(("Python", platform.python_version()))
    for stage, paths in sources.stages.items():
        devices = sorted({str(store.attributes(path).get("device", "")) for path in paths} - {""})
        if devices:
            rows.append((f"device of {stage}", ", ".join(devices)))
    return pd.DataFrame(rows, columns=["what", "version or device"])


def stage_times(folders: list[Path]) -> pd.DataFrame:
    """Return stage, jobs, seconds, CPU seconds and the most memory, from the benchmark files of Snakemake.

    Args:
        folders: Folders with a file `<stage>.tsv` or a folder `<stage>/` for each stage.
    """
    rows = []
    for folder in folders:
        for path in sorted(folder.rglob("*.tsv")):
            found = pd.read_csv(path, sep="\t", na_values="-").iloc[-1]
            stage = path.relative_to(folder).parts[0].removesuffix(".tsv")
            rows.append((stage, 1, found["s"], found["cpu_time"], found["max_rss"]))
    made = pd.DataFrame(rows, columns=["stage", "jobs", "seconds", "CPU seconds", "most memory, MB"])
    how = {"jobs": "sum", "seconds": "sum", "CPU seconds": "sum", "most memory, MB": "max"}
    return made.groupby("stage", sort=False).agg(how).round(1).reset_index().sort_values("seconds", ascending=False)

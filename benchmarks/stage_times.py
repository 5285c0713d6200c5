"""What each stage of a finished run took: wall time, clips a second, peak memory of a job.

Reads the benchmark files that Snakemake wrote beside a corpus' cache and a run's results.

    python benchmarks/stage_times.py cache/afew results/afew
"""

import sys
from pathlib import Path

import pandas as pd


def stage_times(cache: Path, results: Path) -> pd.DataFrame:
    """One row a stage, backbone or model: jobs, seconds in all, the longest job, peak memory, clips a second."""
    clips = len(pd.read_csv(cache / "clips.csv"))
    rows = []
    for root in (cache, results):
        for path in sorted((root / "benchmarks").rglob("*.tsv")):
            name = path.relative_to(root / "benchmarks").with_suffix("")
            stage = name.parent if name.name.isdigit() else name  # shards are numbers
            rows.append({"stage": stage.as_posix(), **pd.read_csv(path, sep="\t", na_values="-").iloc[-1]})
    table = pd.DataFrame(rows).groupby("stage", sort=False)
    summary = table.agg(
        jobs=("s", "size"),
        seconds=("s", "sum"),
        longest=("s", "max"),
        peak_mb=("max_rss", "max"),
        cpu=("cpu_time", "sum"),
    )
    summary["clips_per_s"] = clips / summary["seconds"]
    return summary.round(1)


if __name__ == "__main__":
    if len(sys.argv) != 3:
        sys.exit(__doc__)
    print(stage_times(Path(sys.argv[1]), Path(sys.argv[2])).to_string())

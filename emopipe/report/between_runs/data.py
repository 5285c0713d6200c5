"""Differences in the data of two runs: clips, splits, labels, people, contents of files, and statuses of stages."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from emopipe.report.between_runs.runs import OpenedRun

NONE = "(none)"
"""Stands for a label or person that is not known."""


@dataclass(frozen=True)
class Difference:
    """Clips that differ in the same way."""

    what: str
    """clips, split, label, subject, content, or the status of a stage."""
    first: str
    second: str
    clips: tuple[str, ...]


def differences(first: OpenedRun, second: OpenedRun) -> tuple[list[Difference], list[str]]:
    """Return how the clips of two runs differ, and sentences on what cannot be known."""
    splits = first.splits, second.splits
    found = [
        Difference("clips", *there, tuple(sorted(set(splits[number]) - set(splits[1 - number]))))
        for number, there in enumerate((("used", "not used"), ("not used", "used")))
    ]
    found += _changed("split", *splits)
    found += _changed("label", first.labels, second.labels)
    unknown = _unknown(first, second)
    if not unknown:
        for what, column in (("subject", "subject"), ("content", "digest")):
            found += _of_tables(what, column, first, second)
    found += _statuses(first, second)
    return [each for each in found if each.clips], unknown


def _unknown(first: OpenedRun, second: OpenedRun) -> list[str]:
    """Return sentences on why people and contents of files cannot be compared; none if they can be."""
    what = "whether people or contents of clips differ cannot be known"
    faults = dict.fromkeys(f"{run.name}: {what}: {run.clips_fault}." for run in (first, second) if run.clips_fault)
    if not faults and first.cache == second.cache:
        return [f"{first.name} and {second.name} share {first.cache / 'clips.csv'}, as it is now: {what}."]
    return [*faults]


def _changed(what: str, first: Mapping[str, str], second: Mapping[str, str]) -> list[Difference]:
    """Return the clips of both runs with other values, one difference for each pair of values."""
    clips: dict[tuple[str, str], list[str]] = {}
    for clip in sorted(set(first) & set(second)):
        if first[clip] != second[clip]:
            clips.setdefault((first[clip], second[clip]), []).append(clip)
    return [Difference(what, a or NONE, b or NONE, tuple(names)) for (a, b), names in sorted(clips.items())]


def _of_tables(what: str, column: str, first: OpenedRun, second: OpenedRun) -> list[Difference]:
    """Return the clips with other values in a column of the clip tables; contents are not shown, which are digests."""
    values = []
    for run in (first, second):
        known = run.clips is not None and column in run.clips
        values.append(dict(zip(run.clips["clip"], run.clips[column], strict=True)) if known else {})
    found = _changed(what, *values)
    if what != "content" or not found:
        return found
    return [Difference(what, "", "another", tuple(sorted(clip for each in found for clip in each.clips)))]


def _statuses(first: OpenedRun, second: OpenedRun) -> Iterator[Difference]:
    """Return the clips whose status in a stage that both runs have differs."""
    stages = [dict.fromkeys(run.ledger["stage"]) for run in (first, second)]
    for stage in (name for name in stages[0] if name in stages[1]):
        yield from _changed(f"status of {stage}", *(_status(run, stage) for run in (first, second)))


def _status(run: OpenedRun, stage: str) -> dict[str, str]:
    rows = run.ledger[run.ledger["stage"] == stage]
    return dict(zip(rows["clip"], rows["status"], strict=True))

"""What each network's own head says: its accuracy on training clips against its accuracy on the reported clips.

A head answers with the classes that it shares with the label space, so only clips of these classes count.

A network may have been trained on the training clips of the corpus, or on the people in them. Its vectors and
probabilities then look better there than on any other clip, so a fusion that is trained on them trusts it too much.
"""

import json
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pandas as pd

from emopipe.backbones.shared_classes import can_answer, in_space
from emopipe.cache.store import Reader
from emopipe.core.labels import BASIC7, CLASSES, LabelSpace, shared
from emopipe.corpora.groups import groups_of_clips
from emopipe.fusion.product import over_frames
from emopipe.scoring.intervals import FEWEST_GROUPS, Intervals
from emopipe.scoring.scores import score_intervals

COLUMNS = [
    "stream", "split", "right", "n", "accuracy", "low", "high", "drawn", "groups", "interval", "difference", "p",
    "test", "over_trusted",
]  # fmt: skip
SIGNIFICANT = 0.05
HEAD_CLASSES = "head_classes"
"""The attribute of merged features with the classes of a head, a list as JSON; without it, they are the seven."""
BY_GROUP, BY_CLIP = "t over groups", "Fisher by clip, groups ignored"
"""Names of the tests of a difference between two splits."""


def table(
    files: Mapping[str, Path], modalities: Mapping[str, str], clips: pd.DataFrame, space: LabelSpace = BASIC7
) -> pd.DataFrame:
    """Return one row for each stream with a head and split, with the difference between train and each other split.

    There are no rows for a head that cannot answer in the label space (`can_answer`).

    Args:
        files: Stream -> its merged features.
        modalities: Stream with a head -> face or audio. Frames of a face are averaged; of sound, the head reads the
            mean vector, as it was trained.
        clips: The clip table.
        space: The label space.

    Returns:
        The columns COLUMNS. On training clips, a backbone that was trained on them answers out of fold.
    """
    rows = []
    for stream, modality in modalities.items():
        found = _answers(files[stream], "mean_p" if modality == "face" else "mean_logp", clips, space)
        scored = {split: _scores(part, space) for split, part in found.groupby("split") if len(part)}
        for split in [name for name in ("train", "val", "test") if name in scored]:
            row = {"stream": stream, "split": split, **scored[split][0]}
            rows.append(
                row | (_difference(scored["train"], scored[split]) if split != "train" and "train" in scored else {})
            )
    return pd.DataFrame(rows, columns=COLUMNS)


def sentences(found: pd.DataFrame) -> list[str]:
    """Return a sentence on each stream that is clearly better on training clips than on val clips, or else on test."""
    made = []
    for stream, rows in found.groupby("stream", sort=False):
        of_split = {row["split"]: row for _, row in rows.iterrows()}
        other = of_split.get("val", of_split.get("test"))
        if other is not None and other["over_trusted"] == 1:
            train = of_split["train"]
            made.append(
                f"Fusion over-trusts {stream}: its own head is correct on {train['accuracy']:.1%} of the training "
                f"clips, but on {other['accuracy']:.1%} of {other['split']}. Its network may have been trained on "
                "these clips or people, and what is fitted on them relies on it too much."
            )
    return made


def _answers(path: Path, pool: str, clips: pd.DataFrame, space: LabelSpace) -> pd.DataFrame:
    """Return the clips of shared classes that have vectors, with the shared class that the head gives them."""
    with Reader(path) as reader:
        (logp, offsets), (mask, _) = reader.flat("logp"), reader.flat("mask")
        names = reader.clips
        classes = json.loads(reader.attributes.get(HEAD_CLASSES, "null")) or CLASSES
    if not can_answer(classes, space):
        return clips[:0].assign(answer="")
    usable = mask & np.isfinite(logp).all(1)
    length = np.diff(np.concatenate([[0], usable.cumsum()])[offsets])  # (N,) usable frames of each clip
    # A frame that the head is sure shows a class which the space lacks has little weight, as in fusion.head_classes.
    pooled = in_space(over_frames(logp[usable], length, pool), classes, space)
    answers = pd.DataFrame({"clip": names, "answer": np.array(space.names)[pooled.argmax(1)]})[length > 0]
    return clips[clips["label"].isin(shared(classes, space))].merge(answers, on="clip")


def _scores(part: pd.DataFrame, space: LabelSpace) -> tuple[dict[str, object], Intervals, np.ndarray]:
    groups, drawn = groups_of_clips(part)
    found = score_intervals(part["label"], part["answer"], groups, space.names)
    correct = (part["label"] == part["answer"]).to_numpy()
    row = {
        "right": int(correct.sum()),
        "n": len(part),
        "accuracy": found.value[0],
        "low": found.low[0],
        "high": found.high[0],
        "drawn": drawn,
        "groups": found.groups,
        "interval": found.method,
    }
    return row, found, correct


def _difference(
    train: tuple[dict[str, object], Intervals, np.ndarray], other: tuple[dict[str, object], Intervals, np.ndarray]
) -> dict[str, object]:
    """Return by how much a stream is better on training clips (a fraction), with the p of the difference."""
    (_, a, first), (_, b, second) = train, other
    difference, error = a.value[0] - b.value[0], float(np.hypot(a.error[0], b.error[0]))
    if min(a.groups, b.groups) >= FEWEST_GROUPS and error > 0:
        from scipy.stats import t  # slow to import

        p, test = 2 * float(t.sf(abs(difference) / error, min(a.groups, b.groups) - 1)), BY_GROUP
    else:
        from scipy.stats import fisher_exact  # slow to import

        counts = [[int(part.sum()), int((~part).sum())] for part in (first, second)]
        p, test = float(fisher_exact(counts).pvalue), BY_CLIP
    return {"difference": difference, "p": p, "test": test, "over_trusted": int(p < SIGNIFICANT and difference > 0)}

"""A map of each backbone's vectors: clips that a network finds alike lie close together."""

import itertools
from collections.abc import Collection
from pathlib import Path

import numpy as np
import pandas as pd

from emopipe.cache.store import Reader
from emopipe.core.labels import NOTHING, LabelSpace
from emopipe.report.page.charts import Spec, scatter
from emopipe.report.page.parts import Chart, Group, Paragraphs, Section
from emopipe.report.page.planes import shaded
from emopipe.report.page.sources import Sources

MOST_CLIPS = 2000
"""How many clips a map shows at most; of more, every n-th one."""
FEWEST_CLIPS = 5
"""Fewer clips make no map."""
AXES = 50
"""Principal components from which t-SNE makes the map."""
PERPLEXITY = 30.0
NOTE = (
    "Each point is a labelled clip: the mean of its vectors, laid out by t-SNE. Clips that lie close together have "
    "similar vectors; distances between far groups and the size of groups mean nothing."
)
ALONE = " A click on a class shows it alone."
TIE, SEVERAL = "(tie)", "(several)"
"""What stands for clips with several classes: those with equal votes, and those that show all of them."""

OMITTED = Paragraphs(["The page would be too large with the maps, so they are omitted."])


def section(sources: Sources) -> Section:
    """Return the section."""
    charts = [chart for name, path in sources.features().items() if (chart := _map(sources, name, path))]
    if not charts:
        said = "There are too few labelled clips with different vectors for a map."
        return Section("maps", "Maps of the vectors", [Paragraphs([said])])
    note = NOTE if sources.space.kind == "dimensions" else NOTE + ALONE
    return Section("maps", "Maps of the vectors", [Paragraphs([note]), Group(charts)])


def _map(sources: Sources, name: str, path: Path) -> Chart | None:
    """Return a map with clip, label, split and, where it is known, the run's answer; None if no map can be made."""
    labelled = sources.table[sources.table["label"] != ""].set_index("clip")
    clips, vectors, count = mean_vectors(path, set(labelled.index))
    if len(clips) < FEWEST_CLIPS or not np.ptp(vectors, axis=0).any():  # equal vectors have no places
        return None
    rows = labelled.loc[clips, ["split", "label"]].rename_axis("clip").reset_index()
    answers = sources.answers[sources.answer].set_index("clip")["pred"]
    rows["answer"] = answers.reindex(clips).fillna("").to_numpy()
    rows = rows.join(pd.DataFrame(layout(vectors), columns=["x", "y"]))
    caption = f"{len(rows)} of {count} labelled clips with vectors."
    return Chart(f"Vectors of {name}", _spec(rows, sources.space), caption)


def _spec(rows: pd.DataFrame, space: LabelSpace) -> Spec:
    """Return the map with labels as colours and shapes; of dimensions, the first one as shades."""
    if space.kind == "dimensions":
        rows = rows.assign(value=space.targets(rows)[:, 0])
        return shaded(rows, "value", space.names[0], space)
    if space.kind == "single":
        return scatter(rows, "label", space.names)
    several = TIE if space.kind == "votes" else SEVERAL
    rows = rows.assign(shown=rows["label"].where(rows["label"].isin([*space.names, NOTHING]), several))
    return scatter(rows, "shown", [*space.names, several, NOTHING])


def mean_vectors(path: Path, wanted: Collection[str]) -> tuple[list[str], np.ndarray, int]:
    """Return the mean of each clip's vectors, of at most MOST_CLIPS clips.

    Args:
        path: A file of features.
        wanted: The clips that may be taken.

    Returns:
        Clips (n), means (n, D) float32, all finite, and how many of the wanted clips have vectors.
    """
    with Reader(path) as reader:
        mask, offsets = reader.flat("mask")
        has = [mask[first:last].any() for first, last in itertools.pairwise(offsets)]
        known = [clip for clip, any_of in zip(reader.clips, has, strict=True) if any_of and clip in wanted]
        taken = known[:: max(1, -(-len(known) // MOST_CLIPS))]
        means = [reader.field(clip, "x")[reader.field(clip, "mask")].mean(0) for clip in taken]
        found = np.array(means, np.float32).reshape(-1, reader.fields["x"].row[0])
    finite = np.isfinite(found).all(1)
    return [clip for clip, keep in zip(taken, finite, strict=True) if keep], found[finite], len(known)


def layout(vectors: np.ndarray) -> np.ndarray:
    """Return the places (N, 2) of vectors (N, D) on a map, by t-SNE (van der Maaten and Hinton, 2008) from seed 0."""
    from sklearn.decomposition import PCA
    from sklearn.manifold import TSNE
    from threadpoolctl import threadpool_limits

    scaled = (vectors - vectors.mean(0)) / np.maximum(vectors.std(0), 1e-6)
    axes = min(AXES, *scaled.shape)
    reduced = PCA(axes, svd_solver="full").fit_transform(scaled.astype(np.float64))
    reduced = np.pad(reduced, ((0, 0), (0, max(0, 2 - axes))))  # vectors of one number lie on a line
    perplexity = min(PERPLEXITY, (len(vectors) - 1) / 3)
    with threadpool_limits(1):  # threads that wait for each other would slow down the other jobs of a small machine
        placed = TSNE(2, perplexity=perplexity, init="pca", random_state=0).fit_transform(reduced)
    return np.asarray(placed, np.float64).round(2)

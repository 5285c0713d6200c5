"""A map of each backbone's vectors: clips that a network finds alike lie close together."""

import itertools
from pathlib import Path

import numpy as np
import pandas as pd

from emopipe.cache.store import Reader
from emopipe.report.page.charts import scatter
from emopipe.report.page.parts import Chart, Group, Paragraphs, Section
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
    "similar vectors; distances between far groups and the size of groups mean nothing. A click on a class shows it "
    "alone."
)

OMITTED = Paragraphs(["The page would be too large with the maps, so they are omitted."])


def section(sources: Sources) -> Section:
    """Return the section."""
    charts = []
    for name, path in sources.features().items():
        clips, vectors = mean_vectors(path)
        rows = _rows(sources, clips, vectors)
        if rows is not None:
            shown = f"{len(rows)} of {len(clips)} clips that have vectors"
            charts.append(Chart(f"Vectors of {name}", scatter(rows, "label"), f"{shown}."))
    if not charts:
        return Section(
            "maps",
            "Maps of the vectors",
            [Paragraphs(["There are too few labelled clips with different vectors for a map."])],
        )
    return Section("maps", "Maps of the vectors", [Paragraphs([NOTE]), Group(charts)])


def _rows(sources: Sources, clips: list[str], vectors: np.ndarray) -> pd.DataFrame | None:
    """Return a point for each labelled clip: x, y, clip, label, split and, where it is known, the run's answer."""
    table = sources.table.set_index("clip")[["split", "label"]].reindex(clips)
    chosen = np.flatnonzero((table["label"] != "").to_numpy() & np.isfinite(vectors).all(1))
    chosen = chosen[:: -(-len(chosen) // MOST_CLIPS) or 1]
    if len(chosen) < FEWEST_CLIPS or not np.ptp(vectors[chosen], axis=0).any():  # equal vectors have no places
        return None
    made = table.iloc[chosen].rename_axis("clip").reset_index()
    answers = sources.answers[sources.answer].set_index("clip")["pred"]
    made["answer"] = answers.reindex(made["clip"]).fillna("").to_numpy()
    return made.join(pd.DataFrame(layout(vectors[chosen]), columns=["x", "y"]))


def mean_vectors(path: Path) -> tuple[list[str], np.ndarray]:
    """Return the clips of a file of features that have vectors, and the mean of each one's vectors (N, D)."""
    clips, means = [], []
    with Reader(path) as reader:
        mask, offsets = reader.flat("mask")
        number = 0
        for rows, inside, _ in reader.blocks("x"):
            for first, last in itertools.pairwise(inside):
                kept = mask[offsets[number] : offsets[number + 1]]
                if kept.any():
                    clips.append(reader.clips[number])
                    means.append(rows[first:last][kept].mean(0))
                number += 1
        width = reader.fields["x"].row[0]
    return clips, np.array(means).reshape(-1, width)


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

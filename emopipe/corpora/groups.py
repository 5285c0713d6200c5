"""Groups of clips that depend on each other: of one person, one utterance, one still, or one file."""

import numpy as np
import pandas as pd

from emopipe.corpora import times
from emopipe.corpora.digests import NO_CONTENT
from emopipe.media.pairs import SOUND_FILE

UTTERANCE, STILL = "utterance", "still"
"""Columns of a clip table that name the recording or the picture that a clip was made of; "" if unknown."""
SUBJECT_UNIT, GROUP_UNIT, CLIP_UNIT = "subject", "group", "clip"
"""What groups are: clips of one person; clips that share a person, an utterance, a still or a file; single clips."""


def groups_of_clips(table: pd.DataFrame) -> tuple[np.ndarray, str]:
    """Return the group of each clip, (N,) texts, and what groups are.

    Clips are in one group if they share a person, an utterance (also a sound file), a still, or the content of their
    files; if not all people are known, also if they are parts of one file. Groups that overlap are one group.

    Args:
        table: Rows of the clip table.
    """
    known = (table["subject"] != "").all()
    columns = ["subject", UTTERANCE, STILL, SOUND_FILE, *([] if known else ["path"])]
    keys = {name: table[name] for name in columns if name in table}
    content = times.FILE_DIGEST if times.FILE_DIGEST in table and not known else "digest"
    if content in table:
        keys[content] = table[content].where(~table[content].isin(NO_CONTENT), "")
    number = _components(len(table), keys)
    n_groups = len(set(number))
    if known and n_groups == table["subject"].nunique():
        return table["subject"].to_numpy(), SUBJECT_UNIT
    if n_groups == len(table):
        return table["clip"].to_numpy(), CLIP_UNIT
    first = table["clip"].groupby(number).first()
    return first.loc[number].to_numpy(), GROUP_UNIT


def _components(n: int, keys: dict[str, pd.Series]) -> np.ndarray:
    """Return a number (N,) for each clip; clips that share a value of a key, directly or by others, have the same."""
    from scipy.sparse import coo_array  # slow to import, and few need it
    from scipy.sparse.csgraph import connected_components

    clips, values, nodes = [], [], n
    for column in keys.values():  # the graph's nodes are clips and values; an edge joins a clip and its value
        code, names = pd.factorize(column.where(column != "", None).to_numpy())
        clips.append(np.flatnonzero(code >= 0))
        values.append(nodes + code[code >= 0])
        nodes += len(names)
    edges = np.concatenate([*clips, []]).astype(int), np.concatenate([*values, []]).astype(int)
    graph = coo_array((np.ones(len(edges[0]), bool), edges), shape=(nodes, nodes))
    return connected_components(graph, directed=False)[1][:n]

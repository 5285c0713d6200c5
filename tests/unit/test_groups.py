"""Groups of clips that depend on each other."""

import hashlib

import numpy as np
import pandas as pd
import pytest

from emopipe.cache.status import UNREADABLE
from emopipe.corpora.groups import groups_of_clips


def clips(n=4, **columns):
    return pd.DataFrame({"clip": list("abcdefgh"[:n]), "subject": "", "path": [f"{k}.avi" for k in range(n)]}).assign(
        **columns
    )


@pytest.mark.parametrize(
    ("columns", "groups", "unit"),
    [
        ({}, "abcd", "clip"),
        ({"subject": list("stts")}, "stts", "subject"),
        ({"subject": list("ssss")}, "ssss", "subject"),
        ({"subject": ["s", "s", "", ""]}, "aacd", "group"),
        ({"utterance": ["u", "v", "u", ""]}, "abad", "group"),
        ({"still": ["p", "p", "q", "q"]}, "aacc", "group"),
        ({"sound_file": ["x.wav", "x.wav", "", ""]}, "aacd", "group"),
        ({"path": ["long.mp4"] * 3 + ["d.mp4"]}, "aaad", "group"),
        ({"digest": ["1", "2", "1", "3"]}, "abad", "group"),
        ({"digest": ["", "", UNREADABLE, UNREADABLE]}, "abcd", "clip"),
        ({"digest": [hashlib.sha256().hexdigest()] * 4}, "abcd", "clip"),
        ({"digest": list("1234"), "file_digest": list("1122")}, "aacc", "group"),
    ],
)
def test_what_clips_share_makes_groups(columns, groups, unit):
    found, what = groups_of_clips(clips(**columns))
    assert (list(found), what) == (list(groups), unit)


def test_groups_that_overlap_are_one():
    """a and b share a still, b and c an utterance; each still and utterance that is unknown is one of its own."""
    found, _ = groups_of_clips(clips(still=["p", "p", "", ""], utterance=["", "u", "u", ""]))
    assert list(found) == list("aaad")


def test_two_people_of_one_utterance_are_one_group():
    found, what = groups_of_clips(clips(subject=list("stuv"), utterance=["x", "x", "y", "z"]))
    assert (list(found), what) == (list("aacd"), "group")


def test_people_of_one_file_are_apart_if_all_are_known():
    found, what = groups_of_clips(clips(subject=list("stst"), path=["talk.mp4"] * 4, file_digest="1", digest=[*"1234"]))
    assert (list(found), what) == (list("stst"), "subject")


def test_many_clips():
    n = 50_000
    table = pd.DataFrame(
        {"clip": np.arange(n).astype(str), "subject": "", "utterance": (np.arange(n) // 5).astype(str)}
    )
    found, what = groups_of_clips(table)
    assert what == "group" and len(set(found)) == n // 5 and found[:6].tolist() == ["0"] * 5 + ["5"]

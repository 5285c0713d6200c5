"""IEMOCAP: dialogues of ten actors in five sessions, cut into utterances; ten classes, raters' votes, and dimensions.

Source: Busso et al., "IEMOCAP: Interactive emotional dyadic motion capture database", Language Resources and Evaluation
2008, https://sail.usc.edu/iemocap. Licence: on request with a signed form, for research.

The layout was read in public code and descriptions of the release (CXianRen/AMST, Doc/dataset/IEMOCAP.md; EmoBox):

- `Session1/sentences/wav/Ses01F_impro01/Ses01F_impro01_F000.wav`, the sound of an utterance of the woman (`_F`) or the
  man (`_M`) of a session; and `Session1/dialog/avi/DivX/Ses01F_impro01.avi`, the video of a whole dialogue.
- `Session1/dialog/EmoEvaluation/Ses01F_impro01.txt` has, for each utterance, a line with its times in seconds, its id,
  a code of the class on which most raters agree (`xxx` if they do not), and the means of valence, activation and
  dominance (1 to 5). Lines such as `C-E2: Anger;` below it have the classes that a rater chose. Those of `C-F` and
  `C-M` are the actors' own view, on which the published class and means do not depend: they are not counted as votes.

Traps:

- The video of a dialogue shows both people, side by side: the one whose letter is in the name of the dialogue (who
  wears markers on the face) is on the left. Faces that are found may be those of the listener.
- The scripted dialogues have the same sentences in all sessions, so that words reveal the class (`scenario`).
- There are no published splits. A session has two people, whom no other session has; figures are the mean over the five
  sessions as test. Both people of a session are always in one split here.
- With four classes, Excited counts as Happy, as most papers have it: figures with and without it do not compare.
- A rater may choose several classes, and each of them is a vote. Utterances without agreement (2,507 of 10,039) are in
  no class: `emotions: all` keeps them, for `labels: {kind: votes}` or dimensions.
"""

import re
from collections import Counter
from pathlib import Path
from typing import Literal

import pandas as pd

from emopipe.core.errors import CorpusError
from emopipe.core.labels import VOTES
from emopipe.core.text import abbreviate
from emopipe.corpora import lists
from emopipe.corpora.files import FileOptions, clip_files, media_files
from emopipe.corpora.labelling import ClassOptions
from emopipe.corpora.table import from_rows
from emopipe.corpora.votes import majority, with_votes

CODES: dict[str, str] = {
    "ang": "Angry",
    "dis": "Disgust",
    "exc": "Excited",
    "fea": "Fear",
    "fru": "Frustrated",
    "hap": "Happy",
    "neu": "Neutral",
    "oth": "Other",
    "sad": "Sad",
    "sur": "Surprise",
}
"""Code of a class -> class. The first three letters of the names that raters chose are these codes, too."""
NO_AGREEMENT = "xxx"
"""The code of utterances on whose class the raters do not agree."""
KEPT: dict[int | str, tuple[str, ...]] = {
    4: ("ang", "exc", "hap", "neu", "sad"),
    6: ("ang", "exc", "fru", "hap", "neu", "sad"),
    "all": (*CODES, NO_AGREEMENT),
}
"""Option `emotions` -> the codes of the utterances that are kept."""
SEXES: dict[str, str] = {"F": "female", "M": "male"}
SCENARIOS: dict[str, str] = {"impro": "improvised", "script": "scripted"}
_SESSIONS = 5
_EVALUATION = re.compile(r"(^|/)EmoEvaluation/Ses0[1-5][FM]_[^/]*\.txt$")
_LINE = re.compile(
    r"\[(?P<start>[\d.]+) - (?P<end>[\d.]+)\]\s+"
    r"(?P<clip>(?P<dialogue>Ses0(?P<session>[1-5])[FM]_(?P<scenario>impro|script)\w*)_(?P<speaker>[FM])\w*)\s+"
    r"(?P<code>[a-z]{3})\s+\[(?P<valence>[\d.]+), (?P<arousal>[\d.]+), (?P<dominance>[\d.]+)\]"
)
_VOTE = re.compile(r"C-E\d+:\s*(?P<classes>[^()]*)")


class CorpusOptions(ClassOptions, FileOptions):
    """Which of IEMOCAP's utterances are used, and which session is test."""

    emotions: Literal[4, 6, "all"] = 4
    """Which utterances are used: 4, those that are Angry, Happy or Excited (which count as Happy), Neutral or Sad; 6,
    those that are Angry, Excited, Frustrated, Happy, Neutral or Sad; or all, also those without agreement, whose label
    is a tie of votes."""
    modality: Literal["audio", "video"] = "audio"
    """Which files are used: the sound of the utterances, or their parts of the videos of dialogues, which show both
    people."""
    scenario: Literal["all", "improvised", "scripted"] = "all"
    """Which dialogues are used."""
    fold: Literal[1, 2, 3, 4, 5] = 5
    """The session that is test. The next one (1 after 5) is val, the other three are train."""


def scan(root: Path, options: CorpusOptions) -> pd.DataFrame:
    """Return the clip table with session, dialogue, scenario, sex, valence, arousal, dominance, and votes.

    Raises:
        CorpusError: There are no evaluations, one is not of the published form, a file is missing or there twice, or
            the options select no utterance.
    """
    evaluated = _evaluations(root)
    chosen = [
        (row, votes)
        for row, votes in evaluated
        if row["code"] in KEPT[options.emotions] and options.scenario in ("all", SCENARIOS[row["scenario"]])
    ]
    if not chosen:
        raise CorpusError(
            f"None of the {len(evaluated)} utterances in {root} has emotions: {options.emotions} and scenario: "
            f"{options.scenario}. Change these options."
        )
    paths = _paths(root, options)
    key = "clip" if options.modality == "audio" else "dialogue"
    lists.refuse_without_file({row[key] for row, _ in chosen}, paths, root, "IEMOCAP")
    classes = tuple(name for name in CODES.values() if options.emotions != 4 or name != "Excited")
    votes_of = {row["clip"]: _merged(votes, classes) for row, votes in chosen}
    rows = [_row(row, votes_of[row["clip"]], classes, options) | {"path": paths[row[key]]} for row, _ in chosen]
    return options.with_labels(with_votes(from_rows(rows), VOTES, classes, votes_of))


def _evaluations(root: Path) -> list[tuple[dict[str, str], Counter[str]]]:
    """Return the cells of the line of each utterance, and its votes: class -> number."""
    files = [file for file in media_files(root, {".txt"}) if _EVALUATION.search(file.relative_to(root).as_posix())]
    found: list[tuple[dict[str, str], Counter[str]]] = []
    for file in files:
        for line in file.read_text(encoding="utf-8", errors="replace").splitlines():
            if line.startswith("["):
                match = _LINE.match(line)
                if match is None or match["code"] not in KEPT["all"]:
                    raise CorpusError(
                        f"The file {file} has the line {line!r}. Expected [<start> - <end>] <utterance> <code> "
                        f"[<valence>, <activation>, <dominance>], with a code of {', '.join(KEPT['all'])}. Use the "
                        "file as it is published."
                    )
                found.append((match.groupdict(), Counter()))
            elif found and (vote := _VOTE.match(line)):
                found[-1][1].update(_classes(vote["classes"], file))
    if not found:
        raise CorpusError(
            f"No evaluations of IEMOCAP were found in {root}. Expected files such as Session1/dialog/EmoEvaluation/"
            "Ses01F_impro01.txt. Check corpus_root."
        )
    return found


def _classes(cell: str, file: Path) -> list[str]:
    """Return the classes that a rater chose, such as `Anger; Frustration;`."""
    names = [name.strip() for name in cell.split(";") if name.strip()]
    unknown = [name for name in names if name[:3].lower() not in CODES]
    if unknown:
        raise CorpusError(
            f"The file {file} has a vote for {unknown[0]!r}. Expected names that begin with {', '.join(CODES)}. Use "
            "the file as it is published."
        )
    return [CODES[name[:3].lower()] for name in names]


def _paths(root: Path, options: CorpusOptions) -> dict[str, str]:
    """Return utterance, or dialogue -> the path of its file."""
    folder = "/sentences/" if options.modality == "audio" else "/avi/"
    paths: dict[str, str] = {}
    for file in clip_files(root, [options.modality], options.omit_folders):
        path = file.relative_to(root).as_posix()
        if folder not in f"/{path}":
            continue
        if file.stem in paths:
            raise CorpusError(
                f"The file {file.stem} of IEMOCAP is in {root} several times: {abbreviate([paths[file.stem], path])}. "
                "Expected one file for each name. Set omit_folders in the corpus options, or remove the copy."
            )
        paths[file.stem] = path
    return paths


def _merged(votes: Counter[str], classes: tuple[str, ...]) -> Counter[str]:
    """Return the votes with those for Excited as votes for Happy, where Excited is not a class."""
    found = Counter(votes)
    if "Excited" not in classes and found["Excited"]:
        found["Happy"] += found.pop("Excited")
    return found


def _row(row: dict[str, str], votes: Counter[str], classes: tuple[str, ...], options: CorpusOptions) -> dict[str, str]:
    """Return the row of an utterance, without its path."""
    label = CODES[row["code"]] if row["code"] != NO_AGREEMENT else majority(votes, classes)
    session = int(row["session"])
    val = options.fold % _SESSIONS + 1
    found = {
        "clip": row["clip"],
        "split": "test" if session == options.fold else "val" if session == val else "train",
        "label": label if label in classes or row["code"] == NO_AGREEMENT else "Happy",
        "subject": f"Ses0{session}{row['speaker']}",
        "session": row["session"],
        "dialogue": row["dialogue"],
        "scenario": SCENARIOS[row["scenario"]],
        "sex": SEXES[row["speaker"]],
        **{name: row[name] for name in ("valence", "arousal", "dominance")},
    }
    return found if options.modality == "audio" else {**found, "start": row["start"], "end": row["end"]}

"""CREMA-D: videos and sound of 91 actors who say 12 sentences in six emotions, with votes of 2,443 raters.

Source: Cao et al., "CREMA-D: Crowd-sourced Emotional Multimodal Actors Dataset", IEEE Transactions on Affective
Computing 2014, https://github.com/CheyneyComputerScience/CREMA-D. Licence: ODbL 1.0.

The layout was read in `docs/README.md` of that repository: names are subject_sentence_emotion_level. Two of its tables
are used, where they are below the corpus folder:

- `processedResults/tabulatedVotes.csv` counts how many raters chose A (anger), D, F, H, N or S for a clip. The number
  of a row begins with 1 for raters who only heard the clip, 2 for those who only saw it, and 3 for those who did both
  (`tabulateVotesV2.r`). They become the columns `voice_votes_<class>`, `face_votes_<class>` and `votes_<class>`.
- `VideoDemographics.csv` has the age, sex, race and ethnicity of each actor.

Traps: what an actor was asked to show is often not what raters see and hear. The label is the intended class, unless
`label: perceived` asks for the class that most raters chose who saw and heard the clip; a tie is a label such as
`Fear;Sad`. There is no Surprise. All actors say the same 12 sentences.
"""

import re
from pathlib import Path
from typing import Literal

import pandas as pd

from emopipe.core.errors import CorpusError
from emopipe.core.labels import VOTES
from emopipe.core.log import LOGGER
from emopipe.corpora import lists, splits
from emopipe.corpora.files import FileOptions, clip_files
from emopipe.corpora.labelling import ClassOptions
from emopipe.corpora.names import parse_names
from emopipe.corpora.table import from_rows
from emopipe.corpora.votes import FACE_VOTES, VOICE_VOTES, majority, with_votes

# The level is LO, MD, HI or XX (unspecified). One clip of the release, 1040_ITH_SAD_X, has a single X.
_NAME = re.compile(
    r"(?P<subject>\d{4})_(?P<sentence>[A-Z]{3})_(?P<label>ANG|DIS|FEA|HAP|NEU|SAD)_(?P<level>LO|MD|HI|XX?)"
)
EMOTIONS: dict[str, str] = {
    "A": "Angry",
    "D": "Disgust",
    "F": "Fear",
    "H": "Happy",
    "N": "Neutral",
    "S": "Sad",
}
"""Letter in the table of votes, and the first one of the codes in names -> class."""
PREFIXES: dict[str, str] = {"1": VOICE_VOTES, "2": FACE_VOTES, "3": VOTES}
"""First digit of the number of a row of the table of votes -> what begins the columns of votes."""
DEMOGRAPHICS: dict[str, str] = {"Sex": "sex", "Age": "age", "Ethnicity": "ethnicity", "Race": "race"}
"""Column in the table of actors -> column of the clip table."""
_TABULATED, _ACTORS = "processedResults/tabulatedVotes.csv", "VideoDemographics.csv"
_UNKNOWN = "unknown"
_DIGITS = 6  # of the number of a row: one for the kind of raters, five for the clip


class CorpusOptions(ClassOptions, FileOptions, splits.SplitOptions):
    """Which of CREMA-D's files are used, and how they are split."""

    modality: Literal["video", "audio"] = "video"
    """Which files are used: videos with sound (VideoFlash), or sound alone (AudioWAV; AudioMP3 where there is no wav
    file)."""
    label: Literal["intended", "perceived"] = "intended"
    """What the label is: the emotion that the actor was asked to show, or the one that most raters chose who saw and
    heard the clip. For perceived labels, the column `intended` has the other one. With `labels: {kind: votes}` in the
    config, labels are always perceived."""

    @property
    def is_perceived(self) -> bool:
        """Whether the label is what raters perceived."""
        return self.label == "perceived" or self.labelling.space.kind == "votes"


def scan(root: Path, options: CorpusOptions) -> pd.DataFrame:
    """Return the clip table of the video or sound files at any depth below root, with sentence and level.

    It also has the votes and the actors' sex, age, ethnicity and race, where their tables are there.

    Raises:
        CorpusError: There is no such file, a file name does not follow CREMA-D's scheme, a table lacks a column or has
            a wrong number, or perceived labels are asked for and there are no votes.
    """
    files = clip_files(root, [options.modality], options.omit_folders)
    # AudioMP3/ holds the same recordings as AudioWAV/, under the same names.
    files = [file for file in files if file.suffix.lower() == ".wav"] or files
    rows = parse_names(root, files, _NAME, "CREMA-D", "1001_DFA_ANG_XX")
    table = from_rows({**row, "label": EMOTIONS[row["label"][0]]} for row in rows)
    votes = _votes(root)
    if options.is_perceived:
        table = _perceived(table, votes.get(VOTES, {}), root, options)
    for prefix, counts in votes.items():
        table = with_votes(table, prefix, tuple(EMOTIONS.values()), counts)
    return splits.assign(options.with_labels(_with_actors(table, root)), options)


def _votes(root: Path) -> dict[str, dict[str, dict[str, int]]]:
    """Return prefix of columns -> clip -> class -> number of votes; {} without the table of votes."""
    file = lists.maybe(root, r"(^|/)tabulatedVotes\.csv$", "CREMA-D", _TABULATED)
    found: dict[str, dict[str, dict[str, int]]] = {prefix: {} for prefix in PREFIXES.values()} if file else {}
    for row in lists.read(file, ("fileName", *EMOTIONS)) if file else ():
        number, cells = next(iter(row.values())), [row[letter] for letter in EMOTIONS]
        if len(number) != _DIGITS or number[0] not in PREFIXES or not all(cell.isdecimal() for cell in cells):
            raise CorpusError(
                f"The table {file} has the row {number}, {', '.join(cells)}, {row['fileName']}. Expected a number such "
                f"as 300001 that begins with {', '.join(PREFIXES)}, whole numbers of votes for {', '.join(EMOTIONS)}, "
                "and a file name. Use the table as it is published."
            )
        counts = {label: int(row[letter]) for letter, label in EMOTIONS.items()}
        found[PREFIXES[number[0]]][row["fileName"]] = counts
    return found


def _perceived(
    table: pd.DataFrame, votes: dict[str, dict[str, int]], root: Path, options: CorpusOptions
) -> pd.DataFrame:
    """Return the table with the perceived label, and the intended one in a column of its own."""
    if not votes:
        raise CorpusError(
            f"Perceived labels of CREMA-D need the raters' votes, but {root} has no table {_TABULATED} with votes of "
            "clips that were seen and heard (rows 300001 and on). Put it there, or set label: intended in the corpus "
            "options and a kind of labels other than votes."
        )
    has_votes = table["clip"].isin([clip for clip, counts in votes.items() if any(counts.values())])
    if not has_votes.all():
        missing = table.loc[~has_votes, "clip"]
        LOGGER.info("%d clips without votes, such as %s, are omitted.", len(missing), missing.iloc[0])
    table = table[has_votes]
    perceived = [majority(votes[clip], tuple(EMOTIONS.values())) for clip in table["clip"]]
    return table.assign(label=perceived, intended=table["label"])


def _with_actors(table: pd.DataFrame, root: Path) -> pd.DataFrame:
    """Return the table with what the table of actors has of each; unchanged without that table."""
    file = lists.maybe(root, r"(^|/)VideoDemographics\.csv$", "CREMA-D", _ACTORS)
    if file is None:
        return table
    actors = {row["ActorID"]: row for row in lists.read(file, ("ActorID", *DEMOGRAPHICS))}
    for name, column in DEMOGRAPHICS.items():
        cells = [actors[subject][name] if subject in actors else "" for subject in table["subject"]]
        cells = ["" if cell.casefold() == _UNKNOWN else cell for cell in cells]
        table = table.assign(**{column: [cell.lower() for cell in cells] if column == "sex" else cells})
    return table

"""eNTERFACE'05: videos of people who act six emotions in five English sentences each.

Source: Martin, Kotsia, Macq and Pitas, "The eNTERFACE'05 Audio-Visual Emotion Database", ICDE Workshops 2006,
https://enterface.net/enterface05/emotion.html. Licence: "publicly available for scientific research purposes" (the
paper).

The layout was read in public code that uses the release: `subject 1/anger/sentence 1/s1_an_1.avi`; copies have hyphens
or underscores for the blanks (albanie/mcnDatasets, sunlicai/MAE-DFER). Names of files are not always right: those of
subject 11 begin with s12, some of subject 3 with s_3, one is s16_su_3avi, and the numbers of two sentences of subject 2
are swapped. Person, class and sentence are therefore those of the folders.

Traps: there is no Neutral, and there are no published splits: people are apart by default, but everybody says the same
five sentences of a class, so that the words reveal the class in any split. The paper counts 42 subjects, copies have
44. A public script excludes subject 6 (its files start with s6_): `omit_folders: ["subject 6"]` does so.
"""

import re
from pathlib import Path

import pandas as pd

from emopipe.core.errors import CorpusError
from emopipe.core.text import abbreviate
from emopipe.corpora import splits
from emopipe.corpora.files import FileOptions, clip_files
from emopipe.corpora.labelling import ClassOptions
from emopipe.corpora.table import from_rows, refuse_duplicates

_PLACE = re.compile(
    r"(?:^|/)subject[ _-]?0*(?P<subject>\d+)/(?P<label>anger|disgust|fear|happiness|sadness|surprise)"
    r"(?:/sentence[ _-]?(?P<sentence>\d+))?/[^/]+$",
    re.IGNORECASE,
)


class CorpusOptions(ClassOptions, FileOptions, splits.SplitOptions):
    """How eNTERFACE'05 is split."""


def scan(root: Path, options: CorpusOptions) -> pd.DataFrame:
    """Return the clip table with the sentence, such as anger_1; ids are made of the folders and the file's name.

    Raises:
        CorpusError: There is no video, or one is not in a folder of a subject and a class.
    """
    files = [file.relative_to(root) for file in clip_files(root, ["video"], options.omit_folders)]
    if not files:
        raise CorpusError(
            f"No clips of eNTERFACE'05 were found in {root}. Expected files such as subject 1/anger/sentence 1/"
            "s1_an_1.avi. Check corpus_root."
        )
    places = {file: _PLACE.search(file.as_posix()) for file in files}
    stray = [str(file) for file, place in places.items() if place is None]
    if stray:
        raise CorpusError(
            f"The files {abbreviate(stray)} in {root} are not in the folders of eNTERFACE'05. Expected "
            "subject <number>/<class>/sentence <number>/<file>. Move them, or set omit_folders in the corpus options."
        )
    rows = [_row(file, place) for file, place in places.items() if place is not None]
    table = from_rows(rows)
    refuse_duplicates(table, remedy="Set omit_folders in the corpus options, or remove the copy")
    return splits.assign(options.with_labels(table), options)


def _row(file: Path, place: re.Match[str]) -> dict[str, str]:
    subject, label, sentence = place["subject"], place["label"].lower(), place["sentence"] or ""
    name = "__".join(filter(None, (f"subject_{subject}", label, sentence and f"sentence_{sentence}", file.stem)))
    return {
        "clip": name,
        "path": file.as_posix(),
        "label": label,
        "subject": subject,
        "sentence": f"{label}_{sentence}" if sentence else "",
    }

'''The kinds of corpora. A module is imported only when its kind is used.

An adapter is a module that turns a folder into the clip table. The project's own are rows of `KINDS`. A module of
another package becomes a kind by an entry point of the group `emopipe.corpora` (see `emopipe.core.registry`). `emopipe
kinds` lists them all.

A module has:

- `CorpusOptions`: a class derived from `emopipe.core.options.Options`; it checks the block `options` of the config.
- `scan(root, options)`: returns the clip table of the folder `root` (a path): a DataFrame with a row for each clip and
  these columns of texts:

  - `clip`: the clip's id, each one once;
  - `path`: its file, relative to `root`;
  - `split`: train, val or test. `emopipe.corpora.splits.assign` splits a corpus that has no splits of its own;
  - `label`: a class name of the corpus, which becomes a label of the run's label space. It is "" if it is unknown,
    which is allowed in test only. There may be columns of votes, of classes or of numbers beside it, or in its place
    (`emopipe.corpora.label_columns`);
  - `subject`: the person in the clip; "" if unknown. A subject is in one split only. This is not checked if the options
    have `subjects_apart` and it is False.

  A table may also have `start` and `end`, in seconds or as h:mm:ss: the clip is that part of its file, and several
  clips may have the same path. Further columns are kept. `emopipe.corpora.table.check` refuses a table that breaks
  these rules.

A complete module, `mypackage/flat.py`, for files that are called <split>_<subject>_<label>_<number>.avi:

    import pandas as pd

    from emopipe.core.options import Options

    class CorpusOptions(Options):
        suffix: str = ".avi"
        """What the names of clips end in."""

    def scan(root, options):
        rows = []
        for path in sorted(root.glob(f"*{options.suffix}")):
            split, subject, label, number = path.stem.split("_")
            rows.append((path.stem, path.name, split, label, subject))
        return pd.DataFrame(rows, columns=["clip", "path", "split", "label", "subject"])
'''

from pathlib import Path

import pandas as pd

from emopipe.core.errors import CorpusError
from emopipe.core.options import Options
from emopipe.core.registry import Registry, Row
from emopipe.corpora.labelling import ClassOptions, Labelling, labelled
from emopipe.corpora.table import check

KINDS: dict[str, Row] = {
    "afew": Row("emopipe.corpora.afew"),
    "caer": Row("emopipe.corpora.caer"),
    "cremad": Row("emopipe.corpora.cremad"),
    "demo": Row("emopipe.corpora.demo"),
    "dfew": Row("emopipe.corpora.dfew"),
    "emodb": Row("emopipe.corpora.emodb"),
    "enterface": Row("emopipe.corpora.enterface"),
    "esd": Row("emopipe.corpora.esd"),
    "ferv39k": Row("emopipe.corpora.ferv39k"),
    "folder": Row("emopipe.corpora.folder"),
    "iemocap": Row("emopipe.corpora.iemocap"),
    "mafw": Row("emopipe.corpora.mafw"),
    "meld": Row("emopipe.corpora.meld"),
    "mer": Row("emopipe.corpora.mer"),
    "mosei": Row("emopipe.corpora.mosei"),
    "ravdess": Row("emopipe.corpora.ravdess"),
    "savee": Row("emopipe.corpora.savee"),
    "table": Row("emopipe.corpora.tabular"),
    "tess": Row("emopipe.corpora.tess"),
}
"""The project's own kinds."""

REGISTRY = Registry(
    KINDS,
    group="emopipe.corpora",
    noun="corpus",
    options="CorpusOptions",
    functions=("scan",),
    error=CorpusError,
)
"""All kinds."""
SHARING = (
    "Or set shared_subjects: keep in the corpus options to use the splits as they are: scores then say how well models "
    "know these people, which is usually better than how well they do with others. With protocol: {kind: kfold, by: "
    "subject} as well, every clip is predicted by models that were trained without its person."
)
"""What may be done about people in several of the splits that a corpus comes with, and at what price."""


def list_kinds() -> list[str]:
    """Return the names of all kinds, plug-ins included."""
    return REGISTRY.names()


def module_name(kind: str) -> str:
    """Return the module of a kind, whose code makes the clip table.

    Raises:
        CorpusError: There is no such kind.
    """
    return REGISTRY.module_name(kind)


def options_class(kind: str) -> type[Options]:
    """Return the class of the options that a kind of corpus takes.

    Raises:
        CorpusError: There is no such kind, or the module of a plug-in is invalid.
    """
    return REGISTRY.load(kind).CorpusOptions


def scan(
    kind: str, root: Path, options: Options, *, lenient: bool = False, labelling: Labelling | None = None
) -> pd.DataFrame:
    """Return the checked clip table of the corpus in the folder root, without digests.

    Args:
        kind: The kind of the corpus.
        root: Its folder.
        options: Its options. Those of the project's own kinds know the label space by the context in which they were
            checked (`emopipe.corpora.labelling`).
        lenient: Accept files that do not exist and clips of any split without a label, for a caller that counts them.
        labelling: The label space, for kinds whose options do not know it; None: labels are the seven.

    Raises:
        CorpusError: There is no such kind, the folder does not exist, or the corpus is not as its kind expects.
    """
    module = REGISTRY.load(kind)
    if not root.is_dir():
        found = "is a file; unpack it to a folder, then" if root.is_file() else "does not exist:"
        raise CorpusError(f"The corpus folder {root} {found} correct its path (in a config, corpus_root).")
    apart, may_share = getattr(options, "subjects_apart", True), SHARING if hasattr(options, "shared_subjects") else ""
    table, known = module.scan(root, options), labelling or Labelling()
    if isinstance(options, ClassOptions):
        known = options.labelling
    elif known != Labelling():
        table = labelled(table, known)
    return check(table, root, subjects_apart=apart, may_share=may_share, lenient=lenient, space=known.space)

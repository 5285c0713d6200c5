"""How the class names of a corpus become labels of the label space: of a run, or of a network that is trained."""

import dataclasses
import logging
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Annotated, Any, Literal

import pandas as pd
from pydantic import AfterValidator, BeforeValidator, Field, PrivateAttr, ValidationInfo

from emopipe.core.errors import ConfigError, CorpusError
from emopipe.core.label_block import LabelsBlock
from emopipe.core.labels import BASIC7, CLASSES, NOTHING, SEPARATOR, LabelSpace
from emopipe.core.options import Options
from emopipe.core.validation import Faults
from emopipe.corpora import label_columns
from emopipe.corpora.classes import canonical_label, class_key, is_class, names_of

LOGGER = logging.getLogger(__name__)

INTENDED = "intended"
"""The column of a clip table with the class that an actor was asked to show, where the label is what raters saw."""
Others = Literal["refuse", "exclude"]
"""What to do with clips whose label is not in the label space, such as calm."""


@dataclass(frozen=True)
class Labelling:
    """A label space, and what the class names of a corpus count as in it."""

    space: LabelSpace = BASIC7
    """The label space."""
    map: Mapping[str, str] = field(default_factory=dict)
    """What a class name is compared by (`class_key`) -> the label of the space that it counts as; "": it is omitted.
    Synonyms of the name count as it, unless they are in the map, or are classes of the space, themselves."""
    others: Others = "refuse"
    """What to do with clips whose label is not in the space: all of them, whether or not their class is known."""
    option: Mapping[str, str] = field(default_factory=dict)
    """The same as `map`, by the option `labels` of the corpus, which goes before it and has no synonyms."""
    of_run: bool = False
    """Whether it is the key `labels` of a config; else it is the list of classes of a network."""

    @classmethod
    def of(cls, block: LabelsBlock) -> "Labelling":
        """Return what the key `labels` of a config says.

        Raises:
            ConfigError: The map has a value that is not a label of the space, or gives a name two meanings.
        """
        made, faults = cls(block.space, {}, block.others, of_run=True), Faults()
        found: dict[str, str] = {}
        for name, value in block.map.items():
            with faults.collected():
                label, key = made.target(value, f"labels.map.{name}"), class_key(name)
                if found.setdefault(key, label) != label:
                    raise ConfigError(
                        f"labels.map has {name!r} twice, as {found[key]!r} and as {label!r}. Names are compared "
                        "without regard to case, blanks, _ and -. Remove one of them."
                    )
        faults.raise_all()
        return dataclasses.replace(made, map=found)

    @cached_property
    def names(self) -> dict[str, str]:
        """What names are compared by -> the label that they stand for, or "" if they are omitted."""
        classes = self.space.names if self.space.kind != "dimensions" else ()
        synonyms = {name: self.map[key] for name, key in names_of(list(self.map)).items()}
        own = {class_key(name): name for name in classes}
        return {**names_of(classes), **synonyms, **own, **self.map, **self.option}

    @property
    def omits_known(self) -> bool:
        """Whether clips of known classes that are not in the space are omitted.

        A network with other classes than the seven learns from what a corpus shows of them.
        """
        return not self.of_run and not {*CLASSES} <= {*self.space.names}

    def class_of(self, name: str) -> str | None:
        """Return the label of one class name; "" if it is omitted, None if it is unknown."""
        return self.names.get(class_key(name))

    def label_of(self, cell: str) -> str | None:
        """Return the label of a cell, which may have several classes; "" if it is omitted, None if it is unknown."""
        whole, space = self.class_of(cell), self.space
        if whole is not None or space.kind == "single":
            return whole
        if space.kind == "multi" and cell == NOTHING:
            return NOTHING
        if space.kind == "dimensions":
            tidy = SEPARATOR.join(part.strip() for part in cell.split(SEPARATOR))
            return space.label(space.vector(tidy)) if label_columns.is_label(tidy, space) else None
        parts = [NOTHING if part.strip() == NOTHING else self.class_of(part) for part in cell.split(SEPARATOR)]
        if None in parts or "" in parts:
            return None if None in parts else ""
        label = space.of_names(name for part in parts if part for name in part.split(SEPARATOR))
        return label if label_columns.is_label(label, space) else None

    def keeps(self, name: str) -> bool:
        """Return whether a run has a use for a class that a kind of corpus omits otherwise, such as calm.

        Networks that are trained on other corpora keep it only where the options of the corpus say so.
        """
        return self.of_run and bool(self.label_of(name))

    def target(self, value: str, where: str = "") -> str:
        """Return the label that a value of a map stands for; "" stays "". `where` is its key, for the message.

        Raises:
            ConfigError: It is not a label of the space.
        """
        label = Labelling(self.space).label_of(value) if value else ""
        if label is None:
            found = f"{where} is {value!r}, which" if where else f"{value!r}"
            expected = label_columns.described(self.space)
            raise ConfigError(f"{found} is not a label of the label space. Expected {expected}, or an empty text.")
        return label


SEVEN = Labelling()
"""Labels are the seven classes, and names that corpora use for them."""

# -- the context in which options are checked ------------------------------------------------------------------


def in_classes(classes: Sequence[str]) -> dict[str, Any]:
    """Return the context in which options of a corpus are checked that a network with these classes is trained on.

    Without a context, they are checked for the seven.
    """
    return {"labelling": Labelling(LabelSpace(tuple(classes)))}


def in_run(labelling: Labelling) -> dict[str, Any]:
    """Return the context in which the options of a run's corpus are checked."""
    return {"labelling": labelling}


def labelling_in(context: Mapping[str, Any] | None) -> Labelling:
    """Return what the context of a check says of labels; without one, labels are the seven."""
    return (context or {}).get("labelling") or Labelling()


def target_class(name: str, info: ValidationInfo) -> str:
    """Return the label that a value of an option `labels` stands for; "" stays "".

    Raises:
        ValueError: It is not a label of the context's label space.
    """
    labelling = labelling_in(info.context)
    try:
        if labelling.space == BASIC7 and name and labelling.label_of(name) is None:
            canonical_label(name)
        return labelling.target(name)
    except (ConfigError, CorpusError) as error:
        raise ValueError(f"{error} Give an empty text to omit a class") from error


# YAML reads `{1: Happy}` with an integer, but a class is a name.
ClassName = Annotated[str, BeforeValidator(lambda value: str(value) if type(value) is int else value)]
Labels = dict[ClassName, Annotated[str, AfterValidator(target_class)]]
"""Class names of a corpus -> the class that each counts as: a label of the run, a class of the network that is trained
or evaluated, or an empty text to omit it."""


class ClassOptions(Options):
    """Options of a corpus that know which labels its clips may have."""

    _labelling: Labelling = PrivateAttr(default_factory=Labelling)

    def model_post_init(self, context: Any) -> None:
        """Take the label space from the context of the check."""
        self._labelling = labelling_in(context)

    @property
    def labelling(self) -> Labelling:
        """What the class names of the corpus count as."""
        return self._labelling

    def is_class(self, name: str) -> bool:
        """Return whether a name, such as that of a folder, is a known class, or has a label in the label space."""
        return is_class(name) or self.labelling.label_of(name) is not None

    @property
    def classes(self) -> tuple[str, ...]:
        """The names of the label space; the seven unless the run or the network has others."""
        return self._labelling.space.names

    def with_labels(self, table: pd.DataFrame) -> pd.DataFrame:
        """Return the clip table with labels of the label space in place of the corpus' own class names.

        Raises:
            CorpusError: A label is not in the label space, or a column of votes or numbers is not as it should be.
        """
        return labelled(table, self.labelling, omit_known=self.labelling.omits_known)


class LabelOptions(ClassOptions):
    """What the corpus' own class names count as."""

    labels: Labels = Field(default_factory=dict)
    """Class names of the corpus -> the class that each counts as: one of the label space (the seven, unless the key
    `labels` of the config names others), or an empty text to omit it, as in {exc: Happy, fru: ""}. Default: none;
    common names are known. It goes before `labels.map` of the config."""
    others: Others = "refuse"
    """What happens to clips of known classes that are not in the label space, such as calm: exclude omits them, refuse
    stops with an error."""

    def model_post_init(self, context: Any) -> None:
        """Take the label space from the context of the check; the option `labels` goes before its map."""
        own = {class_key(name): label for name, label in self.labels.items()}
        self._labelling = dataclasses.replace(labelling_in(context), option=own)

    def with_labels(self, table: pd.DataFrame) -> pd.DataFrame:
        """Return the clip table with labels of the label space, without the clips that the options omit.

        Raises:
            CorpusError: As for `ClassOptions`; or `labels` has a class that the corpus does not have.
        """
        _refuse_absent(table, self.labels)
        omit_known = self.others == "exclude" or self.labelling.omits_known
        return labelled(table, self.labelling, omit_known=omit_known, has_options=True)


# -- the clip table --------------------------------------------------------------------------------------------


def labelled(
    table: pd.DataFrame, labelling: Labelling, *, omit_known: bool = False, has_options: bool = False
) -> pd.DataFrame:
    """Return a clip table with labels of a label space; an empty label stays empty.

    Args:
        table: A clip table with class names of the corpus in the column `label`, or with columns of votes, of classes
            or of numbers (`emopipe.corpora.label_columns`).
        labelling: The label space, and what the names count as.
        omit_known: Whether clips of known classes that are not in the space are omitted.
        has_options: Whether the corpus has the options `labels` and `others`, for the message.

    Raises:
        CorpusError: A label is not in the space. The message names the first such clip and counts the others. Or a
            column is not as it should be.
    """
    ignores = labelling.others == "exclude"
    table, given = label_columns.read(table, labelling.space, labelling.class_of, ignore_others=ignores)
    cells = {cell: labelling.label_of(cell) for cell in table["label"].unique() if cell}
    if omit_known:
        cells |= {cell: "" for cell, label in cells.items() if label is None and is_class(cell)}
    unknown = table[(given == "") & table["label"].isin([cell for cell, label in cells.items() if label is None])]
    if not unknown.empty and not ignores:
        raise _refusal(unknown, labelling, has_options=has_options)
    read = table["label"].map({**cells, "": ""}).astype(object)
    omitted = given.isna() | ((given == "") & (table["label"] != "") & (read.isna() | (read == "")))
    if ignores:
        _report_omitted(table, omitted & (read != "") | given.isna(), labelling)
    labels = given.where(given != "", read)
    made = _with_intended(table.assign(label=labels)[~omitted].astype({"label": str}), labelling)
    if made.empty and ignores and not table.empty:
        raise CorpusError(
            f"None of the {len(table)} clips has a label in the label space, and labels.others is exclude. Expected "
            f"{label_columns.described(labelling.space)}. Correct labels, or map the corpus' own labels by labels.map."
        )
    if labelling.of_run and labelling.space.kind == "votes" and (given == "").all():
        LOGGER.warning("No clip has votes in columns votes_<class>, so each label counts as one vote (labels.kind).")
    return made


def _with_intended(table: pd.DataFrame, labelling: Labelling) -> pd.DataFrame:
    """Return the table with labels of the space in the column of intended classes, if there is one; "" for others."""
    if INTENDED not in table:
        return table
    found = {cell: labelling.label_of(cell) or "" if cell else "" for cell in table[INTENDED].unique()}
    return table.assign(**{INTENDED: table[INTENDED].map(found).astype(str)})


def _refuse_absent(table: pd.DataFrame, labels: Mapping[str, str]) -> None:
    """Raise a CorpusError if the option `labels` has a class that the corpus does not have."""
    names = {part for cell in table["label"].unique() for part in (cell, *cell.split(SEPARATOR))}
    names |= {name for column in table for name in (column, column.rpartition("votes_")[2])}
    keys = set(map(class_key, names))
    absent = [name for name in labels if class_key(name) not in keys]
    if absent:
        found = ", ".join(sorted({class_key(cell) for cell in table["label"].unique() if cell}))
        raise CorpusError(
            f"The option labels has the class {absent[0]!r}, but the corpus has the classes {found or '(none)'}. "
            "Correct the name or remove it."
        )


def _report_omitted(table: pd.DataFrame, omitted: pd.Series, labelling: Labelling) -> None:
    """Log how many clips of which classes are not in the label space."""
    if omitted.any():
        counts = table["label"][omitted].value_counts().sort_index()
        listed = ", ".join(f"{name or '(votes for others alone)'} {number}" for name, number in counts.items())
        LOGGER.info(
            "%d of %d clips are omitted, because their label is not in the label space (%s): %s (labels.others: "
            "exclude).",
            int(omitted.sum()),
            len(table),
            ", ".join(labelling.space.names),
            listed,
        )


def _refusal(unknown: pd.DataFrame, labelling: Labelling, *, has_options: bool) -> CorpusError:
    """Return the error on clips whose label is not in the label space."""
    cell, space = unknown["label"].iloc[0], labelling.space
    more = f" (and {len(unknown) - 1} more clips of such classes)" if len(unknown) > 1 else ""
    owner = f"the clip {unknown['path'].iloc[0]}{more}"
    names = unknown["label"].unique().tolist()
    if space.has_one_class and set(CLASSES) <= set(space.names):
        try:
            canonical_label(cell, owner=owner, remedies=_remedies(names, labelling, has_options=has_options))
        except CorpusError as error:
            return error
    expected = label_columns.described(space) + label_columns.expected(space)
    found = f"The label {cell!r} of {owner} is not in the label space. Expected {expected}."
    if not labelling.of_run:
        option = "map it by the option labels of the corpus, " if has_options else ""
        return CorpusError(f"{found} Its classes are those of a network: {option}or add it to them.")
    example = space.names[0] if space.kind != "dimensions" else SEPARATOR.join(["0"] * len(space))
    last = ", or add it to labels" if space.kind != "dimensions" else ""
    return CorpusError(
        f"{found} Map it (labels: {{map: {{{cell!r}: {example!r}}}}}; an empty text omits its clips), set "
        f"labels.others: exclude, which omits all such clips{last}."
    )


def _remedies(names: Sequence[str], labelling: Labelling, *, has_options: bool) -> Iterable[str]:
    """Return sentences on what options can do about class names that are not in a space with the seven."""
    known = [name for name in names if is_class(name)]
    first = next((name for name in names if name not in known), names[0])
    if has_options:
        yield f'Set labels in the corpus options, such as labels: {{"{first}": Happy}} (an empty text omits its clips).'
        if names[0] in known:
            yield "Or set others: exclude, which omits all clips of such classes."
    if labelling.of_run:
        yield "Or name the classes of the run by the key labels of the config, with labels.map and labels.others."

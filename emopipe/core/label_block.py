"""The key `labels` of a config: the label space of a run, and how labels of the corpus are mapped to it."""

import re
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BeforeValidator, Field, model_validator

from emopipe.core.labels import BASIC7, NOTHING, SEPARATOR, SETS, Kind, LabelSpace
from emopipe.core.options import Number, Options


def _check_names(names: list[str]) -> list[str]:
    for number, name in enumerate(names):
        if not re.search(r"\w", name) or name != name.strip() or SEPARATOR in name or name == NOTHING:
            raise ValueError(
                f"{name!r} cannot be a class: a class has letters or digits, no {SEPARATOR}, and no blank at its ends. "
                "Rename it"
            )
        if name.casefold() in map(str.casefold, names[:number]):
            raise ValueError(f"the class {name!r} is listed twice; list it once")
    return names


# YAML reads a class such as `1` as an integer, and `no` as a truth value.
Name = Annotated[str, BeforeValidator(lambda value: str(value) if type(value) is int else value)]


class LabelsBlock(Options):
    """The label space. A name of a set, or a list of names, stands for a block with that alone."""

    set: str | None = None
    """A named list of classes: basic7, ferplus8, affectnet8, iemocap4, iemocap6, mer6, cremad6 or mafw11."""
    names: Annotated[list[Name], AfterValidator(_check_names), Field(min_length=1)] | None = None
    """The classes, at least two, or dimensions such as valence and arousal; used in place of `set`. Default: those of
    the set."""
    kind: Kind = "single"
    """single: one class for each clip. votes: shares of raters' votes, in columns votes_<class> of the corpus. multi:
    any number of classes for each clip, with `;` between them in the column label. dimensions: a number for each name,
    in columns of these names."""
    range: Annotated[list[Number], Field(min_length=2, max_length=2)] = Field(default=[-1.0, 1.0])
    """The smallest and the largest value of the dimensions."""
    map: dict[Name, Name] = Field(default_factory=dict)
    """Labels of the corpus -> the label that each counts as: a class, `A;B` for several, `0.5;-0.25` for dimensions, or
    an empty text to omit its clips. Default: none; common names of the seven classes are known."""
    others: Literal["refuse", "exclude"] = "refuse"
    """What happens to clips whose label is not in the label space. refuse: the run stops before it starts. exclude:
    these clips are omitted."""

    @model_validator(mode="before")
    @classmethod
    def _written_short(cls, value: Any) -> Any:
        if isinstance(value, str):
            return {"set": value}
        return {"names": value} if isinstance(value, list) else value

    @model_validator(mode="after")
    def _is_one_space(self) -> "LabelsBlock":
        if self.set is not None and self.set not in SETS:
            raise ValueError(
                f"the set of labels {self.set!r} is unknown. Expected one of {', '.join(SETS)}, or a list of names"
            )
        if self.set is not None and self.names is not None:
            raise ValueError("it has both set and names. Remove one of them")
        if self.kind != "dimensions" and self.names is not None and len(self.names) < 2:
            raise ValueError(f"it has the class {self.names[0]!r} alone. Expected at least 2. Add the others")
        if self.kind == "dimensions" and self.names is None:
            raise ValueError("its kind is dimensions, which needs names, such as [valence, arousal]. Add names")
        if self.range[0] >= self.range[1]:
            raise ValueError(f"range is {self.range}. Expected the smallest value, then the largest. Correct it")
        return self

    @property
    def space(self) -> LabelSpace:
        """The label space."""
        names = tuple(self.names) if self.names is not None else SETS[self.set or "basic7"]
        return LabelSpace(names, self.kind, *self.range) if self.kind == "dimensions" else LabelSpace(names, self.kind)


def space_of(config: dict[str, Any]) -> LabelSpace:
    """Return the label space of a config as it was given, such as the one in a results folder.

    Raises:
        pydantic.ValidationError: The key `labels` has faults.
    """
    return LabelsBlock.model_validate(config["labels"]).space if "labels" in config else BASIC7

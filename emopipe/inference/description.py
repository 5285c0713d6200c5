"""The file `bundle.json`: what a bundle needs to know of a run to predict new clips, without the run's config."""

from pathlib import Path
from typing import Annotated, Any

from pydantic import Discriminator, Field, Tag, TypeAdapter, ValidationError, model_validator

from emopipe.core.errors import BundleError
from emopipe.core.label_block import LabelsBlock
from emopipe.core.labels import BASIC7, CLASSES, Kind, LabelSpace
from emopipe.core.options import Number, Options
from emopipe.inference.answer_display import limits
from emopipe.media.decoded import DecodeOptions
from emopipe.weights.entries import Sha256

DESCRIPTION = "bundle.json"
"""In the folder of a bundle."""

Share = Annotated[Number, Field(ge=0, le=1)]


class Weights(Options):
    """Where weights are: in the bundle, or in the folder of weights of the machine that predicts."""

    path: str | None = None
    """A file or folder in the bundle; its files are in the manifest."""
    name: str | None = None
    """Without a path: a name of the registry of weights (`emopipe weights list`)."""
    sha256: Sha256 | None = None
    """With a name: the file that the run used."""


class SpaceBlock(Options):
    """A label space that is not that of the seven classes, see `emopipe.core.labels.LabelSpace`."""

    kind: Kind
    names: list[str]
    range: list[Number] | None = None
    """Of dimensions: the smallest and the largest value."""

    @model_validator(mode="after")
    def _is_one_space(self) -> "SpaceBlock":
        LabelsBlock.model_validate(self.model_dump(exclude_none=True))
        return self

    @property
    def space(self) -> LabelSpace:
        """The label space."""
        return LabelSpace.from_dict(self.model_dump(exclude_none=True))


class ModelBlock(Options):
    """A model."""

    prior: list[Number] = Field(min_length=1)
    """The shares of the classes among its training clips, or the mean of each dimension: the answer for a clip without
    any vectors."""


class Member(Options):
    """A member that the ensemble selected."""

    number: int = Field(ge=0)
    """Its place among the members."""
    temperature: Number = Field(gt=0)


class MeanBlock(Options):
    """Combines selected members by a weighted mean, see `emopipe.scoring.combining.WeightedMean`."""

    mean: str = Field(pattern="^(arithmetic|geometric)$")
    weights: list[Share]


class StackingBlock(Options):
    """Combines selected members by logistic regression, see `emopipe.scoring.combining.Stacking`."""

    classes: list[int]
    coef: list[list[Number]]
    intercept: list[Number]


class EnsembleBlock(Options):
    """An ensemble as it was fitted, see `emopipe.fusion.combination.Ensemble`."""

    classes: list[str]
    temperature: Number = Field(gt=0)
    members: list[Member] = Field(min_length=1)
    combine: MeanBlock | StackingBlock


class FacesBlock(Options):
    """A preset of faces, see `emopipe.inference.model.FacePreset`."""

    detector: str
    options: dict[str, Any]
    weights: Weights | None
    decode: str
    jpeg_quality: int
    every: int


class StreamBlock(Options):
    """A backbone, see `emopipe.inference.model.Stream`."""

    kind: str
    options: dict[str, Any]
    modality: str = Field(pattern="^(face|audio)$")
    weights: Weights | None
    preset: str
    batch: int = Field(ge=1)
    precision: str
    views: list[str]


class Description(Options):
    """What a bundle predicts with."""

    run: str
    classes: Annotated[
        Annotated[list[str], Tag("list")] | Annotated[SpaceBlock, Tag("space")],
        Discriminator(lambda given: "list" if isinstance(given, list) else "space"),
    ]
    """The seven classes, in the order of every list of probabilities; or another label space."""
    models: dict[str, ModelBlock] = Field(min_length=1)
    members: list[str] = Field(min_length=1)
    """The models that make the answer."""
    ensemble: EnsembleBlock | None
    decode: dict[str, DecodeOptions]
    faces: dict[str, FacesBlock]
    streams: dict[str, StreamBlock]

    @property
    def space(self) -> LabelSpace:
        """The label space of its answers."""
        return self.classes.space if isinstance(self.classes, SpaceBlock) else BASIC7


def read(path: Path, bundle: Path) -> Description:
    """Read a description.

    Args:
        path: The file.
        bundle: The bundle, for messages.

    Raises:
        BundleError: The file has another form, or names what it does not have.
    """
    try:
        made = TypeAdapter(Description).validate_json(path.read_bytes())
    except ValidationError as error:
        first = error.errors()[0]
        fault = f"{'.'.join(map(str, first['loc']))}: {first['msg']}"
        raise BundleError(bundle, f"its {DESCRIPTION} is not as this version writes it ({fault})") from error
    if isinstance(made.classes, list) and tuple(made.classes) != CLASSES:
        raise BundleError(bundle, f"its classes are {', '.join(made.classes)}; expected {', '.join(CLASSES)}")
    if fault := _fault(made):
        raise BundleError(bundle, f"its {DESCRIPTION} {fault}")
    return made


def _fault(made: Description) -> str:
    """Return what parts of a description contradict each other; "" if none do."""
    if unknown := [name for name in made.members if name not in made.models]:
        return f"has the member {unknown[0]}, which is not one of its models"
    if named := [name for name, block in {**made.streams, **made.faces}.items() if "weights" in block.options]:
        return f"has a path in the options of {named[0]}; weights are in the bundle or in the registry"
    if fault := _fault_of_priors(made):
        return fault
    block = made.ensemble
    if block is None:
        return "" if len(made.members) == 1 else "has several members, but no ensemble"
    if [each.number for each in block.members if each.number >= len(made.members)]:
        return f"selects a member that is not one of the {len(made.members)}"
    if unknown := [name for name in block.classes if name not in made.space.names]:
        return f"has the class {unknown[0]}, which is not one of {', '.join(made.space.names)}"
    if isinstance(block.combine, MeanBlock):
        count = len(block.combine.weights)
        return "" if count == len(block.members) else f"has {count} weights for {len(block.members)} selected members"
    width = len(block.members) * len(block.classes)
    rows = len(block.combine.coef)
    fits = rows == len(block.combine.intercept) and all(len(row) == width for row in block.combine.coef)
    return "" if fits else "has coefficients of another number than its members and classes need"


def _fault_of_priors(made: Description) -> str:
    """Return which model has a prior that does not fit the label space; "" if all fit."""
    low, high = limits(made.space)
    for name, block in made.models.items():
        if len(block.prior) != len(made.space):
            return f"has {len(block.prior)} numbers as the prior of {name}, but {len(made.space)} classes or dimensions"
        if not all(low <= number <= high for number in block.prior):
            return f"has a prior of {name} with a number that is not between {low:g} and {high:g}"
    return ""

"""Which backbones have an emotion head, as far as a plan knows, for which classes, and the models that need one."""

from collections.abc import Mapping
from pathlib import Path

from emopipe.backbones.head_in_file import classes_in_file, has_classifier
from emopipe.backbones.shared_classes import answered, can_answer, remark
from emopipe.core.errors import ConfigError
from emopipe.core.labels import LabelSpace
from emopipe.fusion.options import POOLS, frame_inputs, needs_head
from emopipe.workflow import first_available
from emopipe.workflow.config import BackboneBlock, Config, ModelBlock, modality


def has_head(block: BackboneBlock) -> bool:
    """Return whether a backbone's network has an emotion head: it is trained in the run, or its weights hold one."""
    if block.pretrain or block.schedule:
        return True
    return bool(block.weights) and has_classifier(block.weights)


def head_classes(block: BackboneBlock, space: LabelSpace) -> tuple[str, ...] | None:
    """Return the classes for which the head of a backbone's network answers in a label space; None without a head.

    Training on the corpus' own clips is training for the classes of the space.
    """
    if block.pretrain:
        return space.names
    if block.schedule:
        return answered(block.classes, space.names)
    found = classes_in_file(block.weights) if block.weights else None
    return None if found is None else answered(found, space.names)


def serves(block: BackboneBlock, space: LabelSpace) -> bool:
    """Return whether a backbone's network has an emotion head that can answer in a label space."""
    classes = head_classes(block, space)
    return classes is not None and can_answer(classes, space)


def remarks(backbones: Mapping[str, BackboneBlock], space: LabelSpace) -> list[str]:
    """Return a sentence for each backbone whose head does not know all classes of a label space."""
    found = {name: head_classes(block, space) for name, block in backbones.items()}
    said = [remark(f"The head of {name}", classes, space) for name, classes in found.items() if classes is not None]
    return [sentence for sentence in said if sentence]


def check_heads(models: Mapping[str, ModelBlock], backbones: Mapping[str, BackboneBlock], space: LabelSpace) -> None:
    """Refuse models that read what an emotion head gives, of backbones without one, or of heads for other classes.

    Raises:
        ConfigError: There is such a model.
    """
    for name, block in models.items():
        needing = [stream for stream in block.streams if needs_head(block, modality(backbones[stream]))]
        without = [stream for stream in needing if not has_head(backbones[stream])]
        if without:
            what = (
                f"models.{name}.fusion is {block.fusion}, which needs"
                if block.fusion in POOLS
                else f"models.{name} reads log-probabilities, confidence or entropy (inputs, statistics), which need"
            )
            raise ConfigError(
                f"{what} backbones with an emotion head, but {', '.join(without)} has none. Use a network that emopipe "
                "trained (weights, schedule or pretrain of the backbone), or change the model."
            )
        _refuse_other_classes(name, block, backbones, space)


def check_heads_of_files(config: Config) -> None:
    """Do as `check_heads`, for those models of a config whose files of weights exist.

    Raises:
        ConfigError: See `check_heads`.
        WeightsError: A file of weights cannot be read.
    """
    there = {n: block for n, block in config.backbones.items() if not block.weights or Path(block.weights).is_file()}
    models = {}
    for name, block in config.models.items():
        chosen = first_available.taken(block.streams, config.first_available, there)
        streams = [chosen.get(stream, stream) for stream in block.streams]
        if {*streams} <= {*there}:
            models[name] = block.model_copy(update={"streams": streams})
    check_heads(models, there, config.label_space)


def _refuse_other_classes(
    name: str, block: ModelBlock, backbones: Mapping[str, BackboneBlock], space: LabelSpace
) -> None:
    """Refuse a model that takes a head's answers for those of the run, if the head cannot give these."""
    for stream in block.streams:
        backbone = backbones[stream]
        takes_answers = block.fusion in POOLS or "evidence" in frame_inputs(block, modality(backbone))
        if takes_answers and not serves(backbone, space):
            what = f"fusion is {block.fusion}" if block.fusion in POOLS else "inputs have evidence"
            why = remark(f"The head of {stream}", head_classes(backbone, space) or (), space)
            raise ConfigError(
                f"models.{name}: its {what}, for which the head of {stream} would have to answer in the labels of the "
                f"run. {why} Use the backbone's vectors, or logp as an input, or change labels."
            )

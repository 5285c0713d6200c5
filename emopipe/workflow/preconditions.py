"""What a run needs and what can be known before any job: clips of several classes to train on, and the GPU it names."""

import numpy as np
import pandas as pd

from emopipe.core.errors import CorpusError, DeviceError
from emopipe.core.labels import LabelSpace
from emopipe.core.log import LOGGER
from emopipe.core.text import abbreviate
from emopipe.core.validation import Faults
from emopipe.corpora.label_columns import expected
from emopipe.fusion.protocol import absent_classes, pretraining_protocol, split_clips
from emopipe.workflow.config import Config

REMEDY = "or remove what is trained from the config (models, pretrain): the run then stops after the features"


def check_clips(config: Config, table: pd.DataFrame) -> None:
    """Refuse a corpus on which the config's networks or models cannot be trained; see the two functions below.

    Raises:
        CorpusError: The message has one line for each fault.
    """
    faults = Faults()
    for check in (check_models, check_networks):
        with faults.collected():
            check(config, table)
    faults.raise_all()


def check_models(config: Config, table: pd.DataFrame) -> None:
    """Refuse a corpus on which the config's models cannot be trained.

    The clips to train on must be of at least two classes, must be at least as many as the folds, and must be of at
    least two classes without any one of the folds, too. Whether clips have a face or sound is not known yet.

    Args:
        config: The checked config.
        table: The clip table.

    Raises:
        CorpusError: The clips have no label, or are too few or of one class.
    """
    if not config.models:
        return
    if (table["label"] == "").all():
        raise CorpusError(
            f"None of the {len(table)} clips has a label, so no model can be trained. Label them, by folders of "
            f"classes or by the column `label` of a table{expected(config.label_space)}, or run only `extract`, which "
            "computes their features; `emopipe predict` predicts them by a finished run or by the shipped networks."
        )
    by_person = [name for name, block in config.models.items() if block.normalise == "subject"]
    if by_person and (table["subject"] == "").all():
        raise CorpusError(
            f"models.{by_person[0]}.normalise is subject, but no clip of the corpus has a known person. Give the "
            "people (subject_pattern, or the column `subject` of a table), or remove the key."
        )
    space = config.label_space
    split = split_clips(table, config.protocol, space)
    _check_folds(table.iloc[split.train_idx], split.fold, config.protocol.folds, "protocol.folds", space)


def report_absent_classes(config: Config, table: pd.DataFrame) -> None:
    """Log the classes without a training clip, and how many clips show them."""
    if config.models and (about := absent_classes(table, config.protocol, config.label_space)):
        LOGGER.warning(about)


def check_networks(config: Config, table: pd.DataFrame) -> None:
    """Refuse a corpus on whose training split the config's backbones cannot be trained, by the same rules.

    Raises:
        CorpusError: The clips are too few or of one class. The message has one line for each backbone.
    """
    faults = Faults()
    for name, block in config.backbones.items():
        if block.pretrain:
            with faults.collected():
                _check_pretraining(table, config, block.pretrain.folds, name)
    faults.raise_all()


def _check_pretraining(table: pd.DataFrame, config: Config, count: int, name: str) -> None:
    train = table[table["split"] == "train"]
    if len(train) < 2:
        raise CorpusError(
            f"The training split has {len(train)} clips, but backbones.{name}.pretrain needs clips of at least two "
            f"classes to train on. Put clips there, {REMEDY}."
        )
    space = config.label_space
    split = split_clips(table, pretraining_protocol(table, config.protocol, count), space)
    fold_of = dict(zip(table["clip"].iloc[split.train_idx], split.fold, strict=True))
    _check_folds(train, train["clip"].map(fold_of).to_numpy(), count, f"backbones.{name}.pretrain.folds", space)


def _check_folds(clips: pd.DataFrame, fold: np.ndarray, count: int, key: str, space: LabelSpace) -> None:
    """Refuse clips of one class, fewer clips than folds, and folds without which one class remains.

    Where clips have several classes or numbers, two different labels stand for two classes.

    Args:
        clips: The clips to train on, N rows of the clip table.
        fold: (N,) the fold of each clip.
        count: How many folds the config asks for.
        key: Its key in the config.
        space: The label space.
    """
    word, plural = ("class", "es") if space.has_one_class else ("label", "s")
    labels = clips["label"].to_numpy()
    classes = sorted(set(labels))
    if len(classes) < 2:
        raise CorpusError(
            f"All {len(clips)} clips to train on are of the {word} {classes[0]}, so every prediction would be "
            f"{classes[0]}. Expected clips of at least two {_of_which(space)}. Add clips of other {word}{plural} to "
            f"the training split, {REMEDY}."
        )
    if len(clips) < count:
        raise CorpusError(
            f"There are {len(clips)} clips to train on, but {key} is {count}, and each fold needs a clip. Add clips to "
            f"the training split, or set {key} to at most {len(clips)}."
        )
    for number in sorted(set(fold)):
        rest = sorted(set(labels[fold != number]))
        if len(rest) < 2:
            held_out = clips["clip"].to_numpy()[fold == number].tolist()
            raise CorpusError(
                f"Without the fold of {abbreviate(held_out)}, all other clips to train on are of the {word} {rest[0]}; "
                f"{key} is {count}. Expected at least two {word}{plural} without any one fold: two clips in each of "
                f"two {word}{plural}, not all of one person. Add clips to the training split."
            )


def _of_which(space: LabelSpace) -> str:
    """Return what there must be two of, for messages."""
    names = ", ".join(space.names)
    if space.kind == "dimensions":
        return f"different values of {names}"
    return f"of the classes {names}" if space.has_one_class else f"different labels with some of {names}"


def check_device(device: str, *, gpu_here: bool) -> None:
    """Refuse `device: cuda` on a machine where no network could run on a GPU.

    Args:
        device: The config's `device`.
        gpu_here: Whether this machine seems to have a GPU (`resources.has_gpu`). If so, torch is asked as well, which
            takes seconds to import.

    Raises:
        DeviceError: There is no GPU that torch can use.
    """
    if device == "cuda" and not (gpu_here and _torch_finds_a_gpu()):
        found = "torch cannot use its GPU" if gpu_here else "no GPU was found"
        raise DeviceError(
            f"device is cuda, but {found} on this machine. Expected a GPU with its driver and a CUDA build of torch. "
            "Set device to auto or cpu, or install what is missing."
        )


def _torch_finds_a_gpu() -> bool:
    import torch  # slow to import, and not needed to plan otherwise

    return torch.cuda.is_available()

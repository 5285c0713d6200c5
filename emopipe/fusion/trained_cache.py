"""Networks that are trained already, kept until their model is whole: what was cut off trains the others alone."""

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from emopipe.cache.metadata import UNREADABLE
from emopipe.cache.tensors import read_whole, save_state
from emopipe.core.fingerprint import digest
from emopipe.core.log import LOGGER
from emopipe.fusion.run import Member, Trained


@dataclass(frozen=True)
class Finished:
    """A folder of networks that were trained together, for one recipe."""

    folder: Path | None = None
    """None keeps nothing."""
    recipe: str = ""
    """Digest of all that the networks depend on, beside their own options and clips."""

    def of(self, members: Sequence[Member], train: Callable[[], list[Trained]]) -> list[Trained]:
        """The networks, trained together before or now."""
        if self.folder is None:
            return train()
        path = self.folder / f"{digest([self.recipe, *map(_key, members)])[:32]}.safetensors"
        if (kept := _read(path, members)) is not None:
            LOGGER.info(f"{len(kept)} networks were trained before the model was cut off")
            return kept
        trained = train()
        tensors = {f"{n}.{key}": tensor for n, each in enumerate(trained) for key, tensor in each.state.items()}
        save_state(tensors, path, {"epochs": json.dumps([each.epochs for each in trained])})
        return trained


KEEP_NOTHING = Finished()


def _key(member: Member) -> list[object]:
    return [member.options.model_dump(), member.seed, member.learn.tolist(), member.stop.tolist(), member.steps]


def _read(path: Path, members: Sequence[Member]) -> list[Trained] | None:
    """What was kept; None where there is nothing, or nothing whole."""
    if not path.is_file():
        return None
    try:
        tensors, metadata = read_whole(path, sealed=True)
    except UNREADABLE as error:
        LOGGER.warning(f"{path} holds no finished networks ({error}), so they are trained anew.")
        return None
    states = [{} for _ in members]
    for name, tensor in tensors.items():
        number, _, key = name.partition(".")
        states[int(number)][key] = tensor
    return [Trained(*parts) for parts in zip(members, states, json.loads(metadata["epochs"]), strict=True)]

"""A cache of trained networks: if training is interrupted, the next job trains only the networks that are missing."""

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from emopipe.cache.metadata import UNREADABLE
from emopipe.cache.tensors import read_whole, save_state
from emopipe.core.fingerprint import digest
from emopipe.core.log import LOGGER
from emopipe.fusion.stack import Run, TrainedRun


@dataclass(frozen=True)
class TrainedCache:
    """A folder with one file for each stack of networks, for one recipe."""

    folder: Path | None = None
    """None: nothing is cached."""
    recipe: str = ""
    """Digest of everything that the networks depend on, except their own options and clips."""

    def load_or_train(self, runs: Sequence[Run], train: Callable[[], list[TrainedRun]]) -> list[TrainedRun]:
        """Return the networks `runs` of one stack from the cache, or train and cache them."""
        if self.folder is None:
            return train()
        keys = [[run.options.model_dump(), run.seed, run.clips_digest, run.steps, run.network] for run in runs]
        path = self.folder / f"{digest([self.recipe, *keys])[:32]}.safetensors"
        if (cached := _read(path, runs)) is not None:
            LOGGER.info(f"{len(cached)} networks were trained before, by a job that was interrupted. They are reused.")
            return cached
        trained = train()
        tensors = {f"{n}.{key}": tensor for n, each in enumerate(trained) for key, tensor in each.state.items()}
        save_state(tensors, path, {"epochs": json.dumps([each.epochs for each in trained])})
        return trained


NO_CACHE = TrainedCache()


def _read(path: Path, runs: Sequence[Run]) -> list[TrainedRun] | None:
    """Return the networks of a file; None if the file does not exist or is damaged.

    Raises:
        OSError: The system cannot read the file at the moment. It may be intact, so it is not replaced.
    """
    if not path.is_file():
        return None
    try:
        tensors, metadata = read_whole(path, sealed=True)
    except OSError:
        raise
    except UNREADABLE as error:
        LOGGER.warning(f"{path} should hold trained networks, but cannot be read ({error}). They are trained again.")
        return None
    states = [{} for _ in runs]
    for name, tensor in tensors.items():
        number, _, key = name.partition(".")
        states[int(number)][key] = tensor
    return [TrainedRun(*parts) for parts in zip(runs, states, json.loads(metadata["epochs"]), strict=True)]

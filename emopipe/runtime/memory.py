"""What happens when the memory of a device is too small.

Prediction continues with smaller batches. Training ends with a message that names the options to lower, because another
batch size would change its result.
"""

import contextlib
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import torch

from emopipe.core.errors import DeviceError
from emopipe.core.log import LOGGER
from emopipe.core.memory import is_out_of_memory
from emopipe.runtime.device import name_of


class AdaptiveBatches:
    """Divides batches into parts that fit into the memory of a device. It starts with whole batches.

    Several threads may use it.
    """

    def __init__(self, device: str, largest: int = sys.maxsize) -> None:
        """`device` is the name for messages; no part has more than `largest` samples."""
        self._device, self._largest = device, largest
        self._halving = threading.Lock()

    def map(self, run: Callable[[Any], Any], batch: Sequence[Any] | Any) -> list[Any]:
        """Return the results of the parts of a batch.

        If the memory is too small, the size of the parts is halved from here on, and a warning reports this.

        Args:
            run: Computes the result of a part.
            batch: Anything with a length and slices, such as an array (N, ...). An empty batch is one part.

        Raises:
            Exception: As `run`, also if the memory is too small for a single sample.
        """
        while True:
            largest = self._largest  # other threads may halve it meanwhile
            size = min(len(batch), largest)
            try:
                return [run(batch[start : start + largest]) for start in range(0, max(1, len(batch)), largest)]
            except Exception as error:
                if size < 2 or not is_out_of_memory(error):
                    raise
            torch.cuda.empty_cache()  # outside of the handler, whose traceback keeps tensors alive
            self._halve(size)

    def _halve(self, size: int) -> None:
        """Take at most half of a size from here on; only the first of several threads reports it."""
        with self._halving:
            if self._largest <= size // 2:
                return
            self._largest = size // 2
        LOGGER.warning(
            f"The memory of {self._device} is too small for a batch of {size}. The batch size is now {size // 2}."
        )


@contextlib.contextmanager
def training_fits(device: torch.device, remedy: str) -> Iterator[None]:
    """Report memory that is too small for training.

    Args:
        device: Where the training runs.
        remedy: A sentence that names the options to lower.

    Raises:
        DeviceError: The memory is too small.
    """
    try:
        yield
    except Exception as error:
        if not is_out_of_memory(error):
            raise
        others = " If other programs use the same GPU, wait until they end." if device.type == "cuda" else ""
        raise DeviceError(
            f"The memory of {name_of(device)} is too small for this training. {remedy}{others} ({error})"
        ) from error

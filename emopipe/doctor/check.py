"""One check of `emopipe doctor`: what was found, and what to do if it is not in order."""

from dataclasses import dataclass
from typing import Literal

State = Literal["ok", "warning", "problem"]


@dataclass(frozen=True)
class Check:
    """The result of one check."""

    group: str
    """What it belongs to, such as `packages`."""
    name: str
    """What was checked."""
    state: State
    """`problem` if it stops a run, `warning` if a run goes on without something."""
    found: str
    """What was found, as a sentence."""
    todo: str = ""
    """What to do about it, as a sentence; empty if all is well."""

    def __post_init__(self) -> None:
        """Refuse a fault without a remedy, and a remedy without a fault."""
        if (self.state == "ok") == bool(self.todo):
            raise ValueError(f"The check {self.name} is {self.state}, but what to do about it is {self.todo!r}.")

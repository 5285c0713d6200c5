"""The box of the main face at any time of a file, from those of the frames that were searched."""

import bisect

import numpy as np

from emopipe.faces.between import SAME_PLACE
from emopipe.faces.tracking import overlaps


class Boxes:
    """Boxes of searched frames, as shares of the frame's width and height."""

    def __init__(self) -> None:
        """Begin a file."""
        self._times: list[float] = []
        self._found: dict[float, tuple[float, np.ndarray | None]] = {}

    def add(self, time: float, box: np.ndarray, distance: float) -> None:
        """Take a frame; of several windows with the same frame, that counts whose middle is nearest.

        Args:
            time: Seconds since the start of the file.
            box: (4,) x1, y1, x2, y2; NaN if the main face was not found.
            distance: Seconds from the frame to the middle of its window.
        """
        if time not in self._found:
            bisect.insort(self._times, time)
        elif self._found[time][0] <= distance:
            return
        self._found[time] = distance, box.astype(np.float32) if np.isfinite(box).all() else None

    @property
    def found(self) -> list[np.ndarray]:
        """The boxes (4,) of the frames with a face."""
        return [box for _, box in self._found.values() if box is not None]

    def at(self, time: float) -> np.ndarray | None:
        """Return the box (4,) at a time; None where no face was found.

        Between two searched frames whose faces overlap enough, it is interpolated; otherwise, it is that of the nearer
        one. Before the first and after the last searched frame, it is theirs for half the time to the next one.
        """
        place = bisect.bisect_right(self._times, time)
        before, after = self._times[max(0, place - 1) : place], self._times[place : place + 1]
        if before and after:
            return self._between(before[0], after[0], time)
        if not self._times:
            return None
        (edge,) = before or after
        spacing = float(np.median(np.diff(self._times))) if len(self._times) > 1 else np.inf
        return self._found[edge][1] if abs(time - edge) <= spacing / 2 + 1e-6 else None

    def _between(self, first: float, last: float, time: float) -> np.ndarray | None:
        one, other = self._found[first][1], self._found[last][1]
        share = (time - first) / (last - first)
        if one is not None and other is not None and overlaps(one[None], other)[0] >= SAME_PLACE:
            return (1 - share) * one + share * other
        return one if share <= 0.5 else other

"""Lengths of a few clips of a corpus, and whether they have sound: a first look that opens no more."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from emopipe.cache import status
from emopipe.core.errors import MediaError
from emopipe.media.decoded import AUDIO_RATE, DecodeOptions, Media
from emopipe.media.sandbox import ClipReader

LOOK = DecodeOptions(policy="count", count=2, max_side=64, clip_seconds=20)
"""Two frames, at a quarter and at three quarters of a clip: half its length lies between them."""


@dataclass(frozen=True)
class Look:
    """What a few clips look like."""

    seconds: list[float]
    """The length of each clip that decodes."""
    failed: int
    """Number of clips that do not decode."""
    with_sound: int
    """Number of clips that have sound."""


def look_at(paths: Sequence[Path], count: int = 5) -> Look:
    """Decode `count` of the clips, evenly chosen, in another process, so that hostile files harm nothing.

    Args:
        paths: The files of a corpus.
        count: The most clips to open.
    """
    chosen = [paths[number * len(paths) // count] for number in range(count)] if len(paths) > count else paths
    found: list[Media] = []
    with ClipReader(LOOK) as read:
        for path in chosen:
            try:
                found.append(read(path))
            except MediaError as error:
                found.append(Media(status.UNREADABLE, error.why))
    whole = [media for media in found if media.status not in (status.UNDECODABLE, status.UNREADABLE)]
    return Look([_seconds(media) for media in whole], len(found) - len(whole), sum(len(m.audio) > 0 for m in whole))


def _seconds(media: Media) -> float:
    """Return the length of a clip in seconds, by its sound or its frames, whichever is longer."""
    sound = media.audio_start + len(media.audio) / AUDIO_RATE
    return max(sound, 2 * float(media.times[-1] - media.times[0]) if len(media.times) else 0.0)

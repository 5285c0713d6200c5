"""Lengths of a few clips of a corpus, and whether they have sound: a first look that opens no more."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from emopipe.cache import status
from emopipe.core.errors import MediaError
from emopipe.media.decoded import AUDIO_RATE, DecodeOptions, Media, Span
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


def look_at(clips: Sequence[Path | tuple[Path, Span]], count: int = 5) -> Look:
    """Decode `count` of the clips, evenly chosen, in another process, so that hostile files harm nothing.

    Args:
        clips: The clips of a corpus: files, or parts of them. Of each file, the part that begins first is looked at.
        count: The most clips to open.
    """
    clips = _first_parts(clips)
    chosen = [clips[number * len(clips) // count] for number in range(count)] if len(clips) > count else clips
    found: list[Media] = []
    with ClipReader(LOOK) as read:
        for clip in chosen:
            try:
                found.append(read(*clip) if isinstance(clip, tuple) else read(clip))
            except MediaError as error:
                found.append(Media(status.UNREADABLE, error.why))
    whole = [media for media in found if media.status not in (status.UNDECODABLE, status.UNREADABLE)]
    return Look([_seconds(media) for media in whole], len(found) - len(whole), sum(len(m.audio) > 0 for m in whole))


def _first_parts(clips: Sequence[Path | tuple[Path, Span]]) -> list[Path | tuple[Path, Span]]:
    """Return the files, and of each file that has parts the one that begins first: it is decoded soonest."""
    first: dict[Path, Span] = {}
    for path, span in (clip for clip in clips if isinstance(clip, tuple)):
        first[path] = min(first.get(path, span), span, key=lambda one: one.start)
    return [clip for clip in clips if not isinstance(clip, tuple)] + [*first.items()]


def _seconds(media: Media) -> float:
    """Return the length of a clip in seconds, by its sound or its frames, whichever is longer."""
    sound = media.audio_start + len(media.audio) / AUDIO_RATE
    return max(sound, 2 * float(media.times[-1] - media.times[0]) if len(media.times) else 0.0)

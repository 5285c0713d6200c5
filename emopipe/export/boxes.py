"""Boxes as shares of numbered frames, for tools that address the frames of a file by their numbers."""

from collections.abc import Iterator

from emopipe.export.clip import Clip, Faces, Track

Box = tuple[float, float, float, float]
"""x1, y1, x2, y2, as shares of the width and height."""


def are_known(clip: Clip, faces: Faces) -> bool:
    """Return whether the size of the frames is known, and their rate and number."""
    return faces.frame_size is not None and clip.video is not None and clip.video.frames > 0


def lacking(clip: Clip) -> bool:
    """Return whether a clip has faces whose boxes cannot be given."""
    return any(faces.tracks and not are_known(clip, faces) for faces in clip.faces)


def remarks(count: int) -> list[str]:
    """Return what the user should know if `count` clips lack boxes."""
    why = "because the frame rate or the frame size is not known. Check that their files are there."
    return [f"{count} clips have faces but no boxes here, {why}"] if count else []


def numbered(clip: Clip, faces: Faces, track: Track) -> Iterator[tuple[int, float, Box]]:
    """Yield the number of the frame in the file, its time in the file in seconds, and the box, for a face over time.

    Nothing is yielded if boxes are not known.
    """
    if not are_known(clip, faces):
        return
    times = (track.time + (clip.start or 0.0)).tolist()
    for time, (x1, y1, x2, y2) in zip(times, faces.shares(track.box).round(6).tolist(), strict=True):
        yield clip.video.frame(time), time, (x1, y1, x2, y2)

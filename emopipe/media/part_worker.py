"""The process that reads long files in parts, for `emopipe.media.sandbox.PartReader`.

`python -m emopipe.media.part_worker OPTIONS SECONDS` is `emopipe.media.worker`, but answers with parts of that length.
"""

import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

from emopipe.media.decoded import DecodeOptions, Media, Span
from emopipe.media.frame_clips import read_folder_in_parts
from emopipe.media.frame_folders import FrameFolder
from emopipe.media.parts import read_parts
from emopipe.media.worker import serve


def _parts(path: Path, options: DecodeOptions, _spans: Sequence[Span], how: FrameFolder) -> Iterator[Media]:
    seconds = float(sys.argv[2])
    if path.is_dir():
        return read_folder_in_parts(path, options, seconds, how)
    return read_parts(path, options, seconds)


if __name__ == "__main__":
    serve(_parts)

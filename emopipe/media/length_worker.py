"""The process that measures how long files are, for `emopipe.media.sandbox.LengthReader`.

`python -m emopipe.media.length_worker OPTIONS` is `emopipe.media.worker`, but its answers have one time and no content.
"""

from collections.abc import Iterator
from pathlib import Path

import numpy as np

from emopipe.cache import status
from emopipe.media import files
from emopipe.media.decoded import Media
from emopipe.media.ends import end_of
from emopipe.media.worker import serve


def longest(path: Path) -> Iterator[Media]:
    """Yield the time at which a file ends at the latest, by its header or by its packets; nothing is decoded.

    A header may state too little or too much, and packets may lack times. Where the packets do not say, there is no
    time in the answer.
    """
    with files.opened(path) as file:
        end = end_of(file)
    yield Media(status.OK, "", [b""], np.array([end])) if end > 0 else Media(status.UNDECODABLE)


if __name__ == "__main__":
    serve(lambda path, _options, _spans, _how: longest(path))

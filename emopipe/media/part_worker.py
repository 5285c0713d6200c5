"""The process that reads long files in parts, for `emopipe.media.sandbox.PartReader`.

`python -m emopipe.media.part_worker OPTIONS SECONDS` is `emopipe.media.worker`, but answers with parts of that length.
"""

import sys

from emopipe.media.parts import read_parts
from emopipe.media.worker import serve

if __name__ == "__main__":
    serve(lambda path, options, _spans: read_parts(path, options, float(sys.argv[2])))

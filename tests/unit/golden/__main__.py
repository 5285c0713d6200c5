"""Writes the golden values again: `python -m tests.unit.golden`, after a change of the numbers that is intended.

Those of real clips are written if EMOPIPE_SHARED is set.
"""

import os
import sys
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np

from tests.unit.golden import stages
from tests.unit.golden.values import FILE, REAL_CLIPS, REAL_FILE, without_people


def main() -> None:
    """Write values.npz, and real_values.npz if there are real clips."""
    with TemporaryDirectory() as folder:
        of_clip = stages.of_clip(stages.CLIP, Path(folder))
    np.savez_compressed(FILE, **of_clip, **stages.of_drawn_faces(), **stages.of_synthesized_sound())
    if shared := os.environ.get("EMOPIPE_SHARED"):
        found = {}
        for clip in REAL_CLIPS:
            with TemporaryDirectory() as folder:
                of_clip = stages.of_clip(Path(shared, "data", clip), Path(folder))
            found |= {f"{Path(clip).stem}/{name}": array for name, array in without_people(of_clip).items()}
        np.savez_compressed(REAL_FILE, **found)


if __name__ == "__main__":
    sys.exit(main())

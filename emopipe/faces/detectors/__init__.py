'''The kinds of face detectors. A module is imported only when its kind is used.

A detector is a module. The project's own are rows of `KINDS`. A module of another package becomes a kind by an entry
point of the group `emopipe.detectors` (see `emopipe.core.registry`). `emopipe kinds` lists them all.

A module has:

- `DetectorOptions`: a class derived from `emopipe.core.options.Options`; it checks the block `options` of the config.
  The option that holds a file of weights is called `weights`.
- `net_files(options)`: returns the files (paths) of the detector's networks, or [] if it has none. Their content is
  part of what made the faces.
- `build(options, *, threads, device)`: returns a detector, an `emopipe.faces.detection.Detector`: an object with the
  attribute `device` that maps a frame, (H, W, 3) uint8 BGR, to `emopipe.faces.detection.Detections`, best first.
  `Letterbox.to_frame` sorts detections and drops those that are not a face. Each thread builds a detector of its own.

A complete module, `mypackage/centre.py`, which treats the middle of each frame as a face:

    import numpy as np

    from emopipe.core.options import Number, Options
    from emopipe.faces.alignment import TEMPLATE, TEMPLATE_SIDE
    from emopipe.faces.detection import Letterbox

    class DetectorOptions(Options):
        share: Number = 0.5
        """Side of the square, as a share of the frame's shorter side."""

    def net_files(options):
        return []

    def build(options, *, threads=1, device="cpu"):
        return Centre(options.share)

    class Centre:
        device = "cpu"

        def __init__(self, share):
            self.share = share

        def __call__(self, frame):
            height, width = frame.shape[:2]
            side = self.share * min(height, width)
            corner = np.array([width - side, height - side]) / 2
            box = np.concatenate([corner, corner + side])[None]  # (1, 4)
            landmarks = (corner + TEMPLATE * side / TEMPLATE_SIDE)[None]  # (1, 5, 2)
            return Letterbox(1.0, 1.0, 0, 0).to_frame(box, landmarks, np.array([1.0]))
'''

from pathlib import Path

from emopipe.core.options import Options
from emopipe.core.registry import Registry, Row
from emopipe.faces.detection import Detector

KINDS: dict[str, Row] = {
    "mtcnn": Row("emopipe.faces.detectors.mtcnn"),
    "centerface": Row("emopipe.faces.detectors.centerface"),
    "scrfd": Row("emopipe.faces.detectors.scrfd"),
    "yunet": Row("emopipe.faces.detectors.yunet"),
}
"""The project's own kinds."""

REGISTRY = Registry(
    KINDS,
    group="emopipe.detectors",
    noun="face detector",
    options="DetectorOptions",
    functions=("net_files", "build"),
)
"""All kinds."""


def list_kinds() -> list[str]:
    """Return the names of all kinds, plug-ins included."""
    return REGISTRY.names()


def module_name(kind: str) -> str:
    """Return the module of a kind, whose code makes its detections.

    Raises:
        ConfigError: There is no such kind.
    """
    return REGISTRY.module_name(kind)


def options_class(kind: str) -> type[Options]:
    """Return the class of the options that detectors of this kind take.

    Raises:
        ConfigError: There is no such kind, or the module of a plug-in is invalid.
    """
    return REGISTRY.load(kind).DetectorOptions


def net_files(kind: str, options: Options) -> list[Path]:
    """Return the files that hold the detector's networks: weights that the config names, or parts of a package.

    Raises:
        ConfigError: As `options_class`.
        WeightsError: A file is missing.
    """
    return REGISTRY.load(kind).net_files(options)


def build(kind: str, options: Options, *, threads: int = 1, device: str = "cpu") -> Detector:
    """Build a detector of this kind. Each thread that detects needs a detector of its own.

    Raises:
        ConfigError: As `options_class`.
        WeightsError: Its weights are missing or invalid.
        DeviceError: The device does not exist.
    """
    return REGISTRY.load(kind).build(options, threads=threads, device=device)

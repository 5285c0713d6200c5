"""emopipe: from labelled video clips to fused audio-video emotion predictions, in cached and reproducible stages.

The public names for Python; the workflow itself is run by Snakemake:

- `emopipe.predict(inputs, model="shipped")`: the emotions in videos, images and sound files.
- `emopipe.Predictor(model)`: the same, with the networks kept in memory between calls.
- `emopipe.load_features(path)`, `emopipe.load_faces(path)`: what the cache holds of clips.
- `emopipe.load_run("results/demo")`: what a run has found.
"""

import importlib
import os
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from emopipe.inference.cached import load_faces, load_features
    from emopipe.inference.predictor import Predictor, predict
    from emopipe.inference.run_results import load_run

__version__ = "0.2.0"
__all__ = ["Predictor", "load_faces", "load_features", "load_run", "predict"]

_MODULES = {
    "Predictor": "emopipe.inference.predictor",
    "load_faces": "emopipe.inference.cached",
    "load_features": "emopipe.inference.cached",
    "load_run": "emopipe.inference.run_results",
    "predict": "emopipe.inference.predictor",
}
"""Public name -> its module, which is imported when the name is used first: torch takes seconds to import."""

# onnxruntime reads this when it is imported: it would keep records of its use in the home folder and send them away.
os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")


def __getattr__(name: str) -> Any:
    """Import a public name when it is used first."""
    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(_MODULES[name]), name)


def __dir__() -> list[str]:
    """Return the public names, for completion."""
    return sorted([*globals(), *_MODULES])

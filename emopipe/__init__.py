"""emopipe: from labelled video clips to fused audio-video emotion predictions, in cached and reproducible stages."""

import os

__version__ = "0.2.0"

# onnxruntime reads this when it is imported: it would keep records of its use in the home folder and send them away.
os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")

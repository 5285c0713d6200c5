"""emopipe: from labelled video clips to fused audio-video emotion predictions, in cached and reproducible stages."""

__version__ = "0.1.0"

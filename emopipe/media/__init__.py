"""Frames and sound from files that may be broken or hostile; a separate process decodes each clip."""

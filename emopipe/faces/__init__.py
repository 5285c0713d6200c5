"""Faces of a clip: found per frame, linked into tracks, the main one aligned onto one canonical crop."""

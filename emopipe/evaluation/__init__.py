"""Evaluation of an emotion classifier on labelled stills, speech or clips."""

"""The seven classes, in the order of every vector of class probabilities, and the smallest probability."""

CLASSES: tuple[str, ...] = ("Angry", "Disgust", "Fear", "Happy", "Neutral", "Sad", "Surprise")
"""Class names as AFEW spells them."""

PROBABILITY_FLOOR = 1e-9
"""Probabilities are raised to this value before their logarithm is taken."""

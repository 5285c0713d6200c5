"""The seven classes, in the order of every vector of class probabilities."""

CLASSES: tuple[str, ...] = ("Angry", "Disgust", "Fear", "Happy", "Neutral", "Sad", "Surprise")
"""Class names as AFEW spells them."""

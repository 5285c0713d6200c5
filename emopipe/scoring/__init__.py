"""Predictions, their scores, how sure these are, and how predictions are combined."""

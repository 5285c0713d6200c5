"""The pipeline's stages: one module each, whose `run` makes the stage's files out of a recipe and input files."""

"""The pipeline's stages: one module each, whose `run` makes the stage's files from a recipe and input files."""

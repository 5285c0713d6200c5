"""The demo corpus: drawn faces and synthetic speech. It only shows that the pipeline runs."""

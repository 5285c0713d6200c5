"""The embedded demo corpus: drawn faces and synthetic speech, which show only that the pipeline runs."""

"""Training of a backbone on the corpus' own training clips, before it extracts features."""

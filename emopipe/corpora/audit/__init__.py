"""The audit of a corpus: arrays and tables in, findings out; what would make a score better than it should be."""

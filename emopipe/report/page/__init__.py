"""The page of a run, report.html: one file that a browser shows without a network."""

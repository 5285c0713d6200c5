"""Faults that long runs meet, injected into real runs: what is lost, and what is computed twice.

`python -m tests.faults` runs all of them and prints a table, `--short` a few; the test in this folder runs the few.
"""

"""The results of a run: tables, comparisons, figures, ledger, submission and summary."""

"""What a run says in the end: ledger, figures, submission, summary."""

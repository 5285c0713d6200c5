"""What every room stands on: errors, options, labels, hashes, tables, logging; it imports no other room."""

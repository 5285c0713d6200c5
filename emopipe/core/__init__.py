"""Errors, options, labels, hashes, tables and logging. All other folders of emopipe use them."""

"""One clip of a finished run: what is known of it, and pictures of that."""

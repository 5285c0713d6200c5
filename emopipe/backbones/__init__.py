"""One file per network. `registry` finds a network by its name and imports only its file."""

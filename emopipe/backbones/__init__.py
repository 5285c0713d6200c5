"""One file per network; `registry` finds them by name, and nothing imports them all."""

"""The networks as modules of torch, one file per network. The module of a kind imports its own when it builds it."""

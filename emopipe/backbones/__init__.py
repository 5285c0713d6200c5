"""One file per network, with its options and its specification; `nets` has the networks themselves, which need torch.

`registry` finds a network by its name and imports only its file.
"""

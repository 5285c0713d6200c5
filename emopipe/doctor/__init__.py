"""Checks of a machine before a run: packages, codecs, devices, weights, space and memory, the cluster."""

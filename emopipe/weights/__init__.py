"""Weights by name: the registry of known files, their sources, licences and checksums, and their download."""

"""Weights by name: which there are, where they come from, under which licence, and how to get them."""

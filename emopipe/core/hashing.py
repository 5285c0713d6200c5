"""Hashes of names that are the same in every run, so that a clip's shard does not depend on the other clips."""

import hashlib


def stable_hash(text: str) -> int:
    """Return 64 bits that depend on the text alone. (Python's own `hash` differs between runs.)"""
    return int.from_bytes(hashlib.sha256(text.encode("utf-8", "surrogatepass")).digest()[:8], "big")


def bucket(clip: str, shards: int) -> int:
    """Return the shard of a clip, 0 to shards - 1, by its id alone: a new clip changes one shard only."""
    return stable_hash(clip) % shards

"""Hashes of names that stay the same from run to run: what goes where does not depend on what else there is."""

import hashlib


def stable_hash(text: str) -> int:
    """64 bits that depend on the text alone; Python's own hash differs from run to run."""
    return int.from_bytes(hashlib.sha256(text.encode("utf-8", "surrogatepass")).digest()[:8], "big")


def bucket(clip: str, shards: int) -> int:
    """The shard (0 to shards - 1) of a clip, by its id alone, so that a new clip touches one shard only."""
    return stable_hash(clip) % shards

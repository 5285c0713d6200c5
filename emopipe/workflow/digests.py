"""Digests of what is not made by the workflow: files of weights, and corpora that networks are trained on."""

import functools
from collections.abc import Mapping
from pathlib import Path

from emopipe.core.atomic import sha256
from emopipe.training.sources import content
from emopipe.weights.checksums import verify_sha256


class Digests:
    """The digests of one plan, each computed once."""

    def __init__(self, known: Mapping[str, str] | None = None) -> None:
        """Take digests that are known already: path -> digest. These files and folders are not looked at."""
        self.found: dict[str, str] = dict(known or {})
        """All digests so far: path -> digest."""

    def file(self, path: Path) -> str:
        """Return the SHA-256 of a file of weights, which is compared with the registry.

        Raises:
            WeightsError: It is at the path of weights of the registry, but is another file.
        """
        if str(path) not in self.found:
            stat = path.stat()
            self.found[str(path)] = _sha256_of(path, stat.st_size, stat.st_mtime_ns)
        verify_sha256(path, self.found[str(path)])
        return self.found[str(path)]

    def corpus(self, path: Path) -> str:
        """Return the digest of a corpus of stills or speech (see `emopipe.training.sources.content`).

        Raises:
            CorpusError: The path does not exist, or a folder cannot be read.
        """
        if str(path) not in self.found:
            self.found[str(path)] = content(path)
        return self.found[str(path)]


@functools.cache
def _sha256_of(path: Path, _size: int, _mtime_ns: int) -> str:
    """Return the checksum of a file. A process reads it once, because weights may be large."""
    return sha256(path)

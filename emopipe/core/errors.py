"""The errors that a user can mend, each one clear sentence: what was found, what was expected, what to do."""

from pathlib import Path

from emopipe.core.text import escape_text


class EmopipeError(Exception):
    """Something a user can mend; its text is the whole message that the user needs."""


class ConfigError(EmopipeError):
    """A key of the config is unknown, ill-typed or at odds with another."""


class CorpusError(EmopipeError):
    """The corpus folder or table is not as its adapter expects."""


class MediaError(EmopipeError):
    """The system refuses to read a clip's file; this says nothing about the file's content, and may pass."""

    def __init__(self, path: Path, why: str) -> None:
        super().__init__(f"The clip {escape_text(str(path))} cannot be read ({why}). Make it readable, then run again.")
        self.why = why


class WeightsError(EmopipeError):
    """Weights are missing, of another network, or not the file that their digest names."""


class DeviceError(EmopipeError):
    """The device that the config asks for is not there."""


class CacheError(EmopipeError):
    """A cached file is corrupt or was made by something else than the config says."""


class DamagedCacheError(CacheError):
    """A cached file does not hold what was written into it."""

    def __init__(self, path: Path, fault: str) -> None:
        super().__init__(f"{path} is damaged: {fault}. Run again, and it is made anew.")
        self.path = path


class RunningError(EmopipeError):
    """A run is under way where another was about to begin."""


class CoverageError(EmopipeError):
    """Too few clips have what the run needs of them."""

"""Errors that a user can fix. Each message says what was found, what was expected and what to do."""

from pathlib import Path

from emopipe.core.text import escape_text


class EmopipeError(Exception):
    """An error that a user can fix; its text is the whole message."""


class ConfigError(EmopipeError):
    """A key of the config is unknown, has a value of the wrong type, or contradicts another key."""


class CorpusError(EmopipeError):
    """The corpus folder or its table does not have the form that its adapter expects."""


class MediaError(EmopipeError):
    """The system refuses to read a clip's file. The cause is not the file's content, and may be temporary."""

    def __init__(self, path: Path, why: str) -> None:
        super().__init__(f"The clip {escape_text(str(path))} cannot be read ({why}). Make it readable, then run again.")
        self.why = why


class WeightsError(EmopipeError):
    """Weights are missing, belong to another network, or have another checksum than expected."""


class DeviceError(EmopipeError):
    """The device that the config names is not available."""


class CacheError(EmopipeError):
    """A cache file cannot be used: it is damaged, or another config made it."""


class MissingCacheError(CacheError):
    """A cache file does not exist."""

    def __init__(self, path: Path) -> None:
        super().__init__(f"{path} does not exist. Run again to make it.")


class DamagedCacheError(CacheError):
    """A cache file does not contain what was written to it."""

    def __init__(self, path: Path, fault: str) -> None:
        super().__init__(f"{path} is damaged: {fault}. Run the workflow again to rebuild it.")
        self.path = path


class BundleError(EmopipeError):
    """A bundle cannot be used: it is damaged or changed, or another program or version made it."""

    def __init__(self, path: Path, fault: str) -> None:
        super().__init__(
            f"The bundle {escape_text(str(path))} cannot be used: {fault}. Get the bundle again, or write it again by "
            "`emopipe export RUN --to bundle --out PATH`."
        )


class LittleMemoryError(EmopipeError):
    """The memory of the machine or the device was too small. This may pass, and says nothing about a clip or file."""


class RunningError(EmopipeError):
    """Another run is still active in the same folder."""


class CoverageError(EmopipeError):
    """Too few clips have the features that the run needs."""

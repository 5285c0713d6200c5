"""A bar for a download, drawn by rich where there is a terminal to draw it on."""

from rich.console import Console
from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TransferSpeedColumn


class Bar:
    """What pooch asks of a progress bar: `total`, `update`, `reset` and `close`."""

    def __init__(self, what: str) -> None:
        console = Console(stderr=True)
        columns = TextColumn("{task.description}"), BarColumn(), DownloadColumn(), TransferSpeedColumn()
        self._progress = Progress(*columns, console=console, disable=not console.is_terminal)
        self._task = self._progress.add_task(what, total=None)
        self._progress.start()

    @property
    def total(self) -> float | None:
        """Bytes to come, where the server tells."""
        return self._progress.tasks[self._task].total

    @total.setter
    def total(self, total: int) -> None:
        self._progress.update(self._task, total=total or None)

    def update(self, n: int) -> None:
        """Count `n` more bytes."""
        self._progress.advance(self._task, n)

    def reset(self) -> None:
        """Count from 0 again."""
        self._progress.reset(self._task, total=self.total)

    def close(self) -> None:
        """Leave the terminal as it was; once is enough, twice does no harm."""
        self._progress.stop()

"""The timers with which Snakemake's scheduler looks again for jobs that it may start."""

import threading


def cancel() -> None:
    """Cancel the timers that wait: after the last job they have no use, but the process would wait for them."""
    for thread in threading.enumerate():
        if isinstance(thread, threading.Timer):
            thread.cancel()

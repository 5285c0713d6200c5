"""Work that is done in threads before its result is asked for."""

import contextlib
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Executor, Future, ThreadPoolExecutor
from typing import TypeVar

Result = TypeVar("Result")


@contextlib.contextmanager
def thread_pool(threads: int) -> Iterator[ThreadPoolExecutor]:
    """Open a pool of threads. If the context ends by an exception, such as Ctrl-C, tasks that wait are cancelled."""
    with ThreadPoolExecutor(threads) as pool:
        try:
            yield pool
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            raise


def ahead(tasks: Iterable[Callable[[], Result]], pool: Executor, depth: int) -> Iterator[Callable[[], Result]]:
    """Yield for each task, in order, a function that waits for its result and returns it, or raises what it raised.

    Args:
        tasks: The tasks; they are taken one by one.
        pool: What runs them.
        depth: How many tasks are begun before their results are asked for. It bounds the memory of results that wait.
    """
    waiting: deque[Future[Result]] = deque()
    try:
        for task in tasks:
            waiting.append(pool.submit(task))
            if len(waiting) > depth:
                yield waiting.popleft().result
        while waiting:
            yield waiting.popleft().result
    finally:
        for future in waiting:
            future.cancel()

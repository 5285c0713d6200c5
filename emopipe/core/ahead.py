"""Work that is done in threads before its result is asked for."""

import contextlib
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Executor, Future, ThreadPoolExecutor
from typing import TypeVar

Key = TypeVar("Key")
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


def ahead(
    tasks: Iterable[tuple[Key, Callable[[], Result]]], pool: Executor, depth: int
) -> Iterator[tuple[Key, Callable[[], Result]]]:
    """Yield for each task, in order, its key and what waits for its result and returns it, or raises what it raised.

    Args:
        tasks: Pairs of a key and a task; they are taken one by one.
        pool: What runs the tasks.
        depth: How many tasks are begun before their results are asked for. It bounds the memory of results that wait.
    """
    waiting: deque[tuple[Key, Future[Result]]] = deque()
    try:
        for key, task in tasks:
            waiting.append((key, pool.submit(task)))
            if len(waiting) > depth:
                first, future = waiting.popleft()
                yield first, future.result
        while waiting:
            first, future = waiting.popleft()
            yield first, future.result
    finally:
        for _, future in waiting:
            future.cancel()

"""The rows of a job's clips in order, where those of the next clips are computed in threads already."""

import functools
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Executor

from emopipe.cache.failures import FailurePolicy
from emopipe.cache.incremental import Output
from emopipe.cache.store import Row
from emopipe.core.ahead import ahead


def rows_ahead(
    output: Output,
    work: Iterable[tuple[str, str, Callable[[], Row]]],
    policy: FailurePolicy,
    pool: Executor,
    depth: int,
) -> Iterator[Row]:
    """Add the row of each clip to a stage's output, in order: that of an earlier run or, if there is none, a new one.

    Args:
        output: The output.
        work: Of each clip its id, the digest of its content, and what computes its row in a thread of the pool.
        policy: What happens if that fails.
        pool: The threads.
        depth: How many rows are begun before they are asked for.

    Yields:
        Each row, after it was added.
    """

    def tasks() -> Iterator[tuple[tuple[str, str, Row | None], Callable[[], Row]]]:
        for clip, digest, compute in work:
            row = output.earlier(clip, digest)
            yield (clip, digest, row), compute if row is None else functools.partial(_same, row)

    for (clip, digest, row), result in ahead(tasks(), pool, depth):
        if row is not None:
            output.take(row)
        else:
            row = policy.row(clip, digest, result)
            output.add(row)
        yield row


def _same(row: Row) -> Row:
    return row

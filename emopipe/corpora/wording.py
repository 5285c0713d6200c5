"""How a message names several items without running over the screen."""

from collections.abc import Collection


def named(items: Collection[object], *, shown: int = 3) -> str:
    """The first items by name, and how many more there are.

    >>> named(["a", "b", "c", "d", "e"])
    'a, b, c and 2 more'
    """
    head = ", ".join(str(item) for item in list(items)[:shown])
    return f"{head} and {len(items) - shown} more" if len(items) > shown else head

"""Text of messages: long lists abbreviated, and text from outside, such as file names, made safe to log."""

from collections.abc import Collection


def abbreviate(items: Collection[object], *, limit: int = 3) -> str:
    """Return the first `limit` items, and the number of the others.

    >>> abbreviate(["a", "b", "c", "d", "e"])
    'a, b, c and 2 more'
    """
    head = ", ".join(str(item) for item in list(items)[:limit])
    return f"{head} and {len(items) - limit} more" if len(items) > limit else head


def escape_text(text: str) -> str:
    """Return text as one line that any log or table can hold; line breaks and bytes that are not UTF-8 are escaped."""
    return text if text.isprintable() else repr(text)[1:-1]

"""Text from outside, such as names of files, as logs and tables can hold it."""


def escape_text(text: str) -> str:
    """Text in one line that any log and table can hold: line breaks, and bytes that are no UTF-8, are spelled out."""
    return text if text.isprintable() else repr(text)[1:-1]

"""Text from outside, such as file names, in a form that logs and tables can hold."""


def escape_text(text: str) -> str:
    """Return the text as one printable line: line breaks and bytes that are not UTF-8 become escape sequences."""
    return text if text.isprintable() else repr(text)[1:-1]

"""Clip ids as safe file names: unsafe characters are percent-encoded as in web addresses, `../x` as `..%2Fx`."""

import hashlib
import re
import unicodedata

MAX_ID_BYTES = 200
"""The longest id. File systems allow 255 bytes, and stages append suffixes."""

_HASH_MARK = "%~"  # before the hash of a shortened id
_HASH_DIGITS = 16
_SAFE = re.compile(r"[A-Za-z0-9_-][A-Za-z0-9_.-]*")  # matches most ids, which then need no check by character
_AMBIGUOUS = re.compile("%(?=[0-9A-Fa-f]{2}|~)")  # a percent sign that could be taken for one of ours


def safe_id(clip: str) -> str:
    """Return the id as a safe file name. Different ids give different names, and a safe id stays as it is.

    These are written as a percent sign and two hexadecimal digits for each byte: slashes, control characters, line
    separators, bytes that are not UTF-8, and percent signs that could be taken for the start of such a code. An id
    longer than MAX_ID_BYTES then ends in a hash of the whole.

    >>> [safe_id(clip) for clip in ("001", "100 %", "../x", "..", "a%2Fb")]
    ['001', '100 %', '..%2Fx', '%2E%2E', 'a%252Fb']
    """
    if _SAFE.fullmatch(clip) and len(clip) <= MAX_ID_BYTES:
        return clip
    # 1. Percent-encode unsafe characters, or every character if the id cannot be a file name.
    clip = _AMBIGUOUS.sub("%25", clip)
    is_no_name = clip.strip() == "" or clip in (".", "..")
    safe = "".join(
        "".join(f"%{byte:02X}" for byte in character.encode("utf-8", "surrogateescape"))
        if is_no_name or _is_unsafe(character)
        else character
        for character in clip
    )
    # 2. Shorten what is too long.
    content = safe.encode()
    if len(content) <= MAX_ID_BYTES:
        return safe
    kept = content[: MAX_ID_BYTES - len(_HASH_MARK) - _HASH_DIGITS].decode(errors="ignore")
    return f"{kept}{_HASH_MARK}{hashlib.sha256(content).hexdigest()[:_HASH_DIGITS]}"


def _is_unsafe(character: str) -> bool:
    """Return whether it is a slash, control character, line separator, or a surrogate for a byte that is not UTF-8."""
    return character in "/\\" or unicodedata.category(character) in ("Cc", "Cs", "Zl", "Zp")

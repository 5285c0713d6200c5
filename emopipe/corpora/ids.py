"""Clip ids that can be file names: what could not be one is written as in web addresses, `../x` as `..%2Fx`."""

import hashlib
import re
import unicodedata

LONGEST = 200
"""Bytes of an id: file systems allow 255, and stages append suffixes."""

_MARK = "%~"  # before the hash of an id that is cut short
_HASH_DIGITS = 16
_PLAIN = re.compile(r"[A-Za-z0-9_-][A-Za-z0-9_.-]*")  # what most ids are, and need not be looked at letter by letter
_AMBIGUOUS = re.compile("%(?=[0-9A-Fa-f]{2}|~)")  # a percent sign that could be taken for one of ours


def safe_id(clip: str) -> str:
    """The id as a file name; two ids never become one, and an id that is harmless stays as it is.

    Slashes, control characters, line separators and bytes that are no UTF-8 become a percent sign and two hexadecimal
    digits a byte; so does a percent sign that could be taken for the beginning of that. What is longer than LONGEST
    bytes then ends in a hash of the whole.

    >>> [safe_id(clip) for clip in ("001", "100 %", "../x", "..", "a%2Fb")]
    ['001', '100 %', '..%2Fx', '%2E%2E', 'a%252Fb']
    """
    if _PLAIN.fullmatch(clip) and len(clip) <= LONGEST:
        return clip
    clip = _AMBIGUOUS.sub("%25", clip)
    is_no_name = clip.strip() == "" or clip in (".", "..")
    safe = "".join(_escaped(character) if is_no_name or _is_unsafe(character) else character for character in clip)
    return safe if len(safe.encode()) <= LONGEST else _shortened(safe)


def _is_unsafe(character: str) -> bool:
    """Slashes, control characters, line separators, and the surrogates that stand for bytes that are no UTF-8."""
    return character in "/\\" or unicodedata.category(character) in ("Cc", "Cs", "Zl", "Zp")


def _escaped(character: str) -> str:
    return "".join(f"%{byte:02X}" for byte in character.encode("utf-8", "surrogateescape"))


def _shortened(safe: str) -> str:
    whole = safe.encode()
    kept = whole[: LONGEST - len(_MARK) - _HASH_DIGITS].decode(errors="ignore")
    return f"{kept}{_MARK}{hashlib.sha256(whole).hexdigest()[:_HASH_DIGITS]}"

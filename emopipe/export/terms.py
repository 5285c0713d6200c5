"""The terms of what a bundle holds: which weights may be passed on, and which licence texts go with them."""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from importlib import resources
from pathlib import Path

from emopipe.weights.entries import Entry, Registry

CODE = "MIT-emopipe.txt"
"""The text of the licence of emopipe's code."""
OWN_TERMS = "LICENSE-weights.md"
"""The terms of the package's own weights, beside them."""
PASSED_ON: Mapping[str, str] = {
    "MIT": "MIT.txt",
    "BSD-3-Clause": "BSD-3-Clause.txt",
    "Apache-2.0": "Apache-2.0.txt",
    "CC BY-NC 4.0": "CC-BY-NC-4.0.txt",
    "CC BY-NC-SA 4.0": "CC-BY-NC-SA-4.0.txt",
}
"""Licence in the registry of weights that lets anybody pass on the file -> its text in `licences/`. Weights under
other terms are named in a bundle, but are not part of it; the package's own weights are in every installation."""
UNKNOWN = "unknown: a file of the user's own"


@dataclass(frozen=True)
class Part:
    """Weights that a bundle holds or needs, with their terms."""

    use: str
    """What reads them, such as "the face network expression"."""
    path: str | None
    """The path in the bundle; None if the bundle does not hold them."""
    origin: str
    """Where they come from, in words."""
    licence: str
    noncommercial: bool
    texts: tuple[str, ...] = ()
    """The names of the licence texts that go with them."""
    citation: str = ""
    source: str = ""
    """Address of the source."""
    note: str = ""
    name: str = ""
    """Their name in the registry of weights, if they are of it."""


def may_be_passed_on(entry: Entry) -> bool:
    """Return whether weights of the registry may be part of a bundle."""
    return entry.shipped or entry.licence in PASSED_ON


def of_entry(entry: Entry, use: str, path: str | None) -> Part:
    """Return the terms of weights of the registry."""
    texts = (OWN_TERMS,) if entry.shipped else tuple(filter(None, [PASSED_ON.get(entry.licence)]))
    return Part(
        use,
        path,
        f"the weights {entry.name} of emopipe's registry",
        entry.licence,
        entry.noncommercial,
        texts if path else (),
        entry.citation.strip(),
        entry.url or "",
        entry.note.strip(),
        entry.name,
    )


def of_own_file(use: str, path: str) -> Part:
    """Return the terms of a file that the registry does not know."""
    note = "emopipe does not know the terms of this file. Whoever passes on the bundle has to know that they may."
    return Part(use, path, "a file of the user's own", UNKNOWN, False, note=note)


def trained(use: str, path: str, corpora: Iterable[str], start: Part | None) -> Part:
    """Return the terms of a network that the run trained.

    Args:
        use: What reads it.
        path: The path in the bundle.
        corpora: What it was trained on, in words.
        start: The terms of the weights that it started from, if it did.
    """
    from_what = f", started from {start.origin}" if start else ""
    licence = f"that of its training data{f', and of its start: {start.licence}' if start else ''}"
    return Part(
        use,
        path,
        f"trained by the run on {', '.join(corpora)}{from_what}",
        licence,
        bool(start and start.noncommercial),
        start.texts if start else (),
        start.citation if start else "",
        start.source if start else "",
        start.note if start else "",
    )


def write_texts(parts: Iterable[Part], folder: Path, registry: Registry) -> None:
    """Write the licence texts of the parts, and that of the code, into a folder, with a list of what has which."""
    folder.mkdir(parents=True)
    parts = list(parts)
    for name in sorted({CODE, *(text for part in parts for text in part.texts)}):
        own = registry.files / name
        source = own if name == OWN_TERMS else resources.files("emopipe.export").joinpath("licences", name)
        (folder / name).write_text(source.read_text(encoding="utf-8"), encoding="utf-8")
    lines = ["# Terms of what is in this bundle", ""]
    lines += [f"- emopipe's code, which made the files of this bundle: MIT, see {CODE}"]
    for part in parts:
        see = f", see {', '.join(part.texts)}" if part.texts else ""
        lines.append(f"- `{part.path or 'not in this bundle'}` ({part.use}): {part.licence}{see}")
        lines += [f"  - {name}: {text}" for name, text in _facts(part).items() if text]
    (folder / "README.md").write_text("\n".join(lines) + "\n", encoding="utf-8")


def _facts(part: Part) -> dict[str, str]:
    facts = {"origin": part.origin, "source": part.source, "cite": part.citation, "note": part.note}
    if part.noncommercial:
        facts["use"] = "for non-commercial use only"
    return {name: re.sub(r"\s+", " ", text) for name, text in facts.items()}

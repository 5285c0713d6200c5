"""Names of fields for tools that allow letters, digits and underscores in them alone; no two of them are equal."""

import re
from collections.abc import Iterable


class FieldNames:
    """Gives each name a field, which it keeps.

    >>> names = FieldNames(["label"])
    >>> [names.of(name) for name in ("a-b", "a_b", "a-b", "label")]
    ['a_b', 'a_b_2', 'a_b', 'label_2']
    """

    def __init__(self, taken: Iterable[str] = ()) -> None:
        """`taken`: fields that no name gets."""
        self._taken = {*taken}
        self._field_of: dict[str, str] = {}

    def of(self, name: str) -> str:
        """Return the field of a name: the name itself with other characters replaced, and numbered if it is taken."""
        if name not in self._field_of:
            field, number = cleaned(name), 2
            while field in self._taken:
                field, number = f"{cleaned(name)}_{number}", number + 1
            self._taken.add(field)
            self._field_of[name] = field
        return self._field_of[name]

    @property
    def renamed(self) -> dict[str, str]:
        """Name -> its field, for names whose own field was taken."""
        return {name: field for name, field in self._field_of.items() if field != cleaned(name)}


def cleaned(name: str) -> str:
    """Return a name with an underscore in place of other characters; it does not begin with one.

    >>> cleaned("Überraschung!"), cleaned("_a")
    ('x_berraschung_', 'x_a')
    """
    found = re.sub(r"[^A-Za-z0-9_]", "_", name)
    return f"x{found}" if found.startswith("_") else found

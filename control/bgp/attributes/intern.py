"""One object per distinct attribute set of a node."""

from __future__ import annotations

from .attributes import Attributes


class InternTable:
    """Counts the users of each distinct attribute set, so that equal sets are one object and unused ones go."""

    __slots__ = ("_entries",)

    def __init__(self) -> None:
        self._entries: dict[bytes, list[tuple[Attributes, int]]] = {}

    def intern(self, attributes: Attributes) -> Attributes:
        """The table's own object equal to `attributes`, with one reference more."""
        entry = self._entries.get(attributes.key)
        if entry is None:
            self._entries[attributes.key] = [(attributes, 1)]
            return attributes
        own, count = entry[0]
        entry[0] = (own, count + 1)
        return own

    def release(self, attributes: Attributes) -> None:
        """Takes one reference back; KeyError when there is none."""
        entry = self._entries[attributes.key]
        own, count = entry[0]
        if count == 1:
            del self._entries[attributes.key]
        else:
            entry[0] = (own, count - 1)

    def references(self, attributes: Attributes) -> int:
        """How many references a set has; 0 when the table does not hold it."""
        entry = self._entries.get(attributes.key)
        return entry[0][1] if entry is not None else 0

    def __len__(self) -> int:
        return len(self._entries)

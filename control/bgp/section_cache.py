"""Attribute sections a session has already read: most messages of a peer repeat one of the last."""

from __future__ import annotations

from typing import Final

from .attributes import Attributes
from .attributes.section import Context, Section, SectionReader
from .family import Family

_GENERATION: Final = 512
"""Sections per generation. Two generations live, so at most 1024 sections of at most 4 kB."""


class Pattern:
    """An announcement without faults: what must come again for the next one to have the same attributes.

    `before` and `after` are the attributes around MP_REACH_NLRI, `head` is its value up to the routes. `head` is None
    when the routes stood in the classic field; then `before` is the whole section.
    """

    __slots__ = ("after", "attributes", "before", "family", "head")

    def __init__(
        self, before: bytes, head: bytes | None, after: bytes, family: Family, attributes: Attributes
    ) -> None:
        self.before: Final = before
        self.head: Final = head
        self.after: Final = after
        self.family: Final = family
        self.attributes: Final = attributes


class SectionCache:
    """From the bytes of a section (without MP_*) to what they say; the least used half goes when it is full."""

    __slots__ = ("_old", "_young", "context", "last")

    def __init__(self, context: Context) -> None:
        self.context = context
        self.last: Pattern | None = None
        """Of the last announcement that was read in full."""
        self._young: dict[bytes, Section] = {}
        self._old: dict[bytes, Section] = {}

    def get(self, data: bytes) -> Section:
        """Reads the section unless it was read before. Raises MessageError; what raised is not remembered."""
        section = self._young.get(data)
        if section is not None:
            return section
        section = self._old.get(data)
        if section is None:
            section = SectionReader(data, self.context).read()
        if len(self._young) >= _GENERATION:
            self._old = self._young
            self._young = {}
        self._young[data] = section
        return section

    def __len__(self) -> int:
        return len(self._young.keys() | self._old.keys())

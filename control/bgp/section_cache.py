"""Attribute sections a session has already read: most messages of a peer repeat one of the last."""

from __future__ import annotations

from typing import Final

from .attributes.section import Context, Section, SectionReader

_GENERATION: Final = 512
"""Sections per generation. Two generations live, so at most 1024 sections of at most 4 kB."""


class SectionCache:
    """From the bytes of a section (without MP_*) to what they say; the least used half goes when it is full."""

    __slots__ = ("_old", "_young", "context", "mp_offset")

    def __init__(self, context: Context) -> None:
        self.context = context
        self.mp_offset = 0
        """Where MP_REACH_NLRI stood in the attribute section of the last announcement: the next one's likely place."""
        self._young: dict[bytes, Section] = {}
        self._old: dict[bytes, Section] = {}

    def get(self, data: bytes) -> Section:
        """Reads the section unless it was read before. Raises as SectionReader does; what raised is not remembered."""
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

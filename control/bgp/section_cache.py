"""Attribute sections a session has already read: most messages of a peer repeat one of the last."""

from __future__ import annotations

from typing import Final, NamedTuple

from .attributes.layout import Layout
from .attributes.section import Context, Section, SectionReader
from .family import Family
from .nlri import Codec

_GENERATION: Final = 512
"""Sections per generation. Two generations live, so at most 1024 sections of at most 4 kB."""
_MAX_LAYOUTS: Final = 256
_MAX_HEADS: Final = 256


class Head(NamedTuple):
    """What the beginning of an MP_REACH_NLRI says, up to its routes."""

    family: Family
    next_hop: bytes
    codec: Codec


class SectionCache:
    """From the bytes of a section (without MP_*) to what they say; the least used half goes when it is full."""

    __slots__ = ("_heads", "_layouts", "_old", "_young", "context", "mp_offset")

    def __init__(self, context: Context) -> None:
        self.context = context
        self.mp_offset = 0
        """Where MP_REACH_NLRI stood in the attribute section of the last announcement: the next one's likely place."""
        self._young: dict[bytes, Section] = {}
        self._old: dict[bytes, Section] = {}
        self._layouts: dict[int, Layout] = {}
        self._heads: dict[bytes, Head] = {}

    def get(self, data: bytes) -> Section:
        """Reads the section unless it was read before. Raises as SectionReader does; what raised is not remembered."""
        section = self._young.get(data)
        if section is not None:
            return section
        section = self._old.get(data) or self._read(data)
        if len(self._young) >= _GENERATION:
            self._old = self._young
            self._young = {}
        self._young[data] = section
        return section

    def _read(self, data: bytes) -> Section:
        """As the last section of this length, if it has the same shape."""
        size = len(data)
        layout = self._layouts.get(size)
        section = layout.read(data, self.context) if layout is not None else None
        if section is None:
            section = SectionReader(data, self.context).read()
            layout = Layout.of(data, self.context) if section.usual else None
            if layout is not None:
                if len(self._layouts) >= _MAX_LAYOUTS:
                    self._layouts.clear()
                self._layouts[size] = layout
        return section

    def head(self, data: bytes) -> Head | None:
        """What the beginning of an MP_REACH_NLRI said in an earlier message."""
        return self._heads.get(data)

    def remember_head(self, data: bytes, head: Head) -> None:
        """It is in order, and its family is one of this session."""
        if len(self._heads) >= _MAX_HEADS:
            self._heads.clear()
        self._heads[data] = head

    def __len__(self) -> int:
        return len(self._young.keys() | self._old.keys())

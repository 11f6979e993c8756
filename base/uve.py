"""Where a daemon's UVEs (what it reports to analytics) go. The daemons know this interface, never a collector."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol


class UveSink(Protocol):
    """Takes one report: object table (``ObjectBgpRouter``), key (object name), UVE struct name, and its fields."""

    def send(self, table: str, key: str, uve: str, data: Mapping[str, Any]) -> None:
        """Must not raise and must not block. A field ``deleted: True`` ends the object."""


class NullSink:
    """Nobody listens."""

    def send(self, table: str, key: str, uve: str, data: Mapping[str, Any]) -> None:
        """Drop the report."""

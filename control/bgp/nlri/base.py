"""What every NLRI codec offers, and the small tools they share."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final, Protocol

from ..label import WITHDRAWN

Route = tuple[bytes, bytes]
"""(key, payload): what a table is keyed by, and the rest of the NLRI (docs/architecture.md)."""

BYTE: Final = tuple(bytes((value,)) for value in range(256))
"""One-byte strings, made once: cheaper than bytes((n,)) per prefix."""

HOST_MASK: Final = (0, 0x80, 0xC0, 0xE0, 0xF0, 0xF8, 0xFC, 0xFE)
"""By `length % 8`: which bits of the last prefix byte count (0: all of them)."""


class NlriError(ValueError):
    """The bytes cannot be cut into routes: from here on nobody knows where the next one begins."""


class Codec(Protocol):
    """NLRI of one family."""

    def read(self, data: bytes, withdrawn: bool = False, faults: list[str] | None = None) -> list[Route]:
        """All routes of an NLRI field. Raises NlriError when the field cannot be cut into routes.

        Routes that can be cut out but make no sense are left out. `faults` collects their names; without it, a plain
        prefix of an impossible length raises NlriError too (RFC 7606 5.3), a route of an unknown type still does not.
        `withdrawn` says that the field comes from MP_UNREACH_NLRI: labels are ignored there and payloads are empty.
        """
        ...

    def write(self, key: bytes, payload: bytes) -> bytes:
        """The NLRI of one reachable route."""
        ...

    def write_all(self, routes: Iterable[Route]) -> list[bytes]:
        """`write` for many routes, without the cost of a call each."""
        ...

    def write_withdrawn(self, key: bytes, label: bytes = WITHDRAWN) -> bytes:
        """The NLRI of one withdrawn route; `label` are the three bytes where the family has a label."""
        ...

    def text(self, key: bytes) -> str:
        """The printed form of reference/bgp.md 2.3."""
        ...

    def key(self, text: str) -> bytes:
        """The key of a printed form. Raises ValueError."""
        ...


def overrun(family: str, offset: int, data: bytes) -> NlriError:
    """The error for a route that goes on past the end of its field."""
    return NlriError(f"{family}: the route at byte {offset} needs more than the {len(data)} bytes of its field")


def skip(what: str, faults: list[str] | None) -> None:
    """Notes a route that makes no sense; NlriError when nobody takes notes."""
    if faults is None:
        raise NlriError(what)
    faults.append(f"{what} ignored")

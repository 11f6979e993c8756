"""AGGREGATOR: RFC 4271 5.1.7, with 4-byte AS numbers RFC 6793."""

from __future__ import annotations

from typing import NamedTuple

from .as_path import AS_TRANS


class Aggregator(NamedTuple):
    """The AS and the 4-byte address of the speaker that aggregated."""

    asn: int
    address: bytes

    def encode(self) -> bytes:
        """The 8-byte form."""
        return self.asn.to_bytes(4, "big") + self.address

    @classmethod
    def read(cls, value: bytes) -> Aggregator:
        """Of a 6- or 8-byte value."""
        return cls(int.from_bytes(value[:-4], "big"), value[-4:])


def merge(aggregator: bytes, as4_aggregator: bytes | None) -> tuple[bytes, bool]:
    """RFC 6793 4.2.3: the 8-byte value of what an old speaker sent, and whether AS4_PATH counts.

    When AGGREGATOR has an AS other than AS_TRANS although AS4_AGGREGATOR is there, both AS4 attributes are ignored.
    """
    own = Aggregator.read(aggregator)
    if as4_aggregator is None:
        return own.encode(), True
    if own.asn != AS_TRANS:
        return own.encode(), False
    return as4_aggregator, True


def narrow(value: bytes) -> tuple[bytes, bytes | None]:
    """The 6-byte form of an 8-byte value, and the AS4_AGGREGATOR to go with it where one is needed."""
    asn = int.from_bytes(value[:4], "big")
    if asn <= 0xFFFF:
        return value[2:], None
    return AS_TRANS.to_bytes(2, "big") + value[4:], value

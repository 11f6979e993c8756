"""Route distinguishers: RFC 4364 section 4.2, printed as in reference/bgp.md 2.3."""

from __future__ import annotations

from struct import Struct

ZERO = bytes(8)
_HEX_DIGITS = 16

_TYPE_0 = Struct("!HHI")
_TYPE_2 = Struct("!HIH")


def parse(text: str) -> bytes:
    """The 8 bytes of `A:B`.

    `a.b.c.d:n` is type 1, an AS number of at most 65535 type 0, a larger one type 2; 16 hex digits are the bytes
    themselves. ValueError for anything else.
    """
    if ":" not in text and len(text) == _HEX_DIGITS:
        return bytes.fromhex(text)
    administrator, colon, assigned = text.rpartition(":")
    if not colon or not assigned.isdecimal() or not assigned.isascii():
        raise ValueError(f"not a route distinguisher: {text!r}")
    number = int(assigned)
    if "." in administrator:
        address = ipv4_bytes(administrator)
        if number > 0xFFFF:
            raise ValueError(f"route distinguisher {text!r}: {number} does not fit 16 bits")
        return b"\x00\x01" + address + number.to_bytes(2, "big")
    if not administrator.isdecimal() or not administrator.isascii():
        raise ValueError(f"not a route distinguisher: {text!r}")
    asn = int(administrator)
    if asn <= 0xFFFF and number <= 0xFFFFFFFF:
        return _TYPE_0.pack(0, asn, number)
    if 0xFFFF < asn <= 0xFFFFFFFF and number <= 0xFFFF:
        return _TYPE_2.pack(2, asn, number)
    raise ValueError(f"route distinguisher {text!r}: a number is out of range")


def text(raw: bytes) -> str:
    """`A:B` for types 0 and 2, `a.b.c.d:n` for type 1, 16 hex digits for a type nobody defined."""
    kind = raw[0] << 8 | raw[1]
    if kind == 0:
        _, asn, number = _TYPE_0.unpack(raw)
        return f"{asn}:{number}"
    if kind == 1:
        return f"{raw[2]}.{raw[3]}.{raw[4]}.{raw[5]}:{raw[6] << 8 | raw[7]}"
    if kind == 2:
        _, asn, number = _TYPE_2.unpack(raw)
        return f"{asn}:{number}"
    return raw.hex()


def split(text: str) -> tuple[bytes, str]:
    """The bytes of the route distinguisher before the colon in front of something else, and that. ValueError."""
    head, _, rest = text.partition(":")
    if len(head) != _HEX_DIGITS:
        number, _, rest = rest.partition(":")
        head = f"{head}:{number}"
    return parse(head), rest


def make_ipv4(address: bytes, number: int) -> bytes:
    """Type 1: four address bytes and a 16-bit number."""
    return b"\x00\x01" + address + number.to_bytes(2, "big")


def ipv4_bytes(text: str) -> bytes:
    """Four bytes of a dotted quad; ValueError when it is none."""
    parts = text.split(".")
    if len(parts) != 4 or not all(part.isdecimal() and part.isascii() and len(part) <= 3 for part in parts):
        raise ValueError(f"not an IPv4 address: {text!r}")
    return bytes(int(part) for part in parts)

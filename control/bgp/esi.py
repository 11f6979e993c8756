"""Ethernet segment identifiers, RFC 7432 section 5; printed as in reference/bgp.md 2.3."""

from __future__ import annotations

from .rd import ipv4_bytes

ZERO = bytes(10)
MAX = b"\xff" * 10

_ROUTER_ID, _AS = 4, 5


def text(raw: bytes) -> str:
    """`zero_esi`, `max_esi`, `asn:val`, `ip:val`, else ten hex bytes with colons."""
    if raw == ZERO:
        return "zero_esi"
    if raw == MAX:
        return "max_esi"
    if raw[0] == _AS and raw[9] == 0:
        return f"{int.from_bytes(raw[1:5], 'big')}:{int.from_bytes(raw[5:9], 'big')}"
    if raw[0] == _ROUTER_ID and raw[9] == 0:
        return f"{raw[1]}.{raw[2]}.{raw[3]}.{raw[4]}:{int.from_bytes(raw[5:9], 'big')}"
    return raw.hex(":")


def parse(text: str) -> bytes:
    """The ten bytes of a printed form; ValueError for anything else."""
    if text == "zero_esi":
        return ZERO
    if text == "max_esi":
        return MAX
    parts = text.split(":")
    if len(parts) == 10 and all(len(part) == 2 for part in parts):
        return bytes.fromhex("".join(parts))
    if len(parts) != 2 or not parts[1].isdecimal() or int(parts[1]) > 0xFFFFFFFF:
        raise ValueError(f"not an Ethernet segment identifier: {text!r}")
    value = int(parts[1]).to_bytes(4, "big") + b"\x00"
    if "." in parts[0]:
        return bytes((_ROUTER_ID,)) + ipv4_bytes(parts[0]) + value
    if not parts[0].isdecimal() or int(parts[0]) > 0xFFFFFFFF:
        raise ValueError(f"not an Ethernet segment identifier: {text!r}")
    return bytes((_AS,)) + int(parts[0]).to_bytes(4, "big") + value

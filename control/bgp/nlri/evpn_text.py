"""Printed forms of EVPN routes (reference/bgp.md 2.3)."""

from __future__ import annotations

from ipaddress import ip_address, ip_network

from .. import esi, rd
from .prefix import address_text

_MAX_TAG = 0xFFFFFFFF


def _tag(raw: bytes) -> str:
    return str(int.from_bytes(raw, "big"))


def _tag_bytes(text: str) -> bytes:
    if not text.isdecimal() or not text.isascii() or int(text) > _MAX_TAG:
        raise ValueError(f"not an Ethernet tag: {text!r}")
    return int(text).to_bytes(4, "big")


def _mac_bytes(text: str) -> bytes:
    parts = text.split(":")
    if len(parts) != 6 or not all(len(part) == 2 for part in parts):
        raise ValueError(f"not a MAC address: {text!r}")
    return bytes.fromhex("".join(parts))


def _sized(address: bytes) -> bytes:
    """An address behind its length in bits."""
    return bytes((len(address) << 3,)) + address


def _address(raw: bytes, offset: int) -> tuple[str, int]:
    """The address behind its length at `offset` (0.0.0.0 when the length is 0), and the offset after it."""
    after = offset + 1 + (raw[offset] >> 3)
    return address_text(raw[offset + 1 : after]) if raw[offset] else "0.0.0.0", after


def evpn_text(key: bytes) -> str:
    """The printed form of a key of types 1 to 6."""
    kind = key[0]
    head = f"{kind}-{rd.text(key[1:9])}"
    if kind == 1:
        return f"{head}-{esi.text(key[9:19])}-{_tag(key[19:23])}"
    if kind == 2:
        return f"{head}-{_tag(key[9:13])}-{key[13:19].hex(':')},{_address(key, 19)[0]}"
    if kind == 3:
        return f"{head}-{_tag(key[9:13])}-{_address(key, 13)[0]}"
    if kind == 4:
        return f"{head}-{esi.text(key[9:19])}-{_address(key, 19)[0]}"
    if kind == 5:
        return f"{head}-{_tag(key[9:13])}-{address_text(key[14:])}/{key[13]}"
    source, offset = _address(key, 13)
    group, offset = _address(key, offset)
    originator, _ = _address(key, offset)
    middle = f"-{source}" if key[13] else ""
    return f"{head}-{_tag(key[9:13])}{middle}-{group}-{originator}"


def evpn_key(text: str) -> bytes:
    """The key of a printed form. Raises ValueError."""
    kind, *fields = text.split("-")
    match kind, fields:
        case "1", [distinguisher, segment, tag]:
            return b"\x01" + rd.parse(distinguisher) + esi.parse(segment) + _tag_bytes(tag)
        case "2", [distinguisher, tag, host]:
            mac, comma, address = host.partition(",")
            if not comma:
                raise ValueError(f"not an e-vpn MAC route: {text!r}")
            packed = b"" if address == "0.0.0.0" else ip_address(address).packed
            return b"\x02" + rd.parse(distinguisher) + _tag_bytes(tag) + _mac_bytes(mac) + _sized(packed)
        case "3", [distinguisher, tag, address]:
            return b"\x03" + rd.parse(distinguisher) + _tag_bytes(tag) + _sized(ip_address(address).packed)
        case "4", [distinguisher, segment, address]:
            return b"\x04" + rd.parse(distinguisher) + esi.parse(segment) + _sized(ip_address(address).packed)
        case "5", [distinguisher, tag, prefix]:
            network = ip_network(prefix, strict=False)
            bits = bytes((network.prefixlen,))
            return b"\x05" + rd.parse(distinguisher) + _tag_bytes(tag) + bits + network.network_address.packed
        case "6", [distinguisher, tag, *addresses] if len(addresses) in (2, 3):
            parts = [_sized(ip_address(address).packed) for address in addresses]
            source = parts[0] if len(parts) == 3 else b"\x00"
            return b"\x06" + rd.parse(distinguisher) + _tag_bytes(tag) + source + parts[-2] + parts[-1]
    raise ValueError(f"not an e-vpn route: {text!r}")

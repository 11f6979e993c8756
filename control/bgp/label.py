"""The three label bytes of an NLRI: an MPLS label or a raw VNI (reference/bgp.md 2.3; RFC 8277, RFC 8365)."""

from __future__ import annotations

from typing import Final

WITHDRAWN: Final = b"\x00\x00\x01"
"""What a control node writes into withdrawals: label 0, bottom of stack."""


def label_bytes(value: int, vxlan: bool) -> bytes:
    """Three bytes: the 24-bit VNI when `vxlan`, else the 20-bit label shifted by 4 with the bottom-of-stack bit."""
    return value.to_bytes(3, "big") if vxlan else (value << 4 | 1).to_bytes(3, "big")


def read_label(raw: bytes, vxlan: bool) -> int:
    """The value in three label bytes: 24 bits when `vxlan`, else the upper 20."""
    number = raw[0] << 16 | raw[1] << 8 | raw[2]
    return number if vxlan else number >> 4

"""The label inside a route's payload. A payload's length tells its layout (docs/architecture.md)."""

from __future__ import annotations

from collections.abc import Mapping

from ..label import label_bytes, read_label

__all__ = ["l3_label", "label", "label_bytes", "with_label"]

_LABEL_OFFSET: Mapping[int, int] = {
    3: 0,  # labelled and VPN prefixes, EVPN type 1
    13: 10,  # EVPN type 2: ESI, label
    16: 10,  # EVPN type 2: ESI, label, L3 label
    17: 14,  # EVPN type 5: ESI, IPv4 gateway, label
    29: 26,  # EVPN type 5: ESI, IPv6 gateway, label
}


def label(payload: bytes, vxlan: bool) -> int:
    """The MPLS label, or the VNI when `vxlan`; 0 for a payload without one."""
    offset = _LABEL_OFFSET.get(len(payload))
    return 0 if offset is None else read_label(payload[offset : offset + 3], vxlan)


def l3_label(payload: bytes, vxlan: bool) -> int:
    """The second label of an EVPN MAC/IP route, 0 when it has none."""
    return read_label(payload[13:], vxlan) if len(payload) == 16 else 0


def with_label(payload: bytes, value: int, vxlan: bool) -> bytes:
    """The payload with another (first) label. ValueError for a payload without one."""
    offset = _LABEL_OFFSET.get(len(payload))
    if offset is None:
        raise ValueError(f"a payload of {len(payload)} bytes has no label")
    return payload[:offset] + label_bytes(value, vxlan) + payload[offset + 3 :]

"""PMSI_TUNNEL: RFC 6514 section 5, with Contrail's additions (reference/bgp.md 3.1)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from ..label import label_bytes, read_label

INGRESS_REPLICATION = 6
ASSISTED_REPLICATION = 252

TUNNEL_TYPES: Mapping[int, str] = {
    0: "none",
    1: "rsvp-p2mp",
    2: "ldp-p2mp",
    3: "pim-ssm",
    4: "pim-sm",
    5: "bidir-pim",
    6: "ingress-replication",
    7: "mldp-mp2mp",
    252: "assisted-replication",
}

LEAF_INFO_REQUIRED = 0x01
AR_TYPE_MASK = 0x18
AR_REGULAR, AR_REPLICATOR, AR_LEAF = 0x00, 0x08, 0x10
EDGE_REPLICATION_SUPPORTED = 0x80


class PmsiTunnel(NamedTuple):
    """Flags, tunnel type, three raw label bytes and the tunnel identifier (4 address bytes for ingress replication)."""

    flags: int
    type: int
    label: bytes
    identifier: bytes

    @classmethod
    def make(cls, flags: int, type: int, label: int, identifier: bytes, vxlan: bool) -> PmsiTunnel:
        """With the label as a number: a raw VNI when `vxlan`."""
        return cls(flags, type, label_bytes(label, vxlan), identifier)

    @classmethod
    def read(cls, value: bytes) -> PmsiTunnel:
        return cls(value[0], value[1], value[2:5], value[5:])

    def encode(self) -> bytes:
        return bytes((self.flags, self.type)) + self.label + self.identifier

    def label_value(self, vxlan: bool) -> int:
        return read_label(self.label, vxlan)

    @property
    def type_text(self) -> str:
        return TUNNEL_TYPES.get(self.type, str(self.type))

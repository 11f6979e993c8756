"""Address families a control node speaks (reference/bgp.md 2.1)."""

from __future__ import annotations

from enum import IntEnum


class Family(IntEnum):
    """An AFI/SAFI pair as one integer, `afi << 8 | safi`.

    Members stand in the order in which a control node lists them in its OPEN (reference/bgp.md 1.4).
    """

    INET = 1 << 8 | 1
    INET6 = 2 << 8 | 1
    INET_VPN = 1 << 8 | 128
    INET6_VPN = 2 << 8 | 128
    ROUTE_TARGET = 1 << 8 | 132
    E_VPN = 25 << 8 | 70
    ERM_VPN = 1 << 8 | 243
    INET_MVPN = 1 << 8 | 5
    INET_LABELED = 1 << 8 | 4

    @property
    def afi(self) -> int:
        return self.value >> 8

    @property
    def safi(self) -> int:
        return self.value & 0xFF

    @property
    def config_name(self) -> str:
        """The name in configuration and in introspect: `inet-vpn`, `e-vpn`, …"""
        return self.name.lower().replace("_", "-")

    @property
    def wire(self) -> bytes:
        """AFI (2 bytes) and SAFI (1 byte), as in MP_REACH_NLRI."""
        return self.value.to_bytes(3, "big")

    @classmethod
    def from_name(cls, text: str) -> Family:
        """The family with this configuration name; ValueError when there is none."""
        for family in cls:
            if family.config_name == text:
                return family
        raise ValueError(f"unknown address family {text!r}")

    @classmethod
    def from_wire(cls, afi: int, safi: int) -> Family | None:
        """The family of an AFI/SAFI pair, or None when a control node does not speak it."""
        return FAMILY_OF.get(afi << 8 | safi)


FAMILY_OF = {family.value: family for family in Family}
"""From `afi << 8 | safi` to the family: what a parser looks up."""


def family_text(afi: int, safi: int) -> str:
    """The configuration name, or `afi/safi` in digits for a family that is not ours."""
    family = Family.from_wire(afi, safi)
    return family.config_name if family is not None else f"{afi}/{safi}"

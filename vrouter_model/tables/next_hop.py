"""A next hop as the data path sees it."""

from __future__ import annotations

from ..flags import Family, NhFlag, NhType, VifType
from ..rows import NextHop
from .interface import Interface


class Component:
    """One member of a composite next hop: a next hop (None while its id was missing) and the label to push for it."""

    __slots__ = ("index", "label", "next_hop")

    def __init__(self, index: int, next_hop: NextHopEntry | None, label: int) -> None:
        self.index = index
        self.next_hop = next_hop
        self.label = label


class NextHopEntry:
    """One next hop.

    Routes, labels and composites hold the object itself, so a change is seen by all of them at once and a deleted next
    hop lives until its last user has gone.
    """

    __slots__ = (
        "active",
        "alive",
        "bridge",
        "components",
        "device",
        "devices",
        "direct",
        "encap",
        "family",
        "flags",
        "flow_lookup",
        "id",
        "inet",
        "l2_control_data",
        "mac_learn",
        "policy",
        "relaxed_policy",
        "row",
        "tunnel_destination",
        "tunnel_source",
        "type",
        "unknown_unicast_flood",
        "valid",
        "vrf",
    )

    def __init__(self, row: NextHop) -> None:
        self.id = row.id
        self.alive = True
        self.apply(row, (), (), None)

    def apply(
        self,
        row: NextHop,
        devices: tuple[Interface | None, ...],
        components: tuple[Component, ...],
        direct: NextHopEntry | None,
    ) -> None:
        """Take a validated row and the objects its indices stood for."""
        flags = int(row.flags)
        self.row = row
        self.type = row.type
        self.family = row.family
        self.flags = flags
        self.vrf = row.vrf
        self.encap = row.encap
        self.devices = devices
        self.device = next((device for device in devices if device is not None), None)
        self.components = components
        self.active = tuple(component for component in components if component.next_hop is not None)
        self.direct = direct
        self.tunnel_source = row.tun_sip
        self.tunnel_destination = row.tun_dip
        self.valid = bool(flags & 0x1)
        self.policy = bool(flags & 0x2)
        self.relaxed_policy = bool(flags & 0x100)
        self.unknown_unicast_flood = bool(flags & 0x10000)
        self.flow_lookup = bool(flags & 0x40000)
        self.mac_learn = bool(flags & 0x100000)
        self.l2_control_data = bool(flags & 0x800000)
        self.inet = row.family is Family.INET
        self.bridge = row.family is Family.BRIDGE

    def has(self, flag: NhFlag) -> bool:
        return bool(self.flags & int(flag))

    @property
    def is_gateway(self) -> bool:
        """An ENCAP on the agent's vif: the subnet gateway and the DNS address."""
        return self.type is NhType.ENCAP and self.device is not None and self.device.type is VifType.AGENT

    @property
    def is_hosted(self) -> bool:
        """An ENCAP on a machine of this host."""
        return self.type is NhType.ENCAP and self.device is not None and self.device.virtual

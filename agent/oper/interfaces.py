"""Virtual machine interfaces and the rule that makes one active (reference/agent.md 0.10, 15.5)."""

from __future__ import annotations

from dataclasses import dataclass

from ..port import Port, PortType
from .nexthop import Interface
from .prefix import Prefix, host
from .records import Configuration, InterfaceConfig, VirtualNetwork
from .vrf import ZERO_MAC

FIRST_VM_VIF = 3


@dataclass(frozen=True, slots=True)
class VmInterface:
    """One port with its configuration.

    `index` is its vif; `vrf` -1 while it has none; `why` says why it is not active.
    """

    port: Port
    index: int
    config: InterfaceConfig | None
    network: VirtualNetwork | None
    vrf: int
    vrf_name: str
    mac: bytes
    why: str
    ipv4_active: bool
    ipv6_active: bool
    l2_active: bool
    policy: bool

    @property
    def uuid(self) -> str:
        return self.port.uuid

    @property
    def active(self) -> bool:
        return not self.why

    @property
    def routed(self) -> bool:
        """Whether it has an L3 next hop and label."""
        return self.active and self.network is not None and self.network.mode.routes

    @property
    def vm_name(self) -> str:
        return self.port.vm_name or (self.config.vm_name if self.config else "")

    @property
    def vn(self) -> str:
        return self.network.name if self.network else ""

    @property
    def address4(self) -> Prefix | None:
        return host(self.config.address4) if self.config and self.config.address4 else None

    @property
    def address6(self) -> Prefix | None:
        return host(self.config.address6) if self.config and self.config.address6 else None

    @property
    def security_groups(self) -> tuple[int, ...]:
        """Numbers of its security groups, sorted, as routes carry them."""
        return tuple(sorted(group.id for group in self.config.security_groups)) if self.config else ()

    def routed_next_hop(self, policy: bool | None = None) -> Interface:
        return Interface(self.index, self.vrf, self.mac, False, self.policy if policy is None else policy)

    def bridged_next_hop(self, policy: bool | None = None) -> Interface:
        return Interface(self.index, self.vrf, self.mac, True, self.policy if policy is None else policy)


def interface(port: Port, index: int, configuration: Configuration, vrf_indices: dict[str, int]) -> VmInterface:
    """What a port is, given all configuration: pure."""
    config = configuration.interfaces.get(port.uuid)
    network = configuration.networks.get(config.vn) if config else None
    vrf_name = config.vrf if config and config.vrf in vrf_indices else ""
    mac = (config.mac if config else b"") or port.mac_bytes
    why = _why_not(port, config, network, vrf_name, mac)
    active = not why
    routes = active and network is not None and network.mode.routes
    return VmInterface(
        port=port,
        index=index,
        config=config,
        network=network,
        vrf=vrf_indices.get(vrf_name, -1),
        vrf_name=vrf_name,
        mac=mac,
        why=why,
        ipv4_active=routes and config is not None and bool(config.address4),
        ipv6_active=routes and config is not None and bool(config.address6),
        l2_active=active and network is not None and network.mode.bridges,
        policy=config is not None and not config.policy_disabled and (network is None or network.mode.routes),
    )


def _why_not(
    port: Port, config: InterfaceConfig | None, network: VirtualNetwork | None, vrf_name: str, mac: bytes
) -> str:
    if port.type is PortType.REMOTE and not port.link_up:
        return "os-state is down"
    if config is None:
        return "no configuration"
    if not config.admin_up:
        return "administratively down"
    if network is None:
        return "no virtual network"
    if not network.admin_up:
        return "virtual network is administratively down"
    if not vrf_name:
        return "no VRF"
    if not port.link_up:
        return "os-state is down"
    if not mac or mac == ZERO_MAC:
        return "no MAC"
    return ""

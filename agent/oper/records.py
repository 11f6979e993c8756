"""What configuration says, as values.

The operational tables that follow from the graph alone (reference/agent.md 6).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum
from typing import Any

from .acl import AccessList
from .nexthop import Encap
from .prefix import Prefix


class ForwardingMode(Enum):
    L2 = "l2"
    L3 = "l3"
    L2_L3 = "l2_l3"

    @property
    def routes(self) -> bool:
        return self is not ForwardingMode.L2

    @property
    def bridges(self) -> bool:
        return self is not ForwardingMode.L3


@dataclass(frozen=True, slots=True)
class GracefulRestart:
    """`end_of_rib_timeout` and `long_lived_time` in seconds; 0 keeps the agent's own value."""

    enabled: bool = True
    end_of_rib_timeout: float = 0.0
    long_lived_time: float = 0.0


@dataclass(frozen=True, slots=True)
class LinkLocalService:
    name: str
    address: str
    port: int
    fabric_addresses: tuple[str, ...]
    fabric_name: str
    fabric_port: int


@dataclass(frozen=True, slots=True)
class Globals:
    """global-vrouter-config, global-system-config and global-qos-config.

    `hold_time` of XMPP in seconds; 0 keeps the agent's own. `dscp` marks what goes to control nodes and name servers.
    """

    encapsulations: tuple[Encap, ...] = ()
    vxlan_configured: bool = False
    forwarding_mode: ForwardingMode = ForwardingMode.L2_L3
    flow_ageing: tuple[tuple[int, int, float], ...] = ()
    link_local: tuple[LinkLocalService, ...] = ()
    graceful_restart: GracefulRestart = GracefulRestart()
    hold_time: int = 0
    dscp: int = 0


@dataclass(frozen=True, slots=True)
class Ipam:
    """network-ipam: how names are resolved, and DHCP options for all its subnets."""

    name: str
    dns_method: str = ""
    virtual_dns: str = ""
    tenant_dns: tuple[str, ...] = ()
    dhcp_options: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True, slots=True)
class VirtualDns:
    name: str
    domain: str
    dynamic_records: bool
    ttl: int
    next_server: str = ""
    floating_ip_record: str = ""


@dataclass(frozen=True, slots=True)
class Subnet:
    """One subnet of a network. Addresses are text, empty when there is none; `host_routes` are (prefix, next hop)."""

    prefix: Prefix
    gateway: str
    dns_server: str
    dhcp: bool
    ipam: Ipam
    dhcp_options: tuple[tuple[str, str], ...] = ()
    host_routes: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True, slots=True)
class VirtualNetwork:
    """`vrf` is the default routing instance, empty until configuration has it."""

    name: str
    uuid: str
    vrf: str
    admin_up: bool
    mode: ForwardingMode
    vni: int
    rpf: bool
    flood_unknown_unicast: bool
    subnets: tuple[Subnet, ...]
    acls: tuple[AccessList, ...]

    def subnet_of(self, version: int, address: int) -> Subnet | None:
        """The subnet that covers an address."""
        for subnet in self.subnets:
            if subnet.prefix.version == version and subnet.prefix.covers(address):
                return subnet
        return None


@dataclass(frozen=True, slots=True)
class SecurityGroup:
    """`ingress` judges what comes to the machine, `egress` what it sends."""

    name: str
    id: int
    ingress: tuple[AccessList, ...]
    egress: tuple[AccessList, ...]


@dataclass(frozen=True, slots=True)
class InterfaceAddress:
    """One address of an interface. `kind`: instance, pair (allowed address pair), static."""

    prefix: Prefix
    kind: str = "instance"
    mac: bytes = b""
    active_active: bool = False


@dataclass(frozen=True, slots=True)
class FloatingIp:
    address: Prefix
    fixed: str
    vn: str
    vrf: str


@dataclass(frozen=True, slots=True)
class InterfaceConfig:
    """virtual-machine-interface and what hangs on it. `vrf` is the routing instance of the interface's own link."""

    uuid: str
    name: str
    vm_name: str
    vm_uuid: str
    vn: str
    vrf: str
    admin_up: bool
    mac: bytes
    address4: str
    address6: str
    addresses: tuple[InterfaceAddress, ...]
    active_active: bool
    local_preference: int
    policy_disabled: bool
    port_security: bool
    dhcp: bool
    dhcp_options: tuple[tuple[str, str], ...]
    host_routes: tuple[tuple[str, str], ...]
    security_groups: tuple[SecurityGroup, ...]
    floating_ips: tuple[FloatingIp, ...] = ()


@dataclass(frozen=True, slots=True)
class Configuration:
    """All of it, keyed by name (interfaces and virtual networks by uuid where an orchestrator names them so)."""

    globals: Globals = Globals()
    networks: Mapping[str, VirtualNetwork] = field(default_factory=dict)
    vrfs: Mapping[str, str] = field(default_factory=dict)
    interfaces: Mapping[str, InterfaceConfig] = field(default_factory=dict)
    virtual_dns: Mapping[str, VirtualDns] = field(default_factory=dict)


Json = Mapping[str, Any]

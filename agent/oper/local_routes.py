"""The routes this host owes to its machines and networks.

Pure, from interfaces and configuration (reference/agent.md 5, 6).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Protocol

from .interfaces import VmInterface
from .nexthop import DISCARD, Encap, Interface, Receive, Resolve
from .path import NO_LABEL, Attributes, Local, Path, Peer, PeerKind
from .preference import Preference
from .prefix import Prefix, host, prefix
from .records import Configuration, InterfaceAddress, VirtualNetwork
from .vrf import BROADCAST_MAC, FABRIC_VN, NO_ADDRESS, EvpnKey, RouteKey, Table

PKT0_VIF = 2
VHOST_VIF = 1
PHYSICAL_VIF = 0
PKT0_MAC = bytes.fromhex("000000000001")

LocalKey = tuple[str, Table, RouteKey, Peer]


class Allocations(Protocol):
    """What is allocated to an interface beside its vif."""

    def label(self, owner: tuple[str, str]) -> int: ...

    def preference(self, uuid: str, address: Prefix, static: int, active_active: bool) -> Preference: ...


@dataclass(frozen=True, slots=True)
class Fabric:
    """The underlay as this host sees it. `gateway` -1 when there is none."""

    address: int
    prefix_length: int
    gateway: int = -1


def machine_routes(
    interface: VmInterface, priorities: tuple[Encap, ...], allocations: Allocations
) -> Iterator[tuple[LocalKey, Path]]:
    """Routes of one active interface: each address in its VRF, MAC and MAC-IP routes, floating addresses in theirs."""
    config, network = interface.config, interface.network
    if not interface.active or config is None or network is None:
        return
    peer = Peer(PeerKind.LOCAL_VM_PORT, interface.uuid)
    groups = interface.security_groups
    l3_label = allocations.label(("l3", interface.uuid)) if network.mode.routes else NO_LABEL
    vni = network.vni if _prefers_vxlan(priorities) else 0

    def path(address: Prefix, vn: str, both: bool, bridge: bool) -> Path:
        machine = allocations.preference(interface.uuid, address, config.local_preference, both or config.active_active)
        attributes = Attributes((vn,), groups, (), (), machine.preference, machine.sequence)
        if bridge:
            label = allocations.label(("l2", interface.uuid))
            local = Local(interface.bridged_next_hop(), label, vni, True, interface=interface.uuid)
        else:
            local = Local(interface.routed_next_hop(), l3_label, 0, True, machine.waits, interface=interface.uuid)
        return Path(peer, attributes, local=local)

    vrf = interface.vrf_name
    primary = interface.address4 or interface.address6
    if network.mode.routes:
        for address in config.addresses:
            table = Table.INET if address.prefix.version == 4 else Table.INET6
            yield (
                (vrf, table, address.prefix, peer),
                path(_owner(address, primary), network.name, address.active_active, False),
            )
        for floating in config.floating_ips:
            table = Table.INET if floating.address.version == 4 else Table.INET6
            parent = host(floating.fixed) if floating.fixed else primary or floating.address
            yield (floating.vrf, table, floating.address, peer), path(parent, floating.vn, False, False)
    if not network.mode.bridges:
        # the data plane sends its ARP replies by the bridge table: the machine's own MAC must be there
        binding = Peer(PeerKind.MAC_VM_BINDING, interface.uuid)
        own = Path(binding, Attributes((network.name,)), local=Local(interface.bridged_next_hop(False)))
        yield (vrf, Table.EVPN, EvpnKey(0, interface.mac, NO_ADDRESS), binding), own
    else:
        tag = vni
        yield (
            (vrf, Table.EVPN, EvpnKey(tag, interface.mac, NO_ADDRESS), peer),
            path(NO_ADDRESS, network.name, False, True),
        )
        for address in config.addresses:
            if address.kind == "static" or not address.prefix.is_host:
                continue
            key = EvpnKey(tag, address.mac or interface.mac, address.prefix)
            yield (vrf, Table.EVPN, key, peer), path(address.prefix, network.name, address.active_active, True)


def _owner(address: InterfaceAddress, primary: Prefix | None) -> Prefix:
    """Static routes follow the interface's own address: traffic from it moves both."""
    return primary if address.kind == "static" and primary is not None else address.prefix


def _prefers_vxlan(priorities: tuple[Encap, ...]) -> bool:
    return priorities[:1] == (Encap.VXLAN,)


def flood_route(vrf: str, network: VirtualNetwork, priorities: tuple[Encap, ...], label: int) -> tuple[LocalKey, Path]:
    """The wish to get broadcasts of a bridged network."""
    vni = network.vni if _prefers_vxlan(priorities) else 0
    peer = Peer(PeerKind.LOCAL_VM)
    local = Local(DISCARD, label, vni, True)
    return (vrf, Table.EVPN, EvpnKey(vni, BROADCAST_MAC, NO_ADDRESS), peer), Path(
        peer, Attributes((network.name,)), local=local
    )


def network_routes(networks: Iterable[VirtualNetwork], configuration: Configuration) -> Iterator[tuple[LocalKey, Path]]:
    """Gateways and name servers lead to the agent, subnets are discarded, link-local services are received."""
    peer = Peer(PeerKind.LOCAL)
    agent = Local(Interface(PKT0_VIF, 0, PKT0_MAC, False, True))
    for network in networks:
        if not network.vrf or not network.mode.routes or network.name == FABRIC_VN:
            continue
        attributes = Attributes((network.name,))
        for subnet in network.subnets:
            table = Table.INET if subnet.prefix.version == 4 else Table.INET6
            yield (network.vrf, table, subnet.prefix, peer), Path(peer, attributes, local=Local(DISCARD, subnet=True))
            for address in {subnet.gateway, subnet.dns_server} - {""}:
                yield (network.vrf, table, host(address), peer), Path(peer, attributes, local=agent)
        link_local = Peer(PeerKind.LINKLOCAL)
        for service in configuration.globals.link_local:
            try:
                key = host(service.address)
            except ValueError:
                continue
            local = Local(Receive(VHOST_VIF, True))
            yield (network.vrf, Table.INET, key, link_local), Path(link_local, attributes, local=local)


def fabric_routes(vrf: str, fabric: Fabric) -> Iterator[tuple[LocalKey, Path]]:
    """VRF 0: this host, its neighbours, and the way out."""
    peer = Peer(PeerKind.LOCAL)
    attributes = Attributes((FABRIC_VN,))
    own = prefix(4, fabric.address, 32)
    yield (vrf, Table.INET, own, peer), Path(peer, attributes, local=Local(Receive(VHOST_VIF)))
    if fabric.prefix_length < 32:
        neighbours = prefix(4, fabric.address, fabric.prefix_length)
        yield (vrf, Table.INET, neighbours, peer), Path(peer, attributes, local=Local(Resolve(PHYSICAL_VIF)))
    if fabric.gateway >= 0:
        way_out = Local(Resolve(PHYSICAL_VIF))
        yield (vrf, Table.INET, Prefix(4, 0, 0), peer), Path(peer, attributes, local=way_out)

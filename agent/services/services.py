"""Requests of virtual machines that the agent answers itself.

ARP, DHCP, DNS, ping of the gateway (reference/agent.md 9).
"""

from __future__ import annotations

from collections import Counter

from ..flows.packet import ETHERTYPE_IP, ETHERTYPE_IP6, SWITCH_COMMAND, Ethernet, Ip, Trap, to_data_plane
from ..ksync import DataPlane
from ..oper.interfaces import VmInterface
from ..oper.local_routes import PKT0_MAC
from ..oper.oper import Oper
from ..oper.prefix import Prefix
from ..oper.records import Subnet
from ..settings import AgentSettings
from . import build, dhcp
from .dns import DnsRelay

ECHO_REQUEST = 8


class Services:
    """`counters` by service and outcome."""

    def __init__(self, settings: AgentSettings, oper: Oper, data_plane: DataPlane, relay: DnsRelay) -> None:
        self._settings = settings
        self._oper = oper
        self._data_plane = data_plane
        self._relay = relay
        self.counters: Counter[str] = Counter()

    # --- ARP ----------------------------------------------------------------------------------------------------------

    def arp(self, trap: Trap, ethernet: Ethernet) -> None:
        """A machine's ARP shows that it is alive: it owns the address it speaks for."""
        self.counters["arp"] += 1
        interface = self._oper.by_vif.get(trap.vif)
        data = ethernet.payload
        if interface is None or len(data) < 28:
            return
        sender = int.from_bytes(data[14:18], "big")
        vrf = self._oper.vrf_by_index(interface.vrf)
        route = vrf.longest(4, sender) if vrf is not None and sender else None
        if route is not None and isinstance(route.key, Prefix):
            self._oper.traffic_seen(interface.uuid, route.key)

    # --- ICMP ---------------------------------------------------------------------------------------------------------

    def icmp(self, trap: Trap, ethernet: Ethernet, ip: Ip) -> None:
        """Echo to a gateway or name server of the machine's network."""
        interface = self._oper.by_vif.get(trap.vif)
        if interface is None or ip.version != 4 or not ip.payload or ip.payload[0] != ECHO_REQUEST:
            self.counters["icmp ignored"] += 1
            return
        if not self._is_ours(interface, ip.destination):
            self.counters["icmp not for us"] += 1
            return
        self.counters["icmp answered"] += 1
        size = int.from_bytes(ethernet.payload[2:4], "big") - (ethernet.payload[0] & 15) * 4
        packet = build.ipv4(ip.destination, ip.source, 1, build.echo_reply(ip.payload[: max(size, 8)]))
        self._to_machine(interface, build.ethernet(ethernet.source, packet))

    def too_big(self, trap: Trap, ethernet: Ethernet, ip: Ip) -> None:
        """A packet with DF that does not fit into the tunnel: tell the machine the MTU."""
        interface = self._oper.by_vif.get(trap.vif)
        if interface is None or ip.version != 4 or interface.network is None:
            return
        subnet = interface.network.subnet_of(4, ip.source)
        gateway = _ipv4(subnet.gateway) if subnet is not None else 0
        self.counters["too big"] += 1
        answer = build.ipv4(gateway or ip.destination, ip.source, 1, build.too_big(ethernet.payload, trap.params[0]))
        self._to_machine(interface, build.ethernet(ethernet.source, answer))

    def _is_ours(self, interface: VmInterface, address: int) -> bool:
        if interface.network is None:
            return False
        return any(address in (_ipv4(subnet.gateway), _ipv4(subnet.dns_server)) for subnet in interface.network.subnets)

    # --- DHCP ---------------------------------------------------------------------------------------------------------

    def dhcp(self, trap: Trap, ethernet: Ethernet | None, ip: Ip) -> None:
        interface = self._oper.by_vif.get(trap.vif)
        request = dhcp.read(ip.payload[8:]) if ip.version == 4 else None
        if interface is None or request is None or ethernet is None:
            self.counters["dhcp ignored"] += 1
            return
        if interface.config is None or not interface.config.dhcp or not self._subnet_serves(interface):
            self.counters["dhcp disabled"] += 1
            return
        given = dhcp.lease(interface, self._domain(interface))
        server = given.gateway or self._gateway(interface) or self._settings.router_id
        message = dhcp.reply(request, given, server)
        if message is None:
            self.counters["dhcp ignored"] += 1
            return
        self.counters["dhcp answered"] += 1
        broadcast = request.flags & 0x8000 or not request.client_address
        target = 0xFFFFFFFF if broadcast else request.client_address
        packet = build.udp4(server, 67, target, 68, message)
        self._to_machine(interface, build.ethernet(ethernet.source, packet))

    def _subnet_serves(self, interface: VmInterface) -> bool:
        subnet = self._subnet(interface)
        return subnet is None or subnet.dhcp

    def _subnet(self, interface: VmInterface) -> Subnet | None:
        own = interface.address4
        if own is None or interface.network is None:
            return None
        return interface.network.subnet_of(4, own.address)

    def _gateway(self, interface: VmInterface) -> int:
        subnet = self._subnet(interface)
        return _ipv4(subnet.gateway) if subnet is not None else 0

    def _domain(self, interface: VmInterface) -> str:
        subnet = self._subnet(interface)
        if subnet is None:
            return ""
        found = self._oper.configuration.virtual_dns.get(subnet.ipam.virtual_dns)
        return found.domain if found is not None and subnet.ipam.dns_method == "virtual-dns-server" else ""

    # --- DNS ----------------------------------------------------------------------------------------------------------

    def dns(self, trap: Trap, ethernet: Ethernet, ip: Ip) -> None:
        """Relay a query; the answer comes from the address the machine asked."""
        interface = self._oper.by_vif.get(trap.vif)
        if interface is None or not interface.routed or len(ip.payload) < 8:
            self.counters["dns ignored"] += 1
            return
        machine = ethernet.source
        vif, vrf = interface.index, interface.vrf

        def respond(message: bytes) -> None:
            if ip.version == 4:
                packet = build.udp4(ip.destination, ip.dport, ip.source, ip.sport, message)
                frame = build.ethernet(machine, packet, ETHERTYPE_IP)
            else:
                packet = build.udp6(ip.destination, ip.dport, ip.source, ip.sport, message)
                frame = build.ethernet(machine, packet, ETHERTYPE_IP6)
            self._data_plane.inject(to_data_plane(vif, vrf, SWITCH_COMMAND, frame, PKT0_MAC))

        self._relay.query(interface, ip.version, ip.source, ip.payload[8:], respond)

    def _to_machine(self, interface: VmInterface, frame: bytes) -> None:
        self._data_plane.inject(to_data_plane(interface.index, interface.vrf, SWITCH_COMMAND, frame, PKT0_MAC))


def _ipv4(text: str) -> int:
    return dhcp.address_number(text)

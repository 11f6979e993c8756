"""One compute node of a lab: an agent, its data plane, its fabric port and the machines on it."""

from __future__ import annotations

import uuid
import zlib
from collections import Counter
from collections.abc import Mapping
from ipaddress import IPv4Address
from random import Random
from typing import Any

from contrail_emulator.agent.agent import Agent
from contrail_emulator.agent.channels.decode import Decoder
from contrail_emulator.agent.ksync import DataPlane, NoDataPlane
from contrail_emulator.agent.oper.prefix import Prefix
from contrail_emulator.agent.port import Port
from contrail_emulator.agent.settings import AgentSettings, DnsServerAddress
from contrail_emulator.base.pcap import Capture
from contrail_emulator.vrouter_model.drops import Drop
from contrail_emulator.vrouter_model.ports.fabric_udp import FabricPort
from contrail_emulator.vrouter_model.ports.tap import TapError, TapPort
from contrail_emulator.vrouter_model.rows import InetRoute
from contrail_emulator.vrouter_model.vrouter import VRouter

from .data_plane import model_plane
from .errors import LabError
from .machine import Identity, Machine
from .model import Agent as AgentFile
from .model import LabFile
from .model import Machine as MachineFile
from .objects import interface_mac, lab_uuid

NIL_UUID = "00000000-0000-0000-0000-000000000000"
RECENT_DROPS = 64
MAX_DEVICE_NAME = 15


def tap_name(machine: str) -> str:
    """The name of a machine's device: at most 15 bytes, another one for each machine."""
    whole = f"tap-{machine}"
    if len(whole) <= MAX_DEVICE_NAME:
        return whole
    return f"tap-{machine[:4]}-{zlib.crc32(machine.encode()) & 0xFFFFFF:06x}"


class Compute:
    """`control_nodes` are (address, port) pairs, `underlay` maps tunnel addresses to bound ones; `decoder` is shared by
    all agents of the process, which hear much the same."""

    def __init__(
        self,
        reactor: Any,
        lab: LabFile,
        file: AgentFile,
        control_nodes: tuple[tuple[str, int], ...],
        underlay: Mapping[IPv4Address, IPv4Address],
        *,
        rng: Random,
        capture: Capture | None,
        decoder: Decoder,
    ) -> None:
        self.file = file
        self.name = file.name
        self.machines: dict[str, Machine] = {}
        self.drops: Counter[str] = Counter()
        self.recent_drops: list[tuple[float, str]] = []
        self._reactor = reactor
        self._lab = lab
        self._interfaces: dict[str, str] = {}
        self._taps: dict[str, TapPort | None] = {}
        self.vrouter: VRouter | None = None
        self.fabric: FabricPort | None = None
        data_plane: DataPlane = NoDataPlane()
        if file.dataplane == "model":
            tunnels = {str(tunnel): str(bound) for tunnel, bound in underlay.items()}
            plane = model_plane(reactor, rng, str(file.bind), tunnels, capture)
            self.vrouter, data_plane, self.fabric = plane.vrouter, plane.data_plane, plane.fabric
            self.vrouter.on_drop = self._dropped
        dns = (DnsServerAddress(str(lab.dns.address), lab.dns.port, lab.dns.xmpp_port),) if lab.dns is not None else ()
        self.agent = Agent(
            reactor,
            AgentSettings(
                name=file.name,
                tunnel_address=str(file.tunnel_address),
                bind_address=str(file.bind),
                control_nodes=control_nodes,
                dns_servers=dns,
                tunnel_type="MPLSoUDP",
                introspect_port=file.introspect_port,
                introspect_address=str(file.bind),
                port_api_address=str(file.bind),
                port_api_port=file.port_api_port or None,
            ),
            data_plane,
            rng=rng,
            uuid=lambda: uuid.UUID(int=rng.getrandbits(128), version=4),
            capture=capture,
            decoder=decoder,
        )

    async def start(self) -> None:
        """Opens the fabric port and brings the agent up, as yet without machines.

        Raises:
            CannotListenError: a port is in use.
        """
        if self.fabric is not None:
            self.fabric.start()
        await self.agent.start()

    def plug(self, file: MachineFile, address: IPv4Address) -> None:
        """Announces a machine to the agent."""
        name, mac, network = file.name, file.mac, self._lab.network(file.network)
        interface = lab_uuid(self._lab.name, "interface", name)
        identity = Identity(
            name=name,
            mac=bytes.fromhex(mac.replace(":", "")) if mac else interface_mac(interface),
            address=address,
            subnet=network.subnet,
            gateway=network.gateway,
            dns_server=network.dns_server,
        )
        if file.port == "tap":
            self._taps[name] = None
        else:
            self.machines[name] = Machine(identity, lambda frame: self._from_machine(interface, frame), self._reactor)
        self._interfaces[name] = interface
        self.agent.add_port(
            Port(
                uuid=interface,
                vm_uuid=lab_uuid(self._lab.name, "machine", name),
                vn_uuid=lab_uuid(self._lab.name, "network", network.name),
                name=tap_name(name),
                mac=identity.mac.hex(":"),
                address=str(address),
                vm_name=name,
            )
        )

    def active(self, machine: str) -> bool:
        """Whether the machine's interface is up, with its vif in the data plane; connects it then."""
        interface = self.agent.oper.interfaces.get(self._interfaces[machine])
        if interface is None or not interface.active:
            return False
        if self.vrouter is not None:
            vif = self.vrouter.interface(interface.index)
            if vif is None:
                return False
            self._connect(machine, interface.index)
        return True

    def _connect(self, machine: str, vif_index: int) -> None:
        """The far end of the vif: a stand-in in memory, or a TAP device.

        Raises:
            LabError: the device cannot be made.
        """
        assert self.vrouter is not None
        if machine in self.machines:
            self.vrouter.connect(vif_index, self.machines[machine].receive)
        elif self._taps[machine] is None:
            tap = TapPort(self._reactor, tap_name(machine), self.vrouter, vif_index)
            try:
                tap.start()
            except TapError as error:
                raise LabError(f"machine {machine}: {error}") from error
            self._taps[machine] = tap

    def has(self, machine: str) -> bool:
        """Whether the machine is here, in memory or on a TAP device."""
        return machine in self._interfaces

    def why_inactive(self, machine: str) -> str:
        """What the machine's interface still lacks."""
        interface = self.agent.oper.interfaces.get(self._interfaces[machine])
        return "not known to the agent" if interface is None else interface.why

    def prefixes(self, instance: str) -> set[str]:
        """The IPv4 routes of an instance that traffic would use: in the data plane, or without one, the agent's."""
        return self.tables().get(instance, set())

    def tables(self) -> dict[str, set[str]]:
        """The same of every instance: the data plane's tables are read once, and hold the routes of all."""
        vrfs = self.agent.oper.rib.vrfs
        if self.vrouter is None:
            return {
                name: {
                    f"{IPv4Address(route.key.address)}/{route.key.length}"
                    for route in vrf.inet.values()
                    if route.active is not None and isinstance(route.key, Prefix)
                }
                for name, vrf in vrfs.items()
            }
        found: dict[str, set[str]] = {name: set() for name in vrfs}
        by_index = {vrf.index: found[name] for name, vrf in vrfs.items()}
        for route in self.vrouter.dump(InetRoute):
            if route.vrf in by_index:
                by_index[route.vrf].add(f"{IPv4Address(route.prefix)}/{route.prefix_len}")
        return found

    async def stop(self) -> None:
        for machine in self.machines.values():
            machine.stop()
        for tap in self._taps.values():
            if tap is not None:
                tap.stop()
        await self.agent.stop()
        if self.fabric is not None:
            await self.fabric.stop()

    def _from_machine(self, interface: str, frame: bytes) -> None:
        index = self.agent.vif_index(interface)
        if self.vrouter is not None and index is not None:
            self.vrouter.receive(index, frame)

    def _dropped(self, reason: Drop, vif: int, frame: bytes, detail: str) -> None:
        text = f"{reason.label} ({detail})" if detail else reason.label
        self.drops[text] += 1
        self.recent_drops.append((self._reactor.seconds(), text))
        del self.recent_drops[:-RECENT_DROPS]

"""A scripted control node over transports in memory, two hosts with forwarding models.

And configuration to feed them.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from types import SimpleNamespace
from typing import Any
from uuid import UUID, uuid5

import pytest
from twisted.internet.defer import Deferred, succeed
from twisted.internet.task import Clock

from contrail_emulator.agent.agent import Agent
from contrail_emulator.agent.channels.decode import Decoder
from contrail_emulator.agent.ksync import DataPlane, ModelDataPlane, NoDataPlane
from contrail_emulator.agent.port import Port
from contrail_emulator.agent.settings import AgentSettings, Timers
from contrail_emulator.config.schema.xml import to_xml
from contrail_emulator.control.xmpp import item_rules, pubsub
from contrail_emulator.control.xmpp.config_message import (
    UPDATE,
    Change,
    ConfigLink,
    ConfigNode,
    NodeName,
    batches,
    subscription,
    write,
)
from contrail_emulator.control.xmpp.family import ItemFamily, split_node
from contrail_emulator.control.xmpp.item_id import entry_id
from contrail_emulator.control.xmpp.items import TABBED, EnetEntry, Entry, McastEntry, UnicastEntry
from contrail_emulator.control.xmpp.names import virtual_router_name
from contrail_emulator.control.xmpp.next_hop import OlistNextHop
from contrail_emulator.control.xmpp.stanza import Stanza, parse
from contrail_emulator.vrouter_model.vrouter import VRouter

SPACE = UUID("00000000-0000-4000-8000-00000000c0de")
FABRIC = "default-domain:default-project:ip-fabric:__default__"


def uuid_of(name: str) -> str:
    return str(uuid5(SPACE, name))


class Config:
    """Configuration as units of the configuration message, made with the schema's own types."""

    def __init__(self) -> None:
        self.units: list[ConfigNode | ConfigLink] = []

    def node(self, kind: str, name: str, **properties: Any) -> str:
        if "uuid" in properties:
            value = UUID(properties.pop("uuid")).int
            halves = {"uuid_mslong": value >> 64, "uuid_lslong": value & (1 << 64) - 1}
            properties["id_perms"] = {"enable": properties.pop("enable", True), "uuid": halves}
        rendered = tuple(e for key, value in properties.items() for e in to_xml(kind, key, value))
        self.units.append(ConfigNode(kind, name, rendered))
        return name

    def link(self, metadata: str, left: tuple[str, str], right: tuple[str, str], value: Any = None) -> None:
        if value is None:
            self.units.append(ConfigLink(NodeName(*left), NodeName(*right), metadata))
            return
        first, second = sorted((left[1], right[1]))
        middle = f"attr({first},{second})"
        self.units.append(ConfigNode(metadata, middle, tuple(to_xml(metadata, "value", value))))
        for end in (left, right):
            self.units.append(ConfigLink(NodeName(metadata, middle), NodeName(*end), metadata))

    def network(self, name: str, subnet: str, mode: str = "l3", vni: int = 5, **ipam: Any) -> str:
        fq = f"default-domain:demo:{name}"
        vn, ri = ("virtual-network", fq), ("routing-instance", f"{fq}:{name}")
        detail = {"forwarding_mode": mode}
        self.node(
            "virtual-network",
            fq,
            uuid=uuid_of(fq),
            virtual_network_properties=detail,
            virtual_network_network_id=vni,
        )
        self.node("routing-instance", ri[1])
        self.link("virtual-network-routing-instance", vn, ri)
        base, length = subnet.split("/")
        dots = base.rsplit(".", 1)[0]
        ipam_name = f"default-domain:demo:ipam-{name}"
        self.node("network-ipam", ipam_name, network_ipam_mgmt=ipam or {"ipam_dns_method": "none"})
        value = {
            "ipam_subnets": [
                {
                    "subnet": {"ip_prefix": base, "ip_prefix_len": int(length)},
                    "default_gateway": f"{dots}.1",
                    "dns_server_address": f"{dots}.2",
                    "enable_dhcp": True,
                }
            ]
        }
        self.link("virtual-network-network-ipam", vn, ("network-ipam", ipam_name), value)
        return fq

    def machine(
        self, router: str, name: str, network: str, address: str, groups: tuple[str, ...] = (), **properties: Any
    ) -> Port:
        """A machine with one interface; the port that announces it."""
        vmi, vm = f"default-domain:demo:{name}-port", uuid_of(f"vm-{name}")
        index = int(address.rsplit(".", 1)[1])
        mac = f"02:00:00:00:00:{index:02x}"
        self.node("virtual-machine", vm, display_name=name)
        self.node(
            "virtual-machine-interface",
            vmi,
            uuid=uuid_of(vmi),
            virtual_machine_interface_mac_addresses={"mac_address": [mac]},
            **properties,
        )
        ip = f"ip-{name}"
        self.node("instance-ip", ip, instance_ip_address=address)
        me = ("virtual-machine-interface", vmi)
        self.link("virtual-machine-interface-virtual-machine", me, ("virtual-machine", vm))
        self.link("virtual-machine-interface-virtual-network", me, ("virtual-network", network))
        self.link("instance-ip-virtual-machine-interface", ("instance-ip", ip), me)
        instance = f"{network}:{network.rpartition(':')[2]}"
        ri = ("routing-instance", instance)
        self.link("virtual-machine-interface-routing-instance", me, ri, {"direction": "both"})
        for group in groups:
            self.link("virtual-machine-interface-security-group", me, ("security-group", group))
        router_name = f"default-global-system-config:{router}"
        self.link("virtual-router-virtual-machine", ("virtual-router", router_name), ("virtual-machine", vm))
        return Port(uuid_of(vmi), vm, uuid_of(network), f"tap{index}", mac, vm_name=name)

    def floating_ip(self, machine: str, network: str, address: str) -> None:
        """A floating address of `network` for the machine called `machine`."""
        pool = f"{network}:pool"
        name = f"{pool}:{address}"
        vmi = f"default-domain:demo:{machine}-port"
        self.node("floating-ip-pool", pool)
        self.node("floating-ip", name, floating_ip_address=address)
        self.link("virtual-network-floating-ip-pool", ("virtual-network", network), ("floating-ip-pool", pool))
        self.link("floating-ip-pool-floating-ip", ("floating-ip-pool", pool), ("floating-ip", name))
        me = ("virtual-machine-interface", vmi)
        self.link("floating-ip-virtual-machine-interface", ("floating-ip", name), me)

    def group(self, name: str, number: int, ingress: list[Any], egress: list[Any]) -> str:
        fq = f"default-domain:demo:{name}"
        self.node("security-group", fq, uuid=uuid_of(fq), security_group_id=number)
        for side, rules in (("ingress", ingress), ("egress", egress)):
            acl = f"{fq}:{side}-access-control-list"
            self.node("access-control-list", acl, access_control_list_entries={"dynamic": False, "acl_rule": rules})
            self.link("security-group-access-control-list", ("security-group", fq), ("access-control-list", acl))
        return fq

    def settings(self, *encapsulations: str, graceful_restart: bool | None = None) -> None:
        if encapsulations:
            self.node(
                "global-vrouter-config",
                "default-global-system-config:default-global-vrouter-config",
                encapsulation_priorities={"encapsulation": list(encapsulations)},
            )
        if graceful_restart is not None:
            self.node(
                "global-system-config",
                "default-global-system-config",
                graceful_restart_parameters={"enable": graceful_restart},
            )

    def messages(self, agent: str, operation: str = UPDATE) -> list[bytes]:
        changes = (Change(operation, unit) for unit in self.units)
        return [write(message, virtual_router_name(agent)) for message in batches(changes)]


class FakeSession:
    """The agent's end; what is sent is parsed at once and given to the node."""

    def __init__(self, node: ControlNode, client: FakeClient) -> None:
        self.node = node
        self.client = client
        self.open = True

    @property
    def peer_address(self) -> str:
        return self.node.address

    def send(self, data: bytes) -> bool:
        assert self.open
        self.node.raw.append(data)
        self.node.stanza(self, parse(data))
        return True

    def close(self, reason: str) -> None:
        self.client.drop(reason)


class FakeClient:
    """Stands for control.xmpp's client: connects a moment after `start` when its node is up."""

    def __init__(self, clock: Clock, node: ControlNode, channel: Any, name: str) -> None:
        self.clock = clock
        self.node = node
        self.channel = channel
        self.name = name
        self.session: FakeSession | None = None
        self.hold_time: float = 0
        self.dscp = 0

    def set_hold_time(self, seconds: float) -> None:
        self.hold_time = seconds

    def set_dscp(self, dscp: int) -> None:
        self.dscp = dscp

    def start(self) -> None:
        self.node.clients.append(self)
        self.clock.callLater(0.01, self.connect)

    def connect(self) -> None:
        if self.node.up and self.session is None:
            self.session = FakeSession(self.node, self)
            self.channel.established(self.session)

    def drop(self, reason: str = "connection lost") -> None:
        session, self.session = self.session, None
        if session is not None:
            session.open = False
            self.node.forget(self)
            self.channel.closed(session, reason)

    def receive(self, data: bytes) -> None:
        if self.session is not None:
            self.channel.stanza(self.session, parse(data))

    def stop(self) -> Deferred[None]:
        if self in self.node.clients:
            self.node.clients.remove(self)
        self.drop("stopped")
        return succeed(None)

    def rows(self) -> dict[str, object]:
        return {}


Key = tuple[str, ItemFamily, str]


class ControlNode:
    """A minimal control node: keeps what agents publish and reflects it to the subscribers of the instance."""

    def __init__(self, address: str) -> None:
        self.address = address
        self.up = True
        self.clients: list[FakeClient] = []
        self.raw: list[bytes] = []
        self.log: list[str] = []
        self.config: dict[str, Config] = {}
        self.subscriptions: dict[str, dict[str, int]] = {}
        self.routes: dict[Key, dict[str, Entry]] = {}
        self.held: dict[str, pubsub.Publish] = {}
        self.trees: dict[str, dict[str, McastEntry]] = {}

    # what agents say

    def stanza(self, session: FakeSession, stanza: Stanza) -> None:
        name = session.client.name
        form = pubsub.read(stanza)
        if stanza.addressed("/config") and isinstance(form, pubsub.Subscribe | pubsub.Unsubscribe):
            self.log.append(f"{name} {type(form).__name__.lower()} {form.node}")
            if subscription(form) is not None and form.node.startswith("virtual-router:"):
                for message in self.config.get(name, Config()).messages(name):
                    session.client.receive(message)
            return
        match form:
            case pubsub.Subscribe():
                assert form.node not in self.subscriptions.get(name, {}), "a duplicate subscribe closes the session"
                self.log.append(f"{name} subscribe {form.node} {form.instance_id}")
                self.subscriptions.setdefault(name, {})[form.node] = form.instance_id
                self._dump(session.client, form.node)
            case pubsub.Unsubscribe():
                self.log.append(f"{name} unsubscribe {form.node}")
                del self.subscriptions[name][form.node]
            case pubsub.Publish():
                self.held[name] = form
            case pubsub.Collection():
                self._collection(name, form)
            case pubsub.EndOfRib():
                self.log.append(f"{name} end-of-rib {form.form}")

    def _collection(self, name: str, form: pubsub.Collection) -> None:
        held = self.held.pop(name)
        assert held.node == form.node, "the collection repeats the node of the publish"
        assert form.instance in self.subscriptions[name], "a route before its subscription closes the session"
        family, _ = split_node(form.node)
        assert family is not None
        entry = item_rules.read_published(family, held.entries[0])
        self.log.append(f"{name} {'associate' if form.associate else 'dissociate'} {form.node}")
        if form.associate:
            item_rules.check_next_hops(entry, form.instance == FABRIC)
        key = (form.instance, family, entry_id(entry))
        told = self.routes.setdefault(key, {})
        if form.associate:
            told[name] = entry
        else:
            told.pop(name, None)
        self._reflect(key)

    # what agents are told

    def _reflect(self, key: Key) -> None:
        instance = key[0]
        for client in self.clients:
            if instance in self.subscriptions.get(client.name, {}):
                self._tell(client, key)

    def _tell(self, client: FakeClient, key: Key) -> None:
        instance, family, ident = key
        told = self.routes[key]
        node = family.node(instance)
        if not told:
            self._send(client, pubsub.retract_body(node, [ident]))
            return
        first = next(iter(told.values()))
        merged: Entry = first
        if isinstance(first, UnicastEntry):
            hops = tuple(hop for entry in told.values() if isinstance(entry, UnicastEntry) for hop in entry.next_hops)
            merged = first._replace(next_hops=hops, virtual_network=hops[0].virtual_network)
        elif isinstance(first, EnetEntry) and first.mac == "ff:ff:ff:ff:ff:ff":
            others = tuple(
                entry.next_hops[0]
                for name, entry in told.items()
                if name != client.name and isinstance(entry, EnetEntry)
            )
            merged = first._replace(next_hops=(), olist=others)
        elif isinstance(first, McastEntry):
            return
        self._send(client, pubsub.items_body(node, [(ident, merged.to_xml(TABBED))]))

    def _dump(self, client: FakeClient, instance: str) -> None:
        for key, told in self.routes.items():
            if key[0] == instance and told:
                self._tell(client, key)

    def _send(self, client: FakeClient, body: bytes) -> None:
        client.receive(pubsub.message_header(client.name) + body)

    def send(self, agent: str, body: bytes) -> None:
        for client in self.clients:
            if client.name == agent:
                self._send(client, body)

    def items(self, agent: str, node: str, *entries: Entry) -> None:
        self.send(agent, pubsub.items_body(node, [(entry_id(entry), entry.to_xml(TABBED)) for entry in entries]))

    def tree(self, agent: str, instance: str, label: int, *neighbours: tuple[str, int]) -> None:
        olist = tuple(OlistNextHop(address, str(number), ("gre", "udp")) for address, number in neighbours)
        entry = McastEntry("255.255.255.255", source_label=label, olist=olist)
        body = pubsub.items_body(f"1/241/{instance}", [(f"1.1.1.1:1:{entry.group},0.0.0.0", entry.to_xml(TABBED))])
        self.send(agent, body)

    def reconfigure(self, agent: str, config: Config, operation: str = UPDATE) -> None:
        for client in self.clients:
            if client.name == agent:
                for message in config.messages(agent, operation):
                    client.receive(message)

    def forget(self, client: FakeClient) -> None:
        """A session without graceful restart: everything of it goes."""
        self.subscriptions.pop(client.name, None)
        self.held.pop(client.name, None)
        for key, told in self.routes.items():
            if told.pop(client.name, None) is not None:
                self._reflect(key)

    def fall(self) -> None:
        self.up = False
        for client in list(self.clients):
            client.drop()

    def rise(self) -> None:
        self.up = True
        for client in list(self.clients):
            client.connect()


class Host:
    """One agent, its forwarding model and its machines' ends."""

    def __init__(self, world: World, name: str, tunnel: str, data_plane: str, **settings: Any) -> None:
        self.world = world
        self.name = name
        self.vrouter = VRouter(world.clock.seconds, random.Random(5))
        self.plane: DataPlane = ModelDataPlane(self.vrouter) if data_plane == "model" else NoDataPlane()
        nodes = tuple((node.address, 5269) for node in world.nodes)
        defaults = {"timers": Timers(), "control_nodes": nodes}
        self.settings = AgentSettings(name, tunnel, underlay_prefix_length=24, **{**defaults, **settings})
        uuids = iter(UUID(int=number) for number in range(1, 1 << 20))
        self.agent = Agent(
            world.clock,
            self.settings,
            self.plane,
            rng=random.Random(7),
            uuid=lambda: next(uuids),
            connect=self._connect,
            decoder=world.decoder,
        )
        self.received: dict[str, list[bytes]] = {}
        self.vrouter.connect(0, world.fabric)

    def _connect(self, channel: Any) -> FakeClient:
        address = channel.address if hasattr(channel, "address") else channel.server.address
        node = next(node for node in self.world.nodes if node.address == address)
        return FakeClient(self.world.clock, node, channel, self.name)

    def add(self, port: Port) -> Port:
        self.agent.add_port(port)
        self.world.run()
        vif = self.agent.vif_index(port.uuid)
        assert vif is not None
        frames = self.received.setdefault(port.uuid, [])
        self.vrouter.connect(vif, frames.append)
        return port

    def send(self, port: Port, frame: bytes) -> None:
        vif = self.agent.vif_index(port.uuid)
        assert vif is not None
        self.vrouter.receive(vif, frame)
        self.world.run()

    def frames(self, port: Port) -> list[bytes]:
        found = list(self.received[port.uuid])
        self.received[port.uuid].clear()
        return found


class FakeUdp:
    """A UDP port in memory: what is written is kept, what is to be received is given."""

    def __init__(self, protocol: Any, interface: str) -> None:
        self.protocol = protocol
        self.interface = interface
        self.written: list[tuple[bytes, tuple[str, int]]] = []
        self.open = True

    def write(self, data: bytes, address: tuple[str, int]) -> None:
        self.written.append((data, address))

    def getHost(self) -> Any:  # noqa: N802 - Twisted's name
        return SimpleNamespace(host=self.interface, port=8098)

    def stopListening(self) -> None:  # noqa: N802 - Twisted's name
        self.open = False


class FakeReactor(Clock):
    """A clock with UDP ports in memory."""

    def __init__(self) -> None:
        super().__init__()
        self.udp: list[FakeUdp] = []

    def listenUDP(self, port: int, protocol: Any, interface: str = "") -> FakeUdp:  # noqa: N802 - Twisted's name
        self.udp.append(FakeUdp(protocol, interface))
        protocol.makeConnection(self.udp[-1])
        return self.udp[-1]


class World:
    """A clock, control nodes, hosts, and a fabric that carries frames by outer destination address."""

    def __init__(self, nodes: int = 1) -> None:
        self.clock = FakeReactor()
        self.nodes = [ControlNode(f"192.0.2.{100 + index}") for index in range(nodes)]
        self.hosts: dict[str, Host] = {}
        self.decoder = Decoder()
        self.wire: list[bytes] = []

    def host(self, name: str, tunnel: str, config: Config, data_plane: str = "model", **settings: Any) -> Host:
        for node in self.nodes:
            node.config[name] = config
        host = self.hosts[name] = Host(self, name, tunnel, data_plane, **settings)
        host.agent.start()
        self.run(0.1)
        return host

    def fabric(self, frame: bytes) -> None:
        self.wire.append(frame)
        destination = ".".join(str(part) for part in frame[30:34])
        for host in self.hosts.values():
            if host.settings.tunnel_address == destination:
                host.vrouter.receive(0, frame)

    def run(self, seconds: float = 0.0) -> None:
        """Let pending turns happen; then pass time."""
        for _ in range(5):
            self.clock.advance(0)
        steps = max(int(seconds), 1) if seconds else 0
        for _ in range(steps):
            self.clock.advance(seconds / steps)


@pytest.fixture
def world() -> Iterator[World]:
    made = World()
    yield made
    for host in made.hosts.values():
        host.agent.stop()
    assert not made.clock.getDelayedCalls(), "a stopped agent leaves no timer"


@contextmanager
def _world() -> Iterator[World]:
    made = World()
    yield made
    for host in made.hosts.values():
        host.agent.stop()


@pytest.fixture(scope="session")
def fresh_world() -> Callable[[], AbstractContextManager[World]]:
    """A world for each example of a property test."""
    return _world


@pytest.fixture
def make_world() -> Iterator[Callable[[int], World]]:
    made: list[World] = []

    def make(nodes: int) -> World:
        made.append(World(nodes))
        return made[-1]

    yield make
    for one in made:
        for host in one.hosts.values():
            host.agent.stop()


@pytest.fixture
def config() -> Config:
    return Config()


@pytest.fixture(scope="session")
def new_config() -> type[Config]:
    return Config

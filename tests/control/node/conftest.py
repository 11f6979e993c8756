"""Agents with fake sessions at a routing core on a clock, and short ways to say what they send."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from lxml import etree
from twisted.internet.task import Clock

from contrail_emulator.base.behaviour import CONTRAIL, Behaviour
from contrail_emulator.config import schema
from contrail_emulator.config.graph import Graph
from contrail_emulator.config.schema import Schema
from contrail_emulator.control.agent_config import AgentConfig
from contrail_emulator.control.bgp import ext_community
from contrail_emulator.control.channels.agent import AgentChannel, AgentLocal
from contrail_emulator.control.channels.bgp_encoder import BgpEncoder
from contrail_emulator.control.channels.xmpp_encoder import XmppEncoder
from contrail_emulator.control.routing import CoreSettings, InstanceSettings, RoutingCore
from contrail_emulator.control.xmpp import config_message, item_id, names, pubsub, stanza
from contrail_emulator.control.xmpp.config_message import VmSubscribe, VrSubscribe
from contrail_emulator.control.xmpp.family import ItemFamily
from contrail_emulator.control.xmpp.items import EnetEntry, Entry, McastEntry, MvpnEntry, NextHop, OlistNextHop
from contrail_emulator.control.xmpp.items import UnicastEntry as Unicast
from contrail_emulator.control.xmpp.stanza import Stanza

AS = 64512
BLUE = "default-domain:demo:blue:blue"
NETWORK = "default-domain:demo:blue"
TO = f"{names.CONTROL_NODE_JID}/{names.BGP_PEER}"


@dataclass(eq=False)
class FakeSession:
    """What a channel sees of a session; `sent` are the messages, `closed` the reason it was closed for."""

    peer_name: str
    peer_address: str
    blocked: bool = False
    sent: list[bytes] = field(default_factory=list)
    closed: str = ""

    def send(self, *parts: bytes) -> bool:
        """Whatever a test makes a control node say has the shape of the reference."""
        data = b"".join(parts)
        shapes().assertValid(etree.fromstring(data.strip()))
        self.sent.append(data)
        return not self.blocked

    def close(self, reason: str) -> None:
        self.closed = reason

    def rows(self) -> dict[str, object]:
        return {"name": self.peer_name}


class Bench:
    """A routing core with agents. `agent` makes one, `flush` does all work that waits."""

    def __init__(self, behaviour: Behaviour = CONTRAIL, autonomous_system: int = AS) -> None:
        self.clock = Clock()
        self.graph = Graph()
        self.schema = load_schema()
        self.behaviour = behaviour
        self.config = AgentConfig(self.graph, self.schema)
        self.core = RoutingCore(
            CoreSettings(autonomous_system=autonomous_system, router_id=0x0AFF0001),
            {
                "bgp": BgpEncoder(behaviour),
                "xmpp": XmppEncoder(
                    autonomous_system,
                    lambda asn, index: self.core.virtual_network_name(asn, index),
                    lambda name: self.core.instances[name].settings.virtual_network,
                ),
            },
            behaviour,
        )
        self.local = AgentLocal(autonomous_system=autonomous_system, seconds=self.clock.seconds, behaviour=behaviour)
        self.agents: list[AgentChannel] = []

    def add_instance(self, name: str = BLUE, index: int = 1) -> None:
        target = ext_community.route_target(f"target:64512:{index + 7}")
        self.core.add_instance(
            InstanceSettings(
                name=name,
                index=index,
                virtual_network=NETWORK,
                virtual_network_index=index + 4,
                import_targets=frozenset({target}),
                export_targets=frozenset({target}),
            )
        )
        for agent in self.agents:
            agent.instance_added(name)

    def remove_instance(self, name: str = BLUE) -> None:
        for agent in self.agents:
            agent.instance_removed(name)
        self.core.delete_instance(name)

    def agent(self, number: int = 1) -> Agent:
        session = FakeSession(f"compute-{number}", f"192.0.2.{number}")
        channel = AgentChannel(session, self.core, self.config, self.local)
        self.agents.append(channel)
        return Agent(self, channel, session)

    def flush(self) -> None:
        assert not self.core.flush(), "everything is done"

    def prefixes(self, table: str) -> list[str]:
        return sorted(row["prefix"] for row in self.core.rows(table))

    def paths(self, table: str, prefix: str) -> list[dict[str, Any]]:
        (row,) = self.core.rows(table, prefix=prefix)
        return list(row["paths"])


class Agent:
    """What a test does with an agent."""

    def __init__(self, bench: Bench, channel: AgentChannel, session: FakeSession) -> None:
        self.bench = bench
        self.channel = channel
        self.session = session

    def feed(self, data: bytes) -> None:
        for part in split(data):
            self.channel.stanza(part)

    def subscribe(self, instance: str = BLUE, instance_id: int = 1, no_ribout: bool = False) -> None:
        self.feed(pubsub.Subscribe(instance, instance_id, no_ribout).to_bytes(self.session.peer_name, TO, "subscribe1"))

    def unsubscribe(self, instance: str = BLUE) -> None:
        self.feed(pubsub.Unsubscribe(instance).to_bytes(self.session.peer_name, TO, "subscribe2"))

    def publish(self, *entries: Entry, instance: str = BLUE, add: bool = True, node: str = "") -> None:
        node = node or node_of(entries[0], instance)
        self.publish_raw(node, [entry.to_xml() for entry in entries], instance, add)

    def publish_raw(self, node: str, entries: list[bytes], instance: str = BLUE, add: bool = True) -> None:
        me = self.session.peer_name
        self.feed(pubsub.Publish.write(node, entries, me, TO, "pubsub1"))
        self.feed(pubsub.Collection(instance, node, add).to_bytes(me, TO, "collection1"))

    def end_of_rib(self) -> None:
        self.feed(pubsub.end_of_rib_pair(self.session.peer_name, TO))

    def router(self, name: str = "default-global-system-config:compute-1") -> None:
        self.feed(VrSubscribe(name).to_bytes(self.session.peer_name))

    def machine(self, uuid: str, subscribe: bool = True) -> None:
        self.feed(VmSubscribe(uuid, subscribe).to_bytes(self.session.peer_name))

    def hear(self) -> tuple[dict[str, etree._Element], list[str]]:
        """Items by `<family> <id>` and retracted ids since the last time, of what was sent as routes."""
        items: dict[str, etree._Element] = {}
        gone: list[str] = []
        for message in self.session.sent:
            for part in split(message):
                form = pubsub.read(part)
                if isinstance(form, pubsub.Items):
                    family = "/".join(form.node.split("/")[:2])
                    items.update({f"{family} {ident}": entry for ident, entry in form.items})
                elif isinstance(form, pubsub.Retract):
                    gone.extend(form.ids)
        self.session.sent.clear()
        return items, gone

    def configuration(self) -> list[tuple[str, str]]:
        """What configuration says, in order, since the last time: (operation, node or link as text)."""
        found: list[tuple[str, str]] = []
        for message in self.session.sent:
            for part in split(message):
                read = config_message.read(part)
                assert read is not None and not read.faults
                for change in read.message.changes():
                    unit = change.unit
                    if isinstance(unit, config_message.ConfigLink):
                        text = f"{unit.metadata}: {unit.left.name} -- {unit.right.name}"
                    else:
                        text = f"{unit.type} {unit.name}"
                    found.append((change.operation, text))
        self.session.sent.clear()
        return found


_PARSER = stanza.StanzaParser()


def split(data: bytes) -> Iterator[Stanza]:
    for end in (b"</iq>", b"</message>"):
        parts = data.split(end)
        if len(parts) > 1:
            for part in parts[:-1]:
                yield _PARSER.parse(part + end)
            return


def node_of(entry: Entry, instance: str) -> str:
    match entry:
        case Unicast():
            return item_id.unicast_node(entry.family, instance, entry.address)
        case EnetEntry():
            return item_id.enet_node(entry.mac, entry.address)
        case McastEntry() | MvpnEntry():
            return item_id.multicast_node(entry.family, instance, entry.group)


def hop(number: int = 1, label: int = 25, *encapsulations: str) -> NextHop:
    return NextHop(f"192.0.2.{number}", label, encapsulations or ("gre", "udp"))


def route(prefix: str = "10.1.1.3/32", number: int = 1, label: int = 25, **more: Any) -> Unicast:
    family = ItemFamily.INET6 if ":" in prefix else ItemFamily.INET
    return Unicast(family, prefix, next_hops=(hop(number, label),), **more)


def mac(address: str = "02:aa:bb:cc:dd:01", prefix: str = "10.1.1.3/32", number: int = 1, **more: Any) -> EnetEntry:
    return EnetEntry(address, prefix, next_hops=(hop(number, 5001, "vxlan"),), **more)


def tree(number: int = 1, labels: str = "4100-4999", group: str = "255.255.255.255") -> McastEntry:
    return McastEntry(group, next_hops=(OlistNextHop(f"192.0.2.{number}", labels, ("gre", "udp")),))


@cache
def shapes() -> etree.RelaxNG:
    return etree.RelaxNG(etree.parse(str(Path(__file__).parents[1] / "xmpp" / "stanzas.rng")))


_SCHEMA: list[Schema] = []


def load_schema() -> Schema:
    if not _SCHEMA:
        _SCHEMA.append(schema.load())
    return _SCHEMA[0]


@pytest.fixture
def bench() -> Bench:
    return Bench()


@pytest.fixture
def make_bench() -> Callable[..., Bench]:
    return Bench

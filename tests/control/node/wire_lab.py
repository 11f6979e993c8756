"""Control nodes, agents and routers that talk in bytes, without sockets: the lab of `test_random_wire`.

What a control node says to another one, or to a router, is UPDATE messages that the other side reads; what it says to
an agent is XMPP stanzas. Sessions are lost, blocked and cleared at will; the clock stands still between steps.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from control.node.conftest import AS, Agent, Bench, FakeSession, split

from contrail_emulator.base.behaviour import CONTRAIL
from contrail_emulator.control.bgp import ext_community, update
from contrail_emulator.control.bgp.attributes import AsPath, Attributes
from contrail_emulator.control.bgp.close_reason import CloseReason
from contrail_emulator.control.bgp.counters import Counters
from contrail_emulator.control.bgp.family import Family
from contrail_emulator.control.bgp.framing import Framer
from contrail_emulator.control.bgp.negotiation import Negotiated
from contrail_emulator.control.bgp.nlri import codec
from contrail_emulator.control.bgp.settings import PeerSettings
from contrail_emulator.control.channels.agent import AgentChannel
from contrail_emulator.control.channels.bgp_encoder import BgpEncoder
from contrail_emulator.control.channels.bgp_peer import Local, PeerChannel
from contrail_emulator.control.channels.xmpp_encoder import XmppEncoder
from contrail_emulator.control.routing import CoreSettings, GroupKey, InstanceSettings, RoutingCore
from contrail_emulator.control.xmpp import config_message, pubsub
from contrail_emulator.control.xmpp.family import ItemFamily
from contrail_emulator.control.xmpp.items import EnetEntry, McastEntry, UnicastEntry

MESH = (Family.ROUTE_TARGET, Family.INET_VPN, Family.INET6_VPN, Family.E_VPN, Family.ERM_VPN)
ENDED = CloseReason(6, 2, False, graceful=False)
KEY = GroupKey(encoding="bgp", peer_type="ebgp")
VPN = "bgp.l3vpn.0"


def instance_name(number: int) -> str:
    return f"default-domain:demo:net{number}:net{number}"


class Pipe:
    """A peer as a channel of one control node sees it, and what it was sent that was not read yet."""

    long_lived = False

    def __init__(self, name: str, address: str, autonomous_system: int, identifier: int, *families: Family) -> None:
        self.name = name
        self.settings = PeerSettings(name=name, address=address, autonomous_system=autonomous_system, families=families)
        self.negotiated: Negotiated | None = Negotiated(
            families, local_as=AS, peer_as=autonomous_system, peer_identifier=identifier
        )
        self.blocked = self.block_next = False
        self.waiting: list[bytes | Family] = []
        self.counters = Counters()
        self.channel: PeerChannel | None = None

    def send(self, data: bytes, *, tallied: bool = False) -> bool:
        self.waiting.append(data)
        self.blocked, self.block_next = self.blocked or self.block_next, False
        return not self.blocked

    def send_end_of_rib(self, family: Family) -> bool:
        self.waiting.append(family)
        return True

    def prefixes(self, family: Family, count: int) -> bool:
        return True

    def unblock(self) -> None:
        self.blocked = self.block_next = False
        if self.channel is not None:
            self.channel.unblocked()

    def take(self) -> list[bytes | Family]:
        taken, self.waiting = self.waiting, []
        return taken


class Reader:
    """The receiving side of a session: UPDATEs out of bytes."""

    def __init__(self, negotiated: Negotiated) -> None:
        self._negotiated = negotiated
        self._framer = Framer(CONTRAIL)

    def read(self, data: bytes) -> Iterator[update.Received]:
        self._framer.feed(data)
        while (message := self._framer.next_message()) is not None:
            received = update.read(message[1], self._negotiated, CONTRAIL)
            assert not received.faults
            yield received


class Node(Bench):
    """A control node: a routing core with its agents and peers."""

    def __init__(self, number: int) -> None:
        super().__init__()
        self.number = number
        self.router_id = 0x0A000001 + number
        self.core = RoutingCore(
            CoreSettings(autonomous_system=AS, router_id=self.router_id),
            {
                "bgp": BgpEncoder(),
                "xmpp": XmppEncoder(
                    AS,
                    lambda asn, index: self.core.virtual_network_name(asn, index),
                    lambda name: self.core.instances[name].settings.virtual_network,
                ),
            },
        )
        self.empty = self.sizes()

    def sizes(self) -> dict[str, int]:
        """What must be as it was when everything is gone."""
        core = self.core
        tables = {
            name: len(table.routes) + len(table.groups) + len(table.targets) for name, table in core.tables.items()
        }
        return tables | {
            "sets": len(core.attributes), "labels": len(core.label_blocks), "calls": len(self.clock.getDelayedCalls()),
        }  # fmt: skip

    def agent_channel(self, session: FakeSession) -> AgentChannel:
        return AgentChannel(session, self.core, self.config, self.local)

    def channel(self, pipe: Pipe) -> PeerChannel:
        """The session is up."""
        local = Local(
            autonomous_system=AS, router_id=self.router_id, cluster_id=0, started=0.0, end_of_rib_timeout=300.0,
            hold_back_end_of_rib=False, configured=lambda: True,
        )  # fmt: skip
        pipe.channel = PeerChannel(pipe, self.core, self.clock, local)
        pipe.channel.established()
        return pipe.channel

    def set_instance(self, number: int, imports: set[str], exports: set[str]) -> None:
        name = instance_name(number)
        settings = InstanceSettings(
            name=name,
            index=number + 1,
            virtual_network=name.rpartition(":")[0],
            virtual_network_index=number + 101,
            import_targets=frozenset(map(ext_community.route_target, imports)),
            export_targets=frozenset(map(ext_community.route_target, exports)),
        )
        if name in self.core.instances:
            self.core.update_instance(settings)
        else:
            self.core.add_instance(settings)
            for agent in self.agents:
                agent.instance_added(name)


class MeshSession:
    """A session between two control nodes."""

    def __init__(self, one: Node, two: Node) -> None:
        self.ends = [self._end(two), self._end(one)]
        self.channels = [one.channel(self.ends[0]), two.channel(self.ends[1])]
        self._readers = [Reader(end.negotiated) for end in self.ends if end.negotiated is not None]

    @staticmethod
    def _end(other: Node) -> Pipe:
        return Pipe(f"node{other.number}", f"127.0.0.{other.number + 1}", AS, other.router_id, *MESH)

    def pump(self) -> bool:
        """Hand over what waits. False when nothing did."""
        moved = False
        for here, there in ((0, 1), (1, 0)):
            for item in self.ends[here].take():
                moved = True
                if isinstance(item, Family):
                    self.channels[there].end_of_rib(item, assumed=False)
                else:
                    for received in self._readers[there].read(item):
                        self.channels[there].received(received)
        return moved

    def close(self) -> None:
        for channel in self.channels:
            channel.closed(ENDED)


class RouterSession:
    """A session of an eBGP router; `rib` is what it was told: {printed prefix: (next hop, AS path)}."""

    def __init__(self, node: Node, name: str, address: str, autonomous_system: int, identifier: int) -> None:
        self.pipe = Pipe(name, address, autonomous_system, identifier, Family.INET_VPN)
        self.node = node
        self.channel = node.channel(self.pipe)
        self.rib: dict[str, tuple[bytes, str]] = {}
        self._encoder = BgpEncoder()
        self._inbound = Reader(self.pipe.negotiated or Negotiated(()))
        self._outbound = Reader(
            Negotiated((Family.INET_VPN,), local_as=autonomous_system, peer_as=AS, peer_identifier=node.router_id)
        )

    def announce(self, key: bytes, targets: frozenset[str], next_hop: bytes, label: bytes) -> None:
        attributes = Attributes.make(
            origin=0,
            next_hop=next_hop,
            as_path=AsPath.sequence(self.pipe.settings.autonomous_system),
            ext_communities=tuple(ext_community.route_target(target) for target in sorted(targets)),
        )
        self._told(self._encoder.reach(VPN, Family.INET_VPN, "", KEY, [(key, ((attributes, label),))]))

    def withdraw(self, key: bytes) -> None:
        self._told(self._encoder.unreach(VPN, Family.INET_VPN, "", KEY, [key]))

    def _told(self, messages: Any) -> None:
        for message in messages:
            for received in self._inbound.read(message):
                self.channel.received(received)

    def pump(self) -> bool:
        items = self.pipe.take()
        text = codec(Family.INET_VPN).text
        for item in items:
            for received in self._outbound.read(item) if isinstance(item, bytes) else ():
                for gone in received.unreach:
                    for key in gone.keys:
                        del self.rib[text(key)]
                for reach in received.reach:
                    for key, _ in reach.routes:
                        self.rib[text(key)] = reach.attributes.next_hop, reach.attributes.as_path.text
        return bool(items)

    def close(self) -> None:
        self.channel.closed(ENDED)


class Connection:
    """One agent's session with one control node; `rib` is what it was told: {(node, id): entry}."""

    def __init__(self, node: Node, number: int) -> None:
        self.node = node
        self.session = FakeSession(f"agent{number}", f"192.0.2.{number + 1}")
        channel = node.agent_channel(self.session)
        node.agents.append(channel)
        self.agent = Agent(node, channel, self.session)
        self.rib: dict[tuple[str, str], Any] = {}
        self.objects: set[str] = set()
        self.heard: list[bytes] = []

    def pump(self) -> bool:
        messages = list(self.session.sent)
        self.session.sent.clear()
        self.heard += messages
        for message in messages:
            for stanza in split(message):
                form = pubsub.read(stanza)
                if isinstance(form, pubsub.Items):
                    for ident, element in form.items:
                        self.rib[form.node, ident] = _entry(form.node, element)
                elif isinstance(form, pubsub.Retract):
                    for ident in form.ids:
                        del self.rib[form.node, ident]
                elif (read := config_message.read(stanza)) is not None:
                    for change in read.message.changes():
                        if not isinstance(change.unit, config_message.ConfigLink):
                            text = f"{change.unit.type} {change.unit.name}"
                            (self.objects.discard if change.operation == "delete" else self.objects.add)(text)
        return bool(messages)

    def forget(self, instance: str) -> None:
        """The agent's VRF goes: nobody withdraws what was told of it."""
        self.pump()
        for where in [where for where in self.rib if where[0].endswith(f"/{instance}")]:
            del self.rib[where]

    def unblock(self) -> None:
        self.session.blocked = False
        self.agent.channel.unblocked()

    def close(self) -> None:
        assert self.session.closed == "", "the control node found fault with the agent"
        self.node.agents.remove(self.agent.channel)
        self.agent.channel.closed()


def _entry(node: str, element: Any) -> UnicastEntry | EnetEntry | McastEntry:
    match node.split("/")[:2]:
        case ["1", "1"]:
            return UnicastEntry.from_xml(element, ItemFamily.INET)
        case ["2", "1"]:
            return UnicastEntry.from_xml(element, ItemFamily.INET6)
        case ["25", "242"]:
            return EnetEntry.from_xml(element)
        case ["1", "241"]:
            return McastEntry.from_xml(element)
    raise AssertionError(f"an item of node {node}")

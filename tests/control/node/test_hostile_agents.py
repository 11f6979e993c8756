"""Agents that misbehave at a real control node over loopback TCP, seeded: what the others hear stays right.

Raw sockets send what agents may and may not say, in pieces of any size; sessions are cut in the middle of a stanza,
doubled, restarted and flooded, instances come and go meanwhile. The model is a few sets: who is subscribed to what, and
which routes are there; those of a restarting agent stay until it says End-of-RIB. Two agents that only listen, and all
the others that are up, must have been told exactly that at every quiet point, and nothing may be logged as an error.
"""

from __future__ import annotations

import re
import socket
import struct
from collections.abc import Callable
from random import Random
from typing import Any

import pytest
from control.node.conftest import load_schema
from control.node.test_node import ME, SYSTEM, FakeClient
from lxml import etree
from twisted.internet.defer import Deferred
from twisted.logger import LogLevel, capturedLogs, formatEvent

from contrail_emulator.control.node import ControlNode, ControlSettings
from contrail_emulator.control.xmpp.names import CONTROL_NODE_JID, PUBSUB_NAMESPACE

PATIENCE = 60
INSTANCES = [f"default-domain:demo:net{number}:net{number}" for number in range(3)]
RESTART = {"enable": True, "xmpp_helper_enable": True, "restart_time": 300, "end_of_rib_timeout": 300}
PIECES = (1, 7, 200, 4096, 65536)
FAULTS = (b"<iq><a></iq>", b"<message>\xff</message>", b"</stream:stream><iq></iq>", b"<!DOCTYPE iq><iq></iq>")
BLANKS = re.compile(rb"[ \n\r\t\xc8\x80]+")
Heard = dict[tuple[str, str], str]
Route = tuple[str, str, str]
"""Instance, family, prefix (of EVPN: MAC,address/length)."""


def hop(address: str, label: object) -> str:
    return f"<next-hops><next-hop><af>1</af><address>{address}</address><label>{label}</label></next-hop></next-hops>"


def nlri(family: str, prefix: str) -> str:
    afi, safi = family.split("/")
    mac, comma, address = prefix.partition(",")
    where = f"<mac>{mac}</mac><address>{address}</address>" if comma else f"<address>{prefix}</address>"
    return f"<nlri><af>{afi}</af><safi>{safi}</safi>{where}</nlri>"


BAD_ITEMS = [
    ("1/1", nlri("1/1", "10.1.1/24") + hop("192.0.2.1", 5)),
    ("1/1", nlri("2/1", "10.1.1.1/32") + hop("192.0.2.1", 5)),
    ("1/1", nlri("1/1", "10.1.1.1/32")),
    ("1/1", nlri("1/1", "10.1.1.1/32") + hop("0.0.0.0", 5)),
    ("1/1", nlri("1/1", "10.1.1.1/32") + hop("2001:db8::1", 5)),
    ("1/1", nlri("1/1", "10.1.1.1/32") + hop("192.0.2.1", 1 << 24)),
    ("1/1", nlri("1/1", "10.1.1.1/32") + hop("192.0.2.1", "five")),
    ("2/1", nlri("2/1", "2001:db8::1/128") + hop("192.0.2.1", 0)),
    ("25/242", nlri("25/242", "02:00:00:00:00:zz,10.1.1.1/32") + hop("192.0.2.1", 5)),
    ("25/242", nlri("25/242", "02:00:00:00:00:01,10.0.0.0/8") + hop("192.0.2.1", 5)),
    ("1/241", "<nlri><af>1</af><safi>241</safi><group>all</group></nlri>"),
    ("1/5", "<nlri><af>1</af><safi>5</safi><group>232.1.1.1</group><source/></nlri>"),
    ("9/9", ""),
    ("1/1", ""),
]


class Link:
    """A socket to the control node; `heard` is what it was told: {(node, id): next hop and label}."""

    def __init__(self, lab: Lab, name: str, address: str) -> None:
        self.lab, self.name, self.address = lab, name, address
        self.heard: Heard = {}
        self.up = self.closed = False
        self._out, self._in = bytearray(), b""
        self._socket = socket.socket()
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._socket.bind((address, 0))
        self._socket.connect(("127.0.0.1", lab.node.xmpp_port))
        self._socket.setblocking(False)
        lab.links.append(self)
        self.send(
            f'<stream:stream from="{name}" to="{CONTROL_NODE_JID}" version="1.0" xml:lang="en" xmlns="" '
            'xmlns:stream="http://etherx.jabber.org/streams"  >'.encode()
        )

    def send(self, data: bytes) -> None:
        self._out += data

    def iq(self, body: str, to: str = "bgp-peer", kind: str = "set") -> None:
        self.send(
            f'<iq type="{kind}" from="{self.name}" to="{CONTROL_NODE_JID}/{to}">'
            f'<pubsub xmlns="{PUBSUB_NAMESPACE}">{body}</pubsub></iq>'.encode()
        )

    def subscribe(self, instance: str, number: int, silent: bool = False) -> None:
        options = f"<instance-id>{number}</instance-id><no-ribout>{str(silent).lower()}</no-ribout>"
        self.iq(f'<subscribe node="{instance}"><options>{options}</options></subscribe>')

    def unsubscribe(self, instance: str) -> None:
        self.iq(f'<unsubscribe node="{instance}"/>')

    def publish(self, instance: str, family: str, prefix: str, entry: str, add: bool = True) -> None:
        node = f"{family}/{prefix}" if "," in prefix else f"{family}/{instance}/{prefix}"
        self.iq(f'<publish node="{node}"><item><entry>{entry}</entry></item></publish>')
        self.send(self.lab.rng.choice((b"", b"", b"\xc8\x80", b" \n")))
        action = "associate" if add else "dissociate"
        self.iq(f'<collection node="{instance}"><{action} node="{node}"/></collection>')

    def turn(self) -> bool:
        """Write a piece, read what there is. False when there was nothing to do."""
        moved = bool(self._out)
        try:
            if self._out:
                del self._out[: self._socket.send(self._out[: self.lab.rng.choice(PIECES)])]
            data = self._socket.recv(65536)
        except BlockingIOError:
            return moved
        except ConnectionError:
            data = b""
        if not data:
            self.end()
        self._in += data
        self._read()
        return True

    def end(self, reset: bool = False) -> None:
        if reset:
            self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.closed = True
        self._socket.close()
        self.lab.links.remove(self)

    def no_more(self) -> None:
        """Half of a close."""
        self._socket.shutdown(socket.SHUT_WR)

    def forget(self, instance: str) -> None:
        """The VRF goes: nobody withdraws what was told of it."""
        self.heard = {key: hop for key, hop in self.heard.items() if not key[0].endswith(f"/{instance}")}

    def _read(self) -> None:
        self._in = BLANKS.sub(b"", self._in, count=1) if BLANKS.match(self._in) else self._in
        if not self.up and self._in.startswith(b"<stream:stream"):
            self.up = True
            self._in = self._in[self._in.index(b">") + 1 :]
        while (end := self._in.find(b"</message>")) >= 0:
            message, self._in = self._in[: end + 10], self._in[end + 10 :]
            items = etree.fromstring(message.strip())[0][0]
            for item in items if items.get("node") != "0/0/EndOfRib" else ():
                key = str(items.attrib["node"]), str(item.attrib["id"])
                if item.tag.endswith("retract"):
                    del self.heard[key]  # KeyError: nobody told of it
                else:
                    self.heard[key] = "{}:{}".format(*(item.findtext(f".//{{*}}{name}") for name in HOP_PARTS))


HOP_PARTS = ("next-hop/{*}address", "next-hop/{*}label")


class Agent:
    """What the model knows of an agent. `stale`: what it said in an earlier session and not again."""

    def __init__(self, number: int) -> None:
        self.name, self.address = f"compute-{number}", f"127.0.1.{number + 1}"
        self.link: Link | None = None
        self.subscribed: dict[str, bool] = {}
        self.routes: dict[Route, int] = {}
        self.stale: dict[Route, int] = {}
        self.stale_instances: set[str] = set()
        self.prefixes = [("1/1", f"10.{number}.0.{host}/32") for host in range(1, 5)]
        self.prefixes += [("2/1", f"2001:db8:{number + 1}::{host}/128") for host in (1, 2)]
        self.prefixes += [("25/242", f"02:00:00:00:00:{number:02x},10.{number}.1.{host}/32") for host in (1, 2)]

    def drop(self, instance: str) -> None:
        """Nothing of this instance is left."""
        for routes in (self.routes, self.stale):
            for route in [route for route in routes if route[0] == instance]:
                del routes[route]


class Lab:
    def __init__(self, reactor: Any, seed: int, helper: bool) -> None:
        self.reactor, self.rng, self.helper = reactor, Random(seed), helper
        self.links: list[Link] = []
        self.client = FakeClient()
        client: Any = self.client
        settings = ControlSettings(name="control-1", introspect_port=None, bgp_port=0, xmpp_port=0)
        self.node = ControlNode(reactor, settings, client, load_schema(), rng=Random(1))
        self.wait(self.node.start())
        system = {"autonomous_system": 64512, "graceful_restart_parameters": RESTART if helper else {}}
        router = {"autonomous_system": 64512, "identifier": "10.255.0.1", "address": "127.0.0.1"}
        with self.client.graph.batch():
            self.client.graph.put(*SYSTEM, system)
            self.client.graph.put(*ME, {"bgp_router_parameters": router})
        self.until(lambda: self.node.plane is not None)
        self.present: set[str] = set()
        self.agents = [Agent(number) for number in range(4)]
        self.listeners: list[Link] = []
        for name in INSTANCES[:2]:
            self.toggle(name)
        for number in (1, 2):
            self.listeners.append(Link(self, f"listener-{number}", f"127.0.2.{number}"))
        self.until(lambda: all(listener.up for listener in self.listeners))
        for listener in self.listeners:
            for at, name in enumerate(INSTANCES):
                listener.subscribe(name, at)

    # --- time --------------------------------------------------------------------------------------------------------

    def until(self, holds: Callable[[], object]) -> None:
        end = self.reactor.seconds() + PATIENCE
        while not holds():
            assert self.reactor.seconds() < end, f"nothing happened for {PATIENCE} seconds"
            self.turn()

    def wait(self, coroutine: Any) -> None:
        done: list[object] = []
        Deferred.fromCoroutine(coroutine).addBoth(done.append)
        self.until(lambda: done)
        assert done == [None]

    def turn(self) -> bool:
        self.reactor.iterate(0)
        return any([link.turn() for link in list(self.links)])

    def settle(self) -> None:
        """Until all that was said has been read, and all that follows from it."""
        quiet = 0
        while quiet < 5:
            moved = self.turn()
            now = self.reactor.seconds()
            due = any(call.getTime() <= now for call in self.reactor.getDelayedCalls())
            quiet = 0 if moved or due else quiet + 1

    # --- what is right -----------------------------------------------------------------------------------------------

    def check(self) -> None:
        self.settle()
        told = {
            (f"{family}/{instance}", prefix): f"{agent.address}:{label}"
            for agent in self.agents
            for (instance, family, prefix), label in (agent.stale | agent.routes).items()
            if instance in self.present
        }
        for listener in self.listeners:
            assert listener.heard == told
        for agent in self.agents:
            if agent.link is not None:
                wanted = [f"/{instance}" for instance, silent in agent.subscribed.items() if not silent]
                mine = {key: hop for key, hop in told.items() if key[0].endswith(tuple(wanted))}
                assert agent.link.heard == mine, agent.name

    # --- what agents do ----------------------------------------------------------------------------------------------

    def step(self) -> None:
        agent = self.rng.choice(self.agents)
        if agent.link is None:
            self.connect(agent)
            return
        instance = self.rng.choice(INSTANCES)
        kinds = [self.subscribe, self.unsubscribe, self.tell, self.tell, self.tell, self.withdraw, self.bad_item]
        kinds += [self.nonsense, self.fault, self.leave, self.double, self.flood, self.many, self.end_of_rib]
        kinds.append(lambda *_: self.toggle(instance))
        self.rng.choice(kinds)(agent, agent.link, instance)

    def connect(self, agent: Agent) -> None:
        agent.link = link = Link(self, agent.name, agent.address)
        self.until(lambda: link.up)

    def subscribe(self, agent: Agent, link: Link, instance: str) -> None:
        if instance not in agent.subscribed:
            agent.subscribed[instance] = silent = self.rng.random() < 0.2
            agent.stale_instances.discard(instance)
            link.subscribe(instance, self.rng.randrange(1, 60000), silent)

    def unsubscribe(self, agent: Agent, link: Link, instance: str) -> None:
        if agent.subscribed.pop(instance, None) is not None:
            agent.drop(instance)
            link.unsubscribe(instance)
            self.settle()
            link.forget(instance)

    def tell(self, agent: Agent, link: Link, instance: str) -> None:
        if instance in agent.subscribed:
            family, prefix = self.rng.choice(agent.prefixes)
            label = agent.routes[instance, family, prefix] = self.rng.randrange(16, 90000)
            agent.stale.pop((instance, family, prefix), None)
            link.publish(instance, family, prefix, nlri(family, prefix) + hop(agent.address, label))

    def withdraw(self, agent: Agent, link: Link, instance: str) -> None:
        if instance in agent.subscribed:
            family, prefix = self.rng.choice(agent.prefixes)
            agent.routes.pop((instance, family, prefix), None)
            agent.stale.pop((instance, family, prefix), None)
            link.publish(instance, family, prefix, nlri(family, prefix), add=False)

    def flood(self, agent: Agent, link: Link, instance: str) -> None:
        if instance in agent.subscribed:
            for add in (True, False):
                for host in range(60):
                    prefix = f"10.9.{agent.address.rpartition('.')[2]}.{host}/32"
                    link.publish(instance, "1/1", prefix, nlri("1/1", prefix) + hop(agent.address, 99), add)

    def many(self, agent: Agent, link: Link, instance: str) -> None:
        for number in range(50):
            link.subscribe(f"nowhere:{number}", number)
            link.publish(f"nowhere:{number}", "1/1", "10.1.1.1/32", nlri("1/1", "10.1.1.1/32") + hop("192.0.2.1", 9))
        for number in range(50):
            link.unsubscribe(f"nowhere:{number}")

    def bad_item(self, agent: Agent, link: Link, instance: str) -> None:
        if instance in agent.subscribed:
            family, entry = self.rng.choice(BAD_ITEMS)
            link.publish(instance, family, "x", entry)

    def nonsense(self, agent: Agent, link: Link, instance: str) -> None:
        """What a control node ignores."""
        node = f'node="1/1/{instance}/10.1.1.1/32"'
        bodies = ("<dance/>", "", f'<collection node="{instance}"><associate {node}/></collection>', "<collection/>")
        match self.rng.randrange(4):
            case 0:
                link.iq(f'<subscribe node="{instance}"/>', to="nobody")
            case 1:
                link.iq(f'<unsubscribe node="{instance}"/>', kind="get")
            case 2:
                link.iq(self.rng.choice(bodies))
            case _:
                link.iq(f"<publish {node}><item/></publish>")

    def end_of_rib(self, agent: Agent, link: Link, instance: str) -> None:
        link.iq("<publish></publish>")
        link.iq("<collection></collection>")
        agent.stale.clear()
        agent.stale_instances.clear()

    def fault(self, agent: Agent, link: Link, instance: str) -> None:
        """What a control node closes the session for."""
        if self.rng.random() < 0.3:
            link.send(self.rng.choice(FAULTS))
        elif instance in agent.subscribed:
            link.subscribe(instance, 5)
        elif instance in agent.stale_instances:
            return
        elif self.rng.random() < 0.5:
            link.unsubscribe(instance)
        else:
            link.publish(instance, "1/1", "10.1.1.1/32", nlri("1/1", "10.1.1.1/32") + hop(agent.address, 9))
        self.lost(agent, link)

    def leave(self, agent: Agent, link: Link, instance: str) -> None:
        if self.rng.random() < 0.4:
            link.send(f'<iq type="set" to="x/bgp-peer"><pubsub><unsubscribe node="{instance}'.encode())
        self.settle()
        match self.rng.randrange(3):
            case 0:
                link.end()
            case 1:
                link.end(reset=True)
            case _:
                link.no_more()
        self.lost(agent, link)

    def double(self, agent: Agent, link: Link, instance: str) -> None:
        """A second session of the name, from the same machine or another: refused; a helper ends the first too."""
        self.settle()
        same = self.rng.random() < 0.6
        second = Link(self, agent.name, agent.address if same else "127.0.3.1")
        self.until(lambda: second.closed)
        assert not second.up
        if same and self.helper:
            self.lost(agent, link)

    def lost(self, agent: Agent, link: Link) -> None:
        """The session ends: what the agent said goes, or is stale from now on."""
        self.until(lambda: link.closed and agent.name not in self.node.xmpp.sessions)
        agent.link = None
        if self.helper:
            agent.stale_instances.update(agent.subscribed)
            agent.stale.update({key: label for key, label in agent.routes.items() if key[0] in self.present})
        agent.routes.clear()
        agent.subscribed.clear()

    def toggle(self, instance: str) -> None:
        """The instance comes or goes. With it goes what nobody says any more."""
        self.settle()
        if instance not in self.present:
            self.present.add(instance)
            self.client.graph.put("routing-instance", instance, {})
            return
        self.present.discard(instance)
        self.client.graph.remove("routing-instance", instance)
        for agent in self.agents:
            agent.stale = {route: label for route, label in agent.stale.items() if route[0] != instance}
        for link in self.links:
            link.forget(instance)

    def tear_down(self) -> None:
        for link in list(self.links):
            link.end()
        self.until(lambda: self.node.xmpp.connections == 0)
        self.settle()
        assert self.node.plane is not None
        core = self.node.plane.core
        if not self.helper:
            assert {name: len(table.routes) for name, table in core.tables.items() if table.routes} == {}
            assert len(core.attributes) == 0 and list(self.node.plane.agents) == []
            assert [table.name for table in core.tables.values() if table.groups] == []
        self.wait(self.node.stop())
        assert self.reactor.getDelayedCalls() == []


@pytest.mark.parametrize(("seed", "helper"), [(1, False), (2, False), (3, True), (6, True)])
def test_the_others_hear_what_is_right(reactor: Any, seed: int, helper: bool) -> None:
    with capturedLogs() as events:
        lab = Lab(reactor, seed, helper)
        for number in range(1, 301):
            lab.step()
            if number % 10 == 0:
                lab.check()
        lab.check()
        lab.tear_down()
    assert [formatEvent(event) for event in events if event["log_level"] >= LogLevel.error] == []

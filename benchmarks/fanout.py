"""One change set to many agents: the cost of a delivered route, beside a bare loop of socket writes of the same bytes.

    python benchmarks/fanout.py [--agents 10,100] [--routes 320] [--profile FILE]

This process is a control node's XMPP server, routing core and item encoder, with A agents' sessions over TCP in the
update group of one instance. A child holds the agents' ends and keeps every byte. R routes, 32 to an attribute set, are
put into the table at once: items with two encapsulations, two security groups, a tag, mobility, communities. Then the
same bytes, joined per agent before the clock starts, go out again on the same connections in a loop that does nothing
but write, 256 KiB at a time.

Time ends when the last agent has the last route. Printed: routes delivered per second of wall time, the sender's CPU
time per delivered route, and both as a share of the bare loop's (above 100 %: ours is faster). Afterwards the child
compares the agents' streams, which may differ only in `to`, and reads the first with lxml: ids, labels, next hops and
security groups must be those of the routes, or the run fails. Before all that, another change set goes out untimed: the
connections and the interpreter are to be as warm for ours as for the loop. The item encoder runs once per update group,
so its time counts less the more agents there are.
"""

from __future__ import annotations

import argparse
import cProfile
import gc
import json
import resource
import select
import socket
import sys
import time
from collections.abc import Generator
from typing import Any

from lxml import etree
from twisted.internet import reactor as installed_reactor
from twisted.internet.defer import Deferred, inlineCallbacks
from twisted.internet.protocol import ProcessProtocol
from twisted.python.failure import Failure

from contrail_emulator.base.garbage import tune
from contrail_emulator.control.bgp import ext_community
from contrail_emulator.control.bgp.attributes import Attributes
from contrail_emulator.control.bgp.family import Family
from contrail_emulator.control.bgp.nlri import codec, label_bytes
from contrail_emulator.control.channels.xmpp_encoder import XmppEncoder
from contrail_emulator.control.flusher import Flusher
from contrail_emulator.control.routing import (
    CoreSettings,
    GroupKey,
    InstanceSettings,
    Membership,
    RoutingCore,
    Source,
    SourceKind,
)
from contrail_emulator.control.xmpp import ServerSettings, Session, Stanza, XmppServer, pubsub, stream

AS = 64512
NETWORK = "default-domain:demo:blue"
INSTANCE = f"{NETWORK}:blue"
TABLE = f"{INSTANCE}.inet.0"
PER_SET = 32
LAST = "10.255.255.255/32"
"""The prefix of the route that is told last."""
JID = "network-control@contrailsystems.com"
KEY = GroupKey(encoding="xmpp", peer_type="xmpp")
Told = dict[str, tuple[int, str, list[int]]]
"""Of each item: label, next hop, security groups."""


# --- The sender -------------------------------------------------------------------------------------------------------


class Agent:
    """An agent's place in the update group: as `control.channels.agent`, with nothing to subscribe to."""

    def __init__(self, session: Session) -> None:
        self.name = session.peer_name
        self.session = session
        self.header = pubsub.message_header(session.peer_name)
        self.membership: Membership | None = None

    def deliver(self, message: bytes) -> bool:
        return self.session.send(self.header, message)


class Agents:
    """The server's handler; `all_up` fires when `wanted` agents are there."""

    def __init__(self, core: RoutingCore, wanted: int) -> None:
        self.core = core
        self.wanted = wanted
        self.agents: dict[Session, Agent] = {}
        self.all_up: Deferred[None] = Deferred()

    def established(self, session: Session) -> None:
        agent = self.agents[session] = Agent(session)
        agent.membership = self.core.join(TABLE, KEY, agent)
        if len(self.agents) == self.wanted:
            self.all_up.callback(None)

    def stanza(self, session: Session, stanza: Stanza) -> None:
        raise AssertionError("no agent of this benchmark sends stanzas")

    def closed(self, session: Session, reason: str) -> None:
        self.agents.pop(session, None)

    def unblocked(self, session: Session) -> None:
        membership = self.agents[session].membership
        if membership is not None:
            membership.unblocked()


class Receivers(ProcessProtocol):
    """The child. It answers each command with one line."""

    def __init__(self) -> None:
        self._answer: Deferred[str] = Deferred()
        self._text = ""
        self._waiting: list[str] = []

    def outReceived(self, data: bytes) -> None:  # noqa: N802 - Twisted's name
        self._text += data.decode()
        while "\n" in self._text:
            line, self._text = self._text.split("\n", 1)
            answer, self._answer = self._answer, Deferred()
            answer.callback(line)

    def errReceived(self, data: bytes) -> None:  # noqa: N802 - Twisted's name
        sys.stderr.write(data.decode())

    def line(self) -> Deferred[str]:
        """The next line it says."""
        return self._answer

    def tell(self, command: str) -> Deferred[str]:
        transport: Any = self.transport
        transport.write(command.encode() + b"\n")
        return self._answer


def routes(count: int, network: int = 1) -> list[tuple[Attributes, list[tuple[bytes, bytes]]]]:
    """Attribute sets and the (key, payload) pairs in 10.`network`.0.0/16 that share them; the last is LAST."""
    key = codec(Family.INET).key
    found = []
    for start in range(0, count, PER_SET):
        number = start // PER_SET
        variant = (network - 1 << 10) + number
        communities = (
            ext_community.parse("target:64512:100"),
            ext_community.encapsulation("gre"),
            ext_community.encapsulation("udp"),
            ext_community.origin_vn(AS, 4),
            ext_community.security_group(AS, 8000001),
            ext_community.security_group(AS, 8000002 + variant),
            ext_community.tag(AS, 65537),
            ext_community.mac_mobility(False, variant),
        )
        attributes = Attributes.make(
            next_hop=bytes((10, 255, 2 + (number >> 8), number & 255)),
            local_pref=100,
            communities=(AS << 16 | 7,),
            ext_communities=communities,
        )
        pairs = [
            (key(f"10.{network}.{i >> 8}.{i & 255}/32"), label_bytes(16 + i, False))
            for i in range(start, min(start + PER_SET, count - 1))
        ]
        found.append((attributes, pairs))
    found.append((attributes.replace(med=6 + network), [(key(LAST), label_bytes(16 + count - 1, False))]))
    return found


def expected(count: int) -> Told:
    told: Told = {}
    for i in range(count):
        number = min(i, count - 1) // PER_SET
        hop = f"10.255.{2 + (number >> 8)}.{number & 255}"
        prefix = LAST if i == count - 1 else f"10.1.{i >> 8}.{i & 255}/32"
        told[prefix] = (16 + i, hop, [8000001, 8000002 + number])
    return told


@inlineCallbacks
def run(reactor: Any, agents: int, count: int, profile: cProfile.Profile | None) -> Generator[Any, Any, bool]:
    """One case; prints its line. Whether all agents heard what they should."""
    flusher = Flusher(reactor, lambda: None, lambda: None)
    encoder = XmppEncoder(AS, lambda asn, index: NETWORK, lambda name: NETWORK)
    core = RoutingCore(
        CoreSettings(autonomous_system=AS, router_id=0x0AFF0001), {"xmpp": encoder}, on_dirty=flusher.wake
    )
    flusher.drive(core)
    core.add_instance(InstanceSettings(name=INSTANCE, index=1, virtual_network=NETWORK, virtual_network_index=4))
    handler = Agents(core, agents)
    server = XmppServer(reactor, ServerSettings("control", port=0), handler)
    port = yield server.listen()
    child = Receivers()
    command = [sys.executable, __file__, "--connect", str(port), "--agents", str(agents)]
    process = reactor.spawnProcess(child, sys.executable, command, env=None)
    yield handler.all_up
    while not flusher.idle:
        yield _turn(reactor)
    yield child.tell("reset")
    source = Source(SourceKind.LOCAL, "change set")
    done = child.line()
    for attributes, pairs in routes(count, network=2):  # another first: connections and interpreter are warm for both
        core.update_many(TABLE, source, attributes, pairs)
    yield done
    while not flusher.idle:
        yield _turn(reactor)
    yield child.tell("reset")
    changes = routes(count)
    gc.collect()
    done = child.line()
    wall, cpu = time.monotonic(), time.process_time()
    if profile is not None:
        profile.enable()
    for attributes, pairs in changes:
        core.update_many(TABLE, source, attributes, pairs)
    yield done
    if profile is not None:
        profile.disable()
    wall, cpu = time.monotonic() - wall, time.process_time() - cpu
    bodies = _bodies(encoder, changes)
    told = json.loads((yield child.tell("check")))
    right: bool = told == json.loads(json.dumps(expected(count)))
    yield child.tell("reset")
    done = child.line()
    ends = [
        (_handle(agent.session), b"".join(part for body in bodies for part in (agent.header, body)))
        for agent in handler.agents.values()
    ]
    bare_wall, bare_cpu = time.monotonic(), time.process_time()
    _bare_loop(ends)
    yield done
    bare_wall, bare_cpu = time.monotonic() - bare_wall, time.process_time() - bare_cpu
    total = agents * count
    size = sum(map(len, bodies)) / count
    ours = f"{total / wall:12,.0f} {cpu / total * 1e6:10.2f}"
    bare = f"{total / bare_wall:14,.0f} {bare_cpu / total * 1e6:10.2f}"
    shares = f"{bare_wall / wall:9.0%} {bare_cpu / cpu:9.0%}"
    print(f"{agents:6} x {count:5} {size:6.0f} B {ours} {bare} {shares}{'' if right else '  differs'}")
    process.signalProcess("KILL")
    yield server.stop()
    flusher.stop()
    return right


def _turn(reactor: Any) -> Deferred[None]:
    waiting: Deferred[None] = Deferred()
    reactor.callLater(0.01, waiting.callback, None)
    return waiting


def _bodies(encoder: XmppEncoder, changes: list[tuple[Attributes, list[tuple[bytes, bytes]]]]) -> list[bytes]:
    """What an agent was sent, without headers."""
    found: list[bytes] = []
    for attributes, pairs in changes:
        together = [(key, ((attributes, payload),)) for key, payload in pairs]
        found += encoder.reach(TABLE, Family.INET, INSTANCE, KEY, together)
    return found


def _handle(session: Session) -> socket.socket:
    transport: Any = session.transport
    handle: socket.socket = transport.getHandle()
    return handle


def _bare_loop(ends: list[tuple[socket.socket, bytes]]) -> None:
    """Write, and nothing else."""
    left = {sock.fileno(): (sock, memoryview(data)) for sock, data in ends}
    poll = select.epoll()
    for number in left:
        poll.register(number, select.EPOLLOUT)
    while left:
        for number, _ in poll.poll():
            sock, view = left[number]
            view = view[sock.send(view[: 1 << 18]) :]
            if view:
                left[number] = sock, view
            else:
                poll.unregister(number)
                del left[number]
    poll.close()


# --- The receivers ----------------------------------------------------------------------------------------------------


def receive(port: int, count: int) -> None:
    """The child: open `count` sessions; on `reset` forget what came; say so when all have LAST; on `check` say what."""
    names = [f"compute-{number}" for number in range(count)]
    links = [_open(port, name) for name in names]
    chunks: list[list[bytes]] = [[] for _ in names]
    poll = select.epoll()
    poll.register(0, select.EPOLLIN)
    index = {}
    for number, link in enumerate(links):
        link.setblocking(False)
        poll.register(link.fileno(), select.EPOLLIN)
        index[link.fileno()] = number
    complete: set[int] = set()
    mark = f'<item id="{LAST}">'.encode()
    while True:
        for handle, _ in poll.poll():
            if handle == 0:
                command = sys.stdin.readline()
                if command == "reset\n":
                    chunks = [[] for _ in names]
                    complete.clear()
                    print("ready", flush=True)
                elif command == "check\n":
                    print(json.dumps(_check(names, chunks)), flush=True)
                else:
                    return
                continue
            number = index[handle]
            data = links[number].recv(1 << 20)
            if not data:
                return
            mine = chunks[number]
            tail = mine[-1][-4096:] if mine else b""
            mine.append(data)
            if number not in complete and mark in tail + data:
                complete.add(number)
                if len(complete) == count:
                    print("done", flush=True)


def _open(port: int, name: str) -> socket.socket:
    link = socket.create_connection(("127.0.0.1", port))
    link.sendall(stream.open_bytes(name, JID))
    link.recv(4096)
    link.sendall(stream.KEEPALIVE)
    return link


def _check(names: list[str], chunks: list[list[bytes]]) -> Told:
    """The first agent's items; empty when another agent was told anything else."""
    first = b""
    for name, mine in zip(names, chunks, strict=True):
        data = b"".join(mine).replace(pubsub.message_header(name), b"\n<message>\n").strip(stream.KEEPALIVE)
        first = first or data
        if data != first:
            return {}
    found: Told = {}
    space = "{http://jabber.org/protocol/pubsub}"
    document = etree.fromstring(b"<all>" + first + b"</all>", etree.XMLParser(huge_tree=True))
    for item in document.iter(f"{space}item"):
        hop = next(item.iter(f"{space}next-hop"))
        groups = [int(group.text or 0) for group in item.iter(f"{space}security-group")]
        label, address = hop.findtext(f"{space}label"), hop.findtext(f"{space}address")
        found[item.get("id") or ""] = (int(label or 0), address or "", groups)
    return found


# --- The command ------------------------------------------------------------------------------------------------------


@inlineCallbacks
def run_all(reactor: Any, options: argparse.Namespace) -> Generator[Any, Any, None]:
    ours, bare = f"{'routes/s':>12} {'us/route':>10}", f"{'bare routes/s':>14} {'us/route':>10}"
    print(f"{'agents x routes':>14} {'item':>8} {ours} {bare} {'of bare':>9} {'CPU':>9}")
    profile = cProfile.Profile() if options.profile else None
    wrong = []
    for agents in map(int, options.agents.split(",")):
        if not (yield run(reactor, agents, options.routes, profile)):
            wrong.append(str(agents))
    if profile is not None:
        profile.dump_stats(options.profile)
    if wrong:
        raise SystemExit(f"not what was sent: with {', '.join(wrong)} agents")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--agents", default="10,100")
    parser.add_argument("--routes", type=int, default=320)
    parser.add_argument("--profile")
    parser.add_argument("--connect", type=int, help=argparse.SUPPRESS)
    options = parser.parse_args()
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))  # the child inherits it
    if options.connect:
        receive(options.connect, int(options.agents))
        return
    tune()  # as a control node does
    reactor: Any = installed_reactor
    failed: list[Failure] = []

    def fail(failure: Failure) -> None:
        failed.append(failure)

    def begin() -> None:
        run_all(reactor, options).addErrback(fail).addBoth(lambda _: reactor.stop())

    reactor.callWhenRunning(begin)
    reactor.run()
    if failed:
        failed[0].raiseException()


if __name__ == "__main__":
    main()

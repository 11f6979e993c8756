"""Agents against one control node: sessions, their memory, and routes delivered.

    python benchmarks/agents.py [--runs 100x1000,1000x100] [--profile]

Each run is a fresh process with a whole control node (configuration store, graph, BGP, XMPP, routing) and N agents
(`NxM`), which are plain sockets of a child process that say what an agent says: stream open, keepalive, virtual-router
subscription, subscription to one routing instance. Printed are

- `up/s`: sessions a second of wall time, from the first connect until all N are Established and subscribed.
- `CPU us`: microseconds of the control node's CPU time for each of these sessions.
- `KiB`: growth of the control node's resident memory by then, for each agent, everything included.
- `delivered/s`: one agent publishes M routes, one item a stanza as agents do; N times M items until the last agent has
  its last one, in items a second of wall time (the publishing and its parsing included).
- `node CPU/item`: microseconds of the control node's CPU time for each of these items.
- `KiB after`: memory for each agent again, with the routes.
"""

from __future__ import annotations

import argparse
import cProfile
import gc
import select
import socket
import subprocess
import sys
import time
from ipaddress import IPv4Address
from random import Random
from typing import Any

from twisted.internet import reactor as installed_reactor
from twisted.internet.defer import Deferred
from twisted.internet.protocol import ProcessProtocol
from twisted.python.failure import Failure

from contrail_emulator.base import log
from contrail_emulator.config.graph import Graph
from contrail_emulator.config.schema import load
from contrail_emulator.control.node import ControlNode, ControlSettings
from contrail_emulator.control.xmpp import stream
from contrail_emulator.control.xmpp.config_message import VrSubscribe
from contrail_emulator.control.xmpp.family import ItemFamily
from contrail_emulator.control.xmpp.items import UnicastEntry
from contrail_emulator.control.xmpp.names import BGP_PEER, CONTROL_NODE_JID
from contrail_emulator.control.xmpp.next_hop import NextHop
from contrail_emulator.control.xmpp.pubsub import Collection, Publish, Subscribe
from contrail_emulator.lab.config_node import ConfigNode
from contrail_emulator.lab.model import LabFile
from contrail_emulator.lab.ports import PortPicker

INSTANCE = "default-domain:bench:net:net"
NODE = ItemFamily.INET.node(INSTANCE)
RECEIVER = f"{CONTROL_NODE_JID}/{BGP_PEER}"
ITEM = b"<item id="
AT_ONCE = 64
ADDRESSES = int(IPv4Address("127.1.0.1"))
PUBLISHED_AT_ONCE = 256 * 1024


def resident() -> int:
    """Bytes of this process that are in memory, what is garbage collected first."""
    gc.collect()
    with open("/proc/self/statm") as file:
        return int(file.read().split()[1]) * 4096


# --- The agents: a child process --------------------------------------------------------------------------------------


class Link:
    """One agent's connection."""

    def __init__(self, number: int, port: int) -> None:
        self.name = f"compute-{number + 1}"
        address = str(IPv4Address(ADDRESSES + number))
        self.socket = socket.create_connection(("127.0.0.1", port), source_address=(address, 0))
        self.socket.sendall(stream.open_bytes(self.name, CONTROL_NODE_JID))
        self.items = 0
        self._tail = b""

    def subscribe(self) -> None:
        self.socket.recv(4096)
        router = VrSubscribe(f"default-global-system-config:{self.name}").to_bytes(self.name)
        self.socket.sendall(stream.KEEPALIVE + router + Subscribe(INSTANCE, 1).to_bytes(self.name, RECEIVER, "s1"))

    def count(self, data: bytes) -> int:
        """The items that begin in `data`."""
        data = self._tail + data
        self._tail = data[-(len(ITEM) - 1) :]
        found = data.count(ITEM)
        self.items += found
        return found


def publication(name: str, count: int) -> bytes:
    """`count` routes as one agent publishes them: each a publish and its collection."""
    parts = []
    for number in range(count):
        hop = NextHop("10.255.2.1", 16 + number % 5000, ("gre", "udp"), "default-domain:bench:net")
        prefix = f"10.1.{number >> 8}.{number & 255}/32"
        entry = UnicastEntry(ItemFamily.INET, prefix, (hop,), virtual_network="default-domain:bench:net")
        parts.append(Publish.write(NODE, [entry.to_xml()], name, RECEIVER, f"pubsub{number}"))
        parts.append(Collection(INSTANCE, NODE, True).to_bytes(name, RECEIVER, f"collection{number}"))
    return b"".join(parts)


def agents(port: int, count: int, routes: int) -> None:
    """Open all sessions, say `up`; publish, and say `done` when all have heard all; each at a word from the parent."""
    say("ready")
    sys.stdin.readline()
    poll = select.epoll()
    links: dict[int, Link] = {}
    answered = 0
    while answered < count:
        while len(links) < count and len(links) - answered < AT_ONCE:
            link = Link(len(links), port)
            links[link.socket.fileno()] = link
            poll.register(link.socket.fileno(), select.EPOLLIN)
        for number, _ in poll.poll():
            links[number].subscribe()
            poll.unregister(number)
            answered += 1
    say("up")
    sys.stdin.readline()
    for number, link in links.items():
        link.socket.setblocking(False)
        poll.register(number, select.EPOLLIN)
    first = next(iter(links.values()))
    data = memoryview(publication(first.name, routes))
    poll.modify(first.socket.fileno(), select.EPOLLIN | select.EPOLLOUT)
    left = count * routes
    while left > 0:
        for number, what in poll.poll():
            if what & select.EPOLLOUT:
                data = data[first.socket.send(data[:PUBLISHED_AT_ONCE]) :]
                if not data:
                    poll.modify(number, select.EPOLLIN)
            if what & select.EPOLLIN:
                received = links[number].socket.recv(262144)
                if not received:
                    raise SystemExit(f"{links[number].name}: closed by the control node")
                left -= links[number].count(received)
    if any(link.items != routes for link in links.values()):
        raise SystemExit("some agents heard more than others")
    say("done")
    sys.stdin.readline()


def say(word: str) -> None:
    sys.stdout.write(word + "\n")
    sys.stdout.flush()


class Child(ProcessProtocol):
    """Words from the child, one awaited at a time."""

    def __init__(self) -> None:
        self.word: Deferred[float] = Deferred()

    def outReceived(self, data: bytes) -> None:  # noqa: N802 - Twisted's name
        word, self.word = self.word, Deferred()
        word.callback(time.monotonic())

    def errReceived(self, data: bytes) -> None:  # noqa: N802 - Twisted's name
        sys.stderr.write(data.decode())

    def processEnded(self, reason: Any) -> None:  # noqa: N802 - Twisted's name
        if not self.word.called:
            self.word.addErrback(lambda failure: None)
            self.word.errback(reason)


# --- The control node: a process for each run -------------------------------------------------------------------------


def lab_file(count: int) -> LabFile:
    return LabFile.parse(
        {
            "name": "bench",
            "autonomous_system": 64512,
            "networks": [{"name": "net", "subnet": "10.0.0.0/8"}],
            "agents": [
                {"tunnel_address": str(IPv4Address("10.255.0.1") + n), "dataplane": "none"} for n in range(count)
            ],
        }
    )


async def node(count: int, routes: int, profile: cProfile.Profile | None) -> str:
    """One run; a line of the table."""
    reactor: Any = installed_reactor
    schema = load()
    config = ConfigNode(reactor, lab_file(count), schema, Random(1))
    await config.start()
    picker = PortPicker(Random())
    bgp_port, port = picker.pick("127.0.0.1", 0), picker.pick("127.0.0.1", 0)
    settings = ControlSettings(name="control-1", bgp_port=bgp_port, xmpp_port=port, introspect_port=None)
    control = ControlNode(reactor, settings, config.client(reactor, Graph(), "bench"), schema, rng=Random(1))
    await control.start()
    plane = control.plane
    assert plane is not None
    child = Child()
    arguments = [sys.executable, __file__, "--agents", str(port), "--runs", f"{count}x{routes}"]
    process = reactor.spawnProcess(child, sys.executable, arguments, env=None)
    await child.word
    before, began, cpu = resident(), time.monotonic(), time.process_time()
    if profile is not None:
        profile.enable()
    awaited = child.word
    process.write(b"open\n")
    await awaited
    while sum(len(channel.subscriptions) for channel in plane.agents) < count:
        await pause(0.002)
    up, each = count / (time.monotonic() - began), (time.process_time() - cpu) / count * 1e6
    if profile is not None:
        profile.disable()
    await pause(1.0)
    idle = (resident() - before) / count / 1024
    if profile is not None:
        profile.enable()
    cpu, began = time.process_time(), time.monotonic()
    awaited = child.word
    process.write(b"publish\n")
    delivered = count * routes / (await awaited - began)
    cpu = (time.process_time() - cpu) / (count * routes) * 1e6
    if profile is not None:
        profile.disable()
    after = (resident() - before) / count / 1024
    process.write(b"end\n")
    await pause(0.2)
    return f"{count:7d}{routes:8d}{up:9,.0f}{each:9,.0f}{idle:8.1f}{delivered:14,.0f}{cpu:16.2f}{after:12.1f}\n"


def pause(seconds: float) -> Deferred[None]:
    deferred: Deferred[None] = Deferred()
    reactor: Any = installed_reactor
    reactor.callLater(seconds, deferred.callback, None)
    return deferred


def run(count: int, routes: int, profiled: bool) -> None:
    reactor: Any = installed_reactor
    log.configure("error")
    profile = cProfile.Profile() if profiled else None

    failures: list[Failure] = []

    async def work() -> None:
        sys.stdout.write(await node(count, routes, profile))

    def begin() -> None:
        Deferred.fromCoroutine(work()).addErrback(failures.append).addBoth(lambda _: reactor.stop())

    reactor.callWhenRunning(begin)
    reactor.run()
    for failure in failures:
        failure.raiseException()
    if profile is not None:
        profile.print_stats("tottime")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", default="100x1000,1000x100", help="agents x routes, separated by commas")
    parser.add_argument("--profile", action="store_true", help="where the control node's time goes")
    parser.add_argument("--agents", type=int, help=argparse.SUPPRESS)
    parser.add_argument("--node", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()
    runs = [(int(count), int(routes)) for count, _, routes in (one.partition("x") for one in options.runs.split(","))]
    if options.agents:
        agents(options.agents, *runs[0])
    elif options.node:
        run(*runs[0], options.profile)
    else:
        sys.stdout.write(" agents  routes     up/s   CPU us     KiB   delivered/s   node CPU us/item   KiB after\n")
        for count, routes in runs:
            sys.stdout.flush()
            more = ["--profile"] if options.profile else []
            subprocess.run([sys.executable, __file__, "--node", "--runs", f"{count}x{routes}", *more], check=True)


if __name__ == "__main__":
    main()

"""What only a control node does: VPN routes of a router, imported by route target, to the agents of many instances.

    python benchmarks/vpn_to_agents.py [--prefixes 20000] [--agents 100] [--packed 10,1] [--profile FILE]

A BGP injector -> a whole control node in a process of its own (configuration, BGP, routing, XMPP) -> one agent in each
of the instances, each a plain socket here. The injector's inet-vpn routes, `packed` to an UPDATE and each UPDATE with
an attribute set of its own, carry one route target each, in turn those of the instances: every route ends as an item
at one agent. Phases: announce all, change every second UPDATE (another MED), withdraw all.

Time ends when the last byte has reached an agent. Afterwards every agent's messages are read with lxml: it must have
the prefixes of its own instance and no other, each with label, next hop, MED and local preference, or the run fails.
Printed: routes per second of wall time that reached the agents; CPU seconds of the control node and routes per second
of these; the longest pause at all agents together; memory of the control node, at its peak and grown since the agents
were up.
"""

from __future__ import annotations

import argparse
import cProfile
import json
import select
import socket
import struct
import sys
import tempfile
import time
from ipaddress import IPv4Address
from pathlib import Path
from random import Random
from typing import Any

sys.path.append(str(Path(__file__).parent))

import reflectors
from bgp_client import Client, Streams
from bgp_messages import AS, KEEPALIVE, Table, Workload
from lxml import etree
from twisted.internet import reactor as installed_reactor
from twisted.internet.defer import Deferred

from contrail_emulator.base import log
from contrail_emulator.base.garbage import tune
from contrail_emulator.config.graph import Graph
from contrail_emulator.config.schema import load
from contrail_emulator.control.node import ControlNode, ControlSettings
from contrail_emulator.control.xmpp import stream
from contrail_emulator.control.xmpp.config_message import VrSubscribe
from contrail_emulator.control.xmpp.names import BGP_PEER, CONTROL_NODE_JID
from contrail_emulator.control.xmpp.pubsub import Subscribe
from contrail_emulator.lab.config_node import ConfigNode
from contrail_emulator.lab.model import LabFile

QUIET = 0.5
AT_ONCE = 1 << 18
READY_SECONDS = 120.0
KEEPALIVE_SECONDS = 20.0
INJECTOR = "127.0.2.1"
ADDRESSES = int(IPv4Address("127.1.0.1"))
NAME = "control-1"
RECEIVER = f"{CONTROL_NODE_JID}/{BGP_PEER}"
PUBSUB = "{http://jabber.org/protocol/pubsub}"
Items = dict[str, tuple[int, str, int, int]]
"""Of each prefix: label, next hop, MED, local preference."""


# --- The control node -------------------------------------------------------------------------------------------------


def lab_file(instances: int, bgp_port: int) -> LabFile:
    networks = [
        {"name": f"net-{n}", "subnet": f"10.{n >> 8}.{n & 255}.0/24", "route_targets": [f"target:{AS}:{n + 1}"]}
        for n in range(instances)
    ]
    return LabFile.parse(
        {
            "name": "bench",
            "autonomous_system": AS,
            "control_nodes": [
                {"name": NAME, "address": reflectors.ADDRESS, "router_id": reflectors.ROUTER_ID, "bgp_port": bgp_port}
            ],
            "bgp_peers": [
                {
                    "name": "injector", "kind": "external", "address": INJECTOR, "router_id": "10.9.2.1",
                    "autonomous_system": AS, "passive": True, "families": ["inet-vpn"],
                    "hold_time": reflectors.HOLD_TIME, "default_tunnel_encap": ["udp"],
                }
            ],
            "networks": networks,
            "agents": [
                {"tunnel_address": str(IPv4Address("10.255.2.1") + n), "dataplane": "none"} for n in range(instances)
            ],
        }
    )  # fmt: skip


def run_node(bgp_port: int, xmpp_port: int, instances: int, profile: str | None) -> None:
    """The child: says `ready` when it has its configuration, ends on SIGTERM."""
    log.configure("error")
    reactor: Any = installed_reactor

    async def start() -> None:
        schema = load()
        config = ConfigNode(reactor, lab_file(instances, bgp_port), schema, Random(1))
        await config.start()
        client = config.client(reactor, Graph(), "bench")
        settings = ControlSettings(
            name=NAME, address=reflectors.ADDRESS, bgp_port=bgp_port, xmpp_port=xmpp_port, introspect_port=None
        )
        await ControlNode(reactor, settings, client, schema, rng=Random(1)).start()
        tune()
        print("ready", flush=True)

    def failed(failure: Any) -> None:
        failure.printTraceback()
        reactor.stop()

    reactor.callWhenRunning(lambda: Deferred.fromCoroutine(start()).addErrback(failed))
    if profile is None:
        reactor.run()
        return
    profiler = cProfile.Profile()
    profiler.runcall(reactor.run)
    profiler.dump_stats(profile)


class Node(reflectors.Reflector):
    """The child's process."""

    name = "control node"

    def __init__(self, directory: Path, instances: int, profile: Path | None) -> None:
        super().__init__(directory, "inet-vpn", [INJECTOR])
        self.instances = instances
        self.profile = profile
        with socket.socket() as sock:
            sock.bind((reflectors.ADDRESS, 0))
            self.xmpp_port: int = sock.getsockname()[1]

    def command(self) -> list[str]:
        what = [self.port, self.xmpp_port, self.instances, str(self.profile) if self.profile else None]
        return [sys.executable, __file__, "--node", json.dumps(what)]

    def wait(self) -> None:
        """Until it is ready. RuntimeError with its log when it does not become so."""
        end = time.monotonic() + READY_SECONDS
        while "ready" not in self.log_text():
            if not self.alive() or time.monotonic() > end:
                raise RuntimeError(f"the control node is not ready:\n{self.log_text()}")
            time.sleep(0.1)


# --- The agents -------------------------------------------------------------------------------------------------------


class Agent:
    """One agent's connection, subscribed to one instance. What it reads stays bytes until `check`."""

    def __init__(self, number: int, port: int) -> None:
        self.number = number
        self.chunks: list[bytes] = []
        self.items: Items = {}
        name, instance = f"compute-{number + 1}", f"default-domain:bench:net-{number}:net-{number}"
        address = str(IPv4Address(ADDRESSES + number))
        self.socket = socket.create_connection((reflectors.ADDRESS, port), timeout=20, source_address=(address, 0))
        self.socket.sendall(stream.open_bytes(name, CONTROL_NODE_JID))
        self.socket.recv(4096)
        router = VrSubscribe(f"default-global-system-config:{name}").to_bytes(name)
        self.socket.sendall(stream.KEEPALIVE + router + Subscribe(instance, 1).to_bytes(name, RECEIVER, "s1"))
        self.socket.setblocking(False)

    def read(self) -> bool:
        """Take what there is. True when it was more than a keepalive."""
        data = self.socket.recv(1 << 20)
        if not data:
            raise RuntimeError(f"the control node closed the session of agent {self.number}")
        self.chunks.append(data)
        return data != stream.KEEPALIVE

    def check(self, expected: Items) -> bool:
        """Read the whole messages that came, compare."""
        data = b"".join(self.chunks)
        whole, end, rest = data.rpartition(b"</message>")
        self.chunks = [rest]
        text = (whole + end).replace(stream.KEEPALIVE, b"").replace(b'<?xml version="1.0"?>', b"")
        for element in etree.fromstring(b"<all>" + text + b"</all>", etree.XMLParser(huge_tree=True)).iter():
            if element.tag == f"{PUBSUB}item":
                hop = next(element.iter(f"{PUBSUB}next-hop"))
                address = hop.findtext(f"{PUBSUB}address") or ""
                med, preference = _number(element, "med"), _number(element, "local-preference")
                self.items[_prefix(element)] = _number(hop, "label"), address, med, preference
            elif element.tag == f"{PUBSUB}retract":
                self.items.pop(_prefix(element), None)
        return self.items == expected


def _prefix(element: etree._Element) -> str:
    return (element.get("id") or "").rpartition(":")[2]


def _number(element: etree._Element, name: str) -> int:
    return int(element.findtext(f".//{PUBSUB}{name}") or 0)


def expectations(table: Table, agents: int) -> list[Items]:
    """Each agent's items, from what the benchmark's own reader of UPDATEs would have found."""
    found: list[Items] = [{} for _ in range(agents)]
    for nlri, value in table.items():
        hop, med, preference, target = struct.unpack("!3x4sx10xxIxIx4xI", value)
        label = int.from_bytes(value[:3], "big") >> 4
        prefix = f"{nlri[9]}.{nlri[10]}.{nlri[11]}.0/24"
        found[target - 1][prefix] = (label, socket.inet_ntoa(hop), med, preference)
    return found


# --- The run ----------------------------------------------------------------------------------------------------------


class Bench:
    """The control node between the injector and the agents."""

    def __init__(self, node: Node, timeout: float) -> None:
        self.node = node
        self.timeout = timeout
        self.injector = Client(INJECTOR, "inet-vpn", Streams())
        self.sender = self.injector.connect(node.port)
        self.agents = [Agent(number, node.xmpp_port) for number in range(node.instances)]
        self._poll = select.epoll()
        self._poll.register(self.sender.fileno(), select.EPOLLIN)
        self._by_number = {agent.socket.fileno(): agent for agent in self.agents}
        for number in self._by_number:
            self._poll.register(number, select.EPOLLIN)
        self._kept_alive = 0.0

    def settle(self) -> None:
        """Until nothing has come for a while: subscriptions and configuration are done."""
        while events := self._poll.poll(2 * QUIET):
            self._take(events)
        for agent in self.agents:
            agent.chunks.clear()

    def phase(self, data: bytes, expected: list[Items]) -> tuple[float, float, float, list[int]]:
        """Seconds until the last delivery, CPU seconds, longest pause, agents that have not what they should."""
        cpu = self.node.cpu()
        unsent = memoryview(KEEPALIVE + data)
        self._poll.modify(self.sender.fileno(), select.EPOLLIN | select.EPOLLOUT)
        start = last = delivered = time.monotonic()
        pause = 0.0
        wrong = [agent.number for agent in self.agents]
        while wrong and time.monotonic() < start + self.timeout:
            events = self._poll.poll(0.1)
            now = time.monotonic()
            if self._take(events):
                pause, last, delivered = max(pause, now - delivered), now, now
            if unsent and any(event & select.EPOLLOUT for _, event in events):
                unsent, last = unsent[self.injector.send(unsent[:AT_ONCE]) :], now
                if not unsent:
                    self._poll.modify(self.sender.fileno(), select.EPOLLIN)
            if not unsent and now - last > QUIET:
                wrong = [agent.number for agent in self.agents if not agent.check(expected[agent.number])]
                last = time.monotonic()
        return delivered - start, self.node.cpu() - cpu, pause, wrong

    def _take(self, events: list[tuple[int, int]]) -> bool:
        """Read what there is; agents say now and then that they live."""
        news = False
        for number, event in events:
            if event & ~select.EPOLLOUT:
                if number in self._by_number:
                    news = self._by_number[number].read() or news
                else:
                    self.injector.read(0.0)
        if time.monotonic() > self._kept_alive + KEEPALIVE_SECONDS:
            self._kept_alive = time.monotonic()
            for agent in self.agents:
                agent.socket.send(stream.KEEPALIVE)
        return news

    def close(self) -> None:
        self._poll.close()
        self.injector.close()
        for agent in self.agents:
            agent.socket.close()


def run(workload: Workload, timeout: float, profile: Path | None) -> list[str]:
    """All phases of one case; prints its lines. What was wrong."""
    with tempfile.TemporaryDirectory(prefix="vpn-to-agents-") as folder:
        node = Node(Path(folder), workload.targets, profile)
        try:
            node.start()
            node.wait()
            bench = Bench(node, timeout)
            bench.settle()
            before = node.memory("VmRSS")
            announced, table = workload.announce()
            changed, changes = workload.announce(version=1, every=2)
            phases = [
                ("announce", announced, table, workload.prefixes),
                ("change half", changed, {**table, **changes}, len(changes)),
                ("withdraw all", workload.withdraw(), {}, workload.prefixes),
            ]
            for name, data, expected, count in phases:
                spent, cpu, pause, wrong = bench.phase(data, expectations(expected, workload.targets))
                rates = f"{count / max(spent, 0.001):12,.0f}{cpu:9.2f}{count / max(cpu, 0.01):12,.0f}{pause:10.2f}"
                grown = node.memory("VmRSS") - before
                print(f"  {name:13}{rates}{node.peak():11.0f}{grown:8.0f}{'  wrong' if wrong else ''}", flush=True)
                if wrong:
                    some = ", ".join(map(str, wrong[:5]))
                    return [f"{workload.packed} per UPDATE, {name}: {len(wrong)} agents are wrong: {some}"]
            bench.close()
        finally:
            node.stop()
    return []


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--prefixes", type=int, default=20000)
    parser.add_argument("--agents", type=int, default=100, help="and as many instances")
    parser.add_argument("--packed", default="10,1", help="routes to an UPDATE")
    parser.add_argument("--timeout", type=float, default=120.0, help="seconds per phase")
    parser.add_argument("--profile", type=Path, help="cProfile of the control node (its last case)")
    parser.add_argument("--node", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.node:
        run_node(*json.loads(options.node))
        return
    if not 0 < options.prefixes <= 1 << 19 or not 0 < options.agents <= 1000:
        parser.error("between 1 and 524288 prefixes, between 1 and 1000 agents")
    wrong: list[str] = []
    for packed in map(int, options.packed.split(",")):
        print(f"\n{options.prefixes} prefixes, {packed} per UPDATE, into {options.agents} instances with an agent each")
        print(f"{'':15}{'routes/s':>12}{'CPU, s':>9}{'per CPU s':>12}{'pause, s':>10}{'peak, MiB':>11}{'grown':>8}")
        workload = Workload("inet-vpn", options.prefixes, packed, options.agents)
        wrong += run(workload, options.timeout, options.profile.absolute() if options.profile else None)
    if wrong:
        raise SystemExit("\n".join(wrong))


if __name__ == "__main__":
    main()

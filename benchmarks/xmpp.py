"""The XMPP control channel: sessions and their memory; items beside twisted.words (domish), in one run.

    python benchmarks/xmpp.py [--items 3200] [--sessions 1000] [--repeat 5]

Sessions: this process is the server, a child opens the connections one after the other without a pause: stream open,
reply, keepalive. Printed are sessions per second of wall time, from the first connect through to the last that is
Established (the child starts before), the server's CPU time for each, and resident memory per idle session of
`control.xmpp` alone. The garbage collector is set as in a control node.

Items are inet items of a control node's messages, 32 to a message, in two shapes: `shared` (one attribute set per
message: what a control node sends) and `distinct` (every item its own). In items per second of CPU time:

- `encode`: from values to the bytes of whole messages, which must read back to the same values.
- `parse`: from the bytes of a connection to values (prefix, next hops with label, encapsulations and network, security
  groups, sequence number, preference, MED); both must find the same.
"""

from __future__ import annotations

import argparse
import gc
import select
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from typing import Any

from twisted.internet import reactor as installed_reactor
from twisted.words.xish import domish

from contrail_emulator.base.garbage import tune
from contrail_emulator.control.xmpp import ServerSettings, Session, Stanza, XmppServer, item_text, pubsub, stream
from contrail_emulator.control.xmpp.family import ItemFamily
from contrail_emulator.control.xmpp.framing import FrameKind, Framer, Pattern
from contrail_emulator.control.xmpp.items import TABBED, UnicastEntry
from contrail_emulator.control.xmpp.next_hop import NextHop
from contrail_emulator.control.xmpp.stanza import StanzaParser

PER_MESSAGE = 32
INSTANCE = "default-domain:demo:red:red"
NETWORK = "default-domain:demo:red"
NAMESPACE = "http://jabber.org/protocol/pubsub"
OPEN = stream.open_bytes("reader", "network-control@contrailsystems.com")

Values = tuple[object, ...]


def entries(count: int, distinct: bool) -> list[UnicastEntry]:
    """`count` routes; in shape `shared` the routes of one message have one attribute set."""
    found = []
    for number in range(count):
        own = number if distinct else number // PER_MESSAGE
        hop = NextHop(f"10.2.{own >> 8 & 255}.{own & 255}", 16 + own, ("gre", "udp"), NETWORK, (65537,))
        prefix = f"10.1.{number >> 8 & 255}.{number & 255}/32"
        found.append(
            UnicastEntry(
                ItemFamily.INET,
                prefix,
                (hop,),
                virtual_network=NETWORK,
                mobility_sequence=own,
                sequence_number=own,
                security_groups=(8000002, 8000003),
                local_preference=100,
                med=200,
            )
        )
    return found


def essence(entry: UnicastEntry) -> Values:
    """What a parser must find."""
    hops = tuple((hop.address, hop.label, hop.encapsulations, hop.virtual_network) for hop in entry.next_hops)
    return (
        entry.address,
        hops,
        entry.virtual_network,
        entry.security_groups,
        entry.mobility_sequence,
        entry.local_preference,
        entry.med,
    )


def in_messages(routes: Sequence[UnicastEntry]) -> list[Sequence[UnicastEntry]]:
    return [routes[at : at + PER_MESSAGE] for at in range(0, len(routes), PER_MESSAGE)]


# --- Ours -------------------------------------------------------------------------------------------------------------


def our_encode(routes: Sequence[UnicastEntry]) -> list[bytes]:
    node = ItemFamily.INET.node(INSTANCE)
    header = pubsub.message_header("compute-8")
    return [
        header + pubsub.items_body(node, [(entry.address, entry.to_xml(TABBED)) for entry in message])
        for message in in_messages(routes)
    ]


def our_parse(data: bytes) -> list[UnicastEntry]:
    framer, parser, found = Framer(), StanzaParser(), []
    for at in range(0, len(data), 65536):
        framer.feed(data[at : at + 65536])
        while (frame := framer.next(Pattern.STANZA)) is not None:
            if frame.kind is FrameKind.STANZA:
                form = pubsub.read(parser.parse(frame.data))
                if isinstance(form, pubsub.Items):
                    found += [entry for _, entry in item_text.notified_entries(form, ItemFamily.INET)]
    return found  # type: ignore[return-value] # the messages are ours: no item is bad


# --- domish -----------------------------------------------------------------------------------------------------------


def domish_encode(routes: Sequence[UnicastEntry]) -> list[bytes]:
    return [_domish_message(message).toXml().encode() for message in in_messages(routes)]


def _domish_message(routes: Sequence[UnicastEntry]) -> Any:
    make: Any = domish.Element
    message = make((None, "message"))
    message["from"], message["to"] = "network-control@contrailsystems.com", "compute-8/bgp-peer"
    items = message.addElement((NAMESPACE, "event")).addElement("items")
    items["node"] = ItemFamily.INET.node(INSTANCE)
    for route in routes:
        item = items.addElement("item")
        item["id"] = route.address
        _domish_entry(item.addElement("entry"), route)
    return message


def _domish_entry(entry: Any, route: UnicastEntry) -> None:
    nlri = entry.addElement("nlri")
    _leaves(nlri, ("af", 1), ("safi", 1), ("address", route.address))
    hops = entry.addElement("next-hops")
    for hop in route.next_hops:
        element = hops.addElement("next-hop")
        _leaves(element, ("af", hop.af), ("address", hop.address), ("mac", hop.mac))
        _leaves(element, ("label", hop.label), ("vni", hop.vni))
        encapsulations = element.addElement("tunnel-encapsulation-list")
        _leaves(encapsulations, *[("tunnel-encapsulation", name) for name in hop.encapsulations])
        _leaves(element, ("virtual-network", hop.virtual_network))
        _leaves(element.addElement("tag-list"), *[("tag", tag) for tag in hop.tags])
        _leaves(element, ("local-sequence-number", hop.local_sequence_number))
    _leaves(entry, ("version", route.version), ("virtual-network", route.virtual_network))
    mobility = entry.addElement("mobility")
    mobility["sticky"], mobility["seqno"] = "false", str(route.mobility_sequence)
    _leaves(entry, ("sequence-number", route.sequence_number))
    groups = [("security-group", group) for group in route.security_groups]
    _leaves(entry.addElement("security-group-list"), *groups)
    entry.addElement("community-tag-list")
    _leaves(entry, ("local-preference", route.local_preference), ("med", route.med))
    balance = entry.addElement("load-balance")
    balance.addElement("load-balance-fields")
    _leaves(balance, ("load-balance-decision", route.load_balance_decision))
    _leaves(entry, ("sub-protocol", route.sub_protocol))


def _leaves(parent: Any, *pairs: tuple[str, object]) -> None:
    for name, value in pairs:
        parent.addElement(name, content=str(value))


def domish_parse(data: bytes) -> list[Values]:
    found: list[Values] = []
    make: Any = domish.elementStream
    reader = make()
    reader.DocumentStartEvent = lambda root: None
    reader.DocumentEndEvent = lambda: None
    reader.ElementEvent = lambda message: found.extend(map(_domish_values, message.event.items.elements()))
    reader.parse(OPEN)
    for at in range(0, len(data), 65536):
        reader.parse(data[at : at + 65536])
    return found


def _domish_values(item: Any) -> Values:
    fields = {child.name: child for child in item.entry.elements()}
    hops = []
    for element in fields["next-hops"].elements():
        hop = {child.name: child for child in element.elements()}
        encapsulations = tuple(str(child) for child in hop["tunnel-encapsulation-list"].elements())
        hops.append((str(hop["address"]), int(str(hop["label"])), encapsulations, str(hop["virtual-network"])))
    return (
        str(fields["nlri"].address),
        tuple(hops),
        str(fields["virtual-network"]),
        tuple(int(str(child)) for child in fields["security-group-list"].elements()),
        int(fields["mobility"]["seqno"]),
        int(str(fields["local-preference"])),
        int(str(fields["med"])),
    )


# --- Measuring --------------------------------------------------------------------------------------------------------


def best(work: Callable[[], object], repeat: int) -> float:
    """The shortest CPU time of `repeat` runs, in seconds."""
    times = []
    for _ in range(repeat):
        gc.collect()
        start = time.process_time()
        work()
        times.append(time.process_time() - start)
    return min(times)


def codec(count: int, repeat: int) -> None:
    sys.stdout.write(f"{'':22s}{'ours, items/s':>15s}{'domish, items/s':>17s}{'ratio':>8s}\n")
    for shape in ("shared", "distinct"):
        routes = entries(count, shape == "distinct")
        data = b"".join(our_encode(routes))
        expected = [essence(entry) for entry in routes]
        if [essence(entry) for entry in our_parse(data)] != expected or domish_parse(data) != expected:
            raise SystemExit("the two do not read the same")
        if domish_parse(b"".join(domish_encode(routes))) != expected:
            raise SystemExit("domish's message does not read back")
        for name, ours, theirs in (
            ("encode", lambda r=routes: our_encode(r), lambda r=routes: domish_encode(r)),
            ("parse", lambda d=data: our_parse(d), lambda d=data: domish_parse(d)),
        ):
            mine, other = best(ours, repeat), best(theirs, max(1, repeat // 2))
            sys.stdout.write(
                f"{name + ', ' + shape:22s}{count / mine:15,.0f}{count / other:17,.0f}{other / mine:8.1f}\n"
            )


class Count:
    """A handler that only counts."""

    def __init__(self, wanted: int, done: Callable[[], None]) -> None:
        self.wanted, self.done, self.up = wanted, done, 0

    def established(self, session: Session) -> None:
        self.up += 1
        if self.up == self.wanted:
            self.done()

    def stanza(self, session: Session, stanza: Stanza) -> None:
        raise AssertionError("no client of this benchmark sends stanzas")

    def closed(self, session: Session, reason: str) -> None:
        """Nothing to do."""

    def unblocked(self, session: Session) -> None:
        """Nothing to do."""


def resident() -> int:
    """Bytes of this process that are in memory."""
    with open("/proc/self/statm") as file:
        return int(file.read().split()[1]) * 4096


def sessions(count: int) -> None:
    """Accept `count` sessions from a child process; print the rate, and what each costs."""
    reactor: Any = installed_reactor
    wall: list[float] = []
    cpu: list[float] = []
    child: list[subprocess.Popen[bytes]] = []

    def note() -> None:
        wall.append(time.monotonic())
        cpu.append(time.process_time())

    def all_up() -> None:
        note()
        reactor.callLater(1, measure)

    handler = Count(count, all_up)
    server = XmppServer(reactor, ServerSettings("ctrl-1", port=0), handler)
    before = 0

    def begin(port: int) -> None:
        nonlocal before
        gc.collect()
        before = resident()
        command = [sys.executable, __file__, "--connect", str(port), "--sessions", str(count)]
        child.append(subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE))
        stdin, stdout = child[0].stdin, child[0].stdout
        assert stdin is not None and stdout is not None
        stdout.readline()  # it is ready
        note()
        stdin.write(b"open\n")
        stdin.flush()

    def measure() -> None:
        gc.collect()
        each = (resident() - before) / count
        rate, cost = count / (wall[1] - wall[0]), (cpu[1] - cpu[0]) / count
        sys.stdout.write(
            f"{count} sessions: {rate:,.0f} a second, {cost * 1e6:.0f} us of CPU and {each / 1024:.1f} KiB each\n\n"
        )
        child[0].terminate()
        child[0].wait()
        server.stop().addBoth(lambda _: reactor.stop())

    reactor.callWhenRunning(lambda: server.listen().addCallback(begin))
    reactor.run()


def connect(port: int, count: int) -> None:
    """The child: at a word open all connections, answer each reply with a keepalive, then wait to be ended."""
    print("ready", flush=True)
    sys.stdin.readline()
    poll = select.epoll()
    held: dict[int, socket.socket] = {}
    opened = answered = 0
    while answered < count:
        while opened < count and opened - answered < 64:
            link = socket.create_connection(("127.0.0.1", port))
            link.sendall(stream.open_bytes(f"compute-{opened}", "network-control@contrailsystems.com"))
            poll.register(link.fileno(), select.EPOLLIN)
            held[link.fileno()] = link
            opened += 1
        for number, _ in poll.poll(1):
            if held[number].recv(4096):
                held[number].sendall(stream.KEEPALIVE)
                answered += 1
                poll.unregister(number)
    time.sleep(600)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--items", type=int, default=3200)
    parser.add_argument("--sessions", type=int, default=1000)
    parser.add_argument("--repeat", type=int, default=5)
    parser.add_argument("--connect", type=int, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.connect:
        connect(options.connect, options.sessions)
        return
    tune()
    sessions(options.sessions)  # first: memory is read from a fresh process
    codec(options.items, options.repeat)


if __name__ == "__main__":
    main()

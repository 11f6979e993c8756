"""BGP codecs side by side in one run: ours, ExaBGP's, os-ken's, scapy's.

    python benchmarks/bgp_codec.py [--prefixes 4000] [--repeat 3] [--path DIR]

For inet, inet-vpn and e-vpn (MAC/IP), three shapes of the same routes: `packed` (4096-byte messages), `single` (one
prefix per UPDATE, 100 attribute sets in turn, as a table of a real peer comes) and `distinct` (one prefix and one
attribute set per UPDATE). Columns, in messages and prefixes per second of CPU time:

- `decode`: as a daemon uses the codec: bytes to routes and attributes.
- `decode + read out`: and every attribute and NLRI goes into a checksum, which must be the same for every codec.
- `encode`: from what was decoded to messages, which must read back to the same checksum.

`--path` is a folder where os-ken is installed (`pip install --target DIR os-ken`); a codec that is not there, or cannot
read a family, is left out and named. scapy only reads, and only inet: VPN and EVPN routes stay raw bytes in its layers.
"""

from __future__ import annotations

import argparse
import gc
import importlib
import socket
import struct
import sys
import time
import zlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from contrail_emulator.base.behaviour import CONTRAIL, RFC
from contrail_emulator.control.bgp import ext_community, nlri, update
from contrail_emulator.control.bgp.attributes import AsPath, Attributes
from contrail_emulator.control.bgp.family import Family
from contrail_emulator.control.bgp.negotiation import Negotiated
from contrail_emulator.control.bgp.nlri import Route

AS = 64512
SETS = 100
FAMILIES = (Family.INET, Family.INET_VPN, Family.E_VPN)
LABEL = nlri.label_bytes(1000, False)

Update = Any
"""Whatever a codec makes of an UPDATE."""


@dataclass(frozen=True)
class Corpus:
    """Whole messages of one family and shape, with how many prefixes they hold."""

    family: Family
    shape: str
    messages: list[bytes]
    prefixes: int


class Codec(Protocol):
    """One library under test."""

    name: str

    def supports(self, family: Family) -> bool: ...

    def decode(self, message: bytes) -> Update: ...

    def read_out(self, crc: int, family: Family, decoded: Update) -> int:
        """The checksum over every attribute and route."""
        ...

    def encode(self, family: Family, decoded: Update) -> Sequence[bytes]: ...


# --- what every codec must find in a message ------------------------------------------------------------------------


_ATTRIBUTES = struct.Struct("!BII")
_NUMBERS = [struct.Struct(f"!{count}I") for count in range(16)]
_ROUTE = struct.Struct("!BI")


def sum_attributes(
    crc: int,
    origin: int,
    as_path: Sequence[int],
    next_hop: bytes,
    med: int,
    local_pref: int,
    communities: Sequence[int],
    extended: Sequence[bytes],
) -> int:
    numbers = _NUMBERS[len(as_path)].pack(*as_path) + _NUMBERS[len(communities)].pack(*communities)
    fixed = _ATTRIBUTES.pack(origin, med, local_pref)
    return zlib.crc32(fixed + next_hop + numbers + b"".join(extended), crc)


def sum_route(crc: int, head: bytes, address: bytes, length: int, label: int) -> int:
    """`head` is the route distinguisher, with Ethernet tag and MAC for e-vpn; `address` has 4 bytes."""
    return zlib.crc32(head + address + _ROUTE.pack(length, label), crc)


# --- the codecs -----------------------------------------------------------------------------------------------------


class Ours:
    name = "contrail-emulator"

    def __init__(self) -> None:
        self._session = Negotiated(FAMILIES, local_as=AS, peer_as=AS)

    def supports(self, family: Family) -> bool:
        return True

    def decode(self, message: bytes) -> update.Received:
        return update.read(message[19:], self._session, CONTRAIL)

    def read_out(self, crc: int, family: Family, decoded: update.Received) -> int:
        (reach,) = decoded.reach
        a = reach.attributes
        crc = sum_attributes(
            crc,
            a.origin or 0,
            a.as_path.numbers,
            a.next_hop,
            a.med or 0,
            a.local_pref or 0,
            a.communities,
            a.ext_communities,
        )
        label = nlri.label
        if family is Family.INET:
            for key, _ in reach.routes:
                crc = sum_route(crc, b"", (key[1:] + bytes(4))[:4], key[0], 0)
        elif family is Family.INET_VPN:
            for key, payload in reach.routes:
                crc = sum_route(crc, key[:8], (key[9:] + bytes(4))[:4], key[8], label(payload, False))
        else:
            for key, payload in reach.routes:
                crc = sum_route(crc, key[1:19], key[20:], key[19], label(payload, False))
        return crc

    def encode(self, family: Family, decoded: update.Received) -> Sequence[bytes]:
        (reach,) = decoded.reach
        return update.write(family, reach.attributes, reach.routes, True, RFC if family is Family.INET else CONTRAIL)


class ExaBgp:
    name = "ExaBGP"

    def __init__(self) -> None:
        load = importlib.import_module
        load("exabgp.logger").log.disable()
        self._update = load("exabgp.bgp.message.update").Update
        self._in = load("exabgp.bgp.message.direction").Direction.IN
        asn = load("exabgp.bgp.message.open.asn").ASN
        family = load("exabgp.protocol.family")
        session = load("exabgp.bgp.message.open.capability.negotiated").Negotiated({"capability": {"aigp": False}})
        session.asn4 = True
        session.local_as = session.peer_as = asn(AS)
        afi, safi = family.AFI, family.SAFI
        session.families = [(afi.ipv4, safi.unicast), (afi.ipv4, safi.mpls_vpn), (afi.l2vpn, safi.evpn)]
        self._session = session

    def supports(self, family: Family) -> bool:
        return True

    def decode(self, message: bytes) -> Update:
        return self._update.unpack_message(message[19:], self._in, self._session)

    def read_out(self, crc: int, family: Family, decoded: Update) -> int:
        a, routes = decoded.attributes, decoded.nlris
        crc = sum_attributes(
            crc,
            a[1].origin,
            [number for segment in a[2].aspath for number in segment],
            routes[0].nexthop.ton(),
            a[4].med,
            a[5].localpref,
            [int.from_bytes(community.community, "big") for community in a[8].communities],
            [community.pack() for community in a[16].communities],
        )
        for route in routes:
            if family is Family.INET:
                crc = sum_route(crc, b"", route.cidr.ton(), route.cidr.mask, 0)
            elif family is Family.INET_VPN:
                crc = sum_route(crc, route.rd.rd, route.cidr.ton(), route.cidr.mask, route.labels.labels[0])
            else:
                head = route.rd.rd + route.etag.tag.to_bytes(4, "big") + route.mac.pack()
                crc = sum_route(crc, head, route.ip.pack(), 32, route.label.labels[0])
        return crc

    def encode(self, family: Family, decoded: Update) -> Sequence[bytes]:
        return list(decoded.messages(self._session))


class OsKen:
    name = "os-ken"

    def __init__(self) -> None:
        self._bgp = importlib.import_module("os_ken.lib.packet.bgp")

    def supports(self, family: Family) -> bool:
        return True

    def decode(self, message: bytes) -> Update:
        return self._bgp.BGPMessage.parser(message)[0]

    def read_out(self, crc: int, family: Family, decoded: Update) -> int:
        a = {attribute.type: attribute for attribute in decoded.path_attributes}
        hop, routes = (a[3].value, decoded.nlri) if family is Family.INET else (a[14].next_hop, a[14].nlri)
        crc = sum_attributes(
            crc,
            a[1].value,
            [number for segment in a[2].value for number in segment],
            socket.inet_aton(hop),
            a[4].value,
            a[5].value,
            a[8].communities,
            [bytes(community.serialize()) for community in a[16].communities],
        )
        for route in routes:
            if family is Family.INET:
                crc = sum_route(crc, b"", socket.inet_aton(route.addr), route.length, 0)
            elif family is Family.INET_VPN:
                labels, distinguisher, address = route.addr
                head = bytes(distinguisher.serialize())
                crc = sum_route(crc, head, socket.inet_aton(address), route.length - 88, labels[0])
            else:
                head = self._distinguisher(route.route_dist) + route.ethernet_tag_id.to_bytes(4, "big")
                head += bytes.fromhex(route.mac_addr.replace(":", ""))
                crc = sum_route(crc, head, socket.inet_aton(route.ip_addr), 32, route.mpls_labels[0])
        return crc

    def _distinguisher(self, text: str) -> bytes:
        return bytes(self._bgp._RouteDistinguisher.from_str(text).serialize())

    def encode(self, family: Family, decoded: Update) -> Sequence[bytes]:
        return [bytes(decoded.serialize())]


class Scapy:
    name = "scapy"

    def __init__(self) -> None:
        self._bgp = importlib.import_module("scapy.contrib.bgp")
        self._bgp.bgp_module_conf.use_2_bytes_asn = False

    def supports(self, family: Family) -> bool:
        return family is Family.INET

    def decode(self, message: bytes) -> Update:
        return self._bgp.BGPHeader(message)

    def read_out(self, crc: int, family: Family, decoded: Update) -> int:
        a = {attribute.type_code: attribute.attribute for attribute in decoded.path_attr}
        rest = bytes(a[8].payload)
        communities = [a[8].community, *(int.from_bytes(rest[i : i + 4], "big") for i in range(0, len(rest), 4))]
        crc = sum_attributes(
            crc,
            a[1].origin,
            [number for segment in a[2].segments for number in segment.segment_value],
            socket.inet_aton(a[3].next_hop),
            a[4].med,
            a[5].local_pref,
            communities,
            [bytes(community) for community in a[16].extended_communities],
        )
        for route in decoded.nlri:
            address, length = route.prefix.split("/")
            crc = sum_route(crc, b"", socket.inet_aton(address), int(length), 0)
        return crc

    def encode(self, family: Family, decoded: Update) -> Sequence[bytes]:
        """Rebuilding a dissected attribute with a short length raises TypeError inside scapy 2.6 to 2.8."""
        return []


# --- the run --------------------------------------------------------------------------------------------------------


def attribute_sets(count: int) -> list[Attributes]:
    return [
        Attributes.make(
            as_path=AsPath.sequence(65001, 4200000000 + n),
            next_hop=bytes((10, 255, n >> 8 & 255, n & 255)),
            med=n + 1,
            local_pref=100,
            communities=(AS << 16 | n & 0xFFFF, AS << 16 | 65535),
            ext_communities=(ext_community.route_target(f"{AS}:{n}"), ext_community.encapsulation("gre")),
        )
        for n in range(count)
    ]


def routes_of(family: Family, count: int) -> list[Route]:
    form, payload = {
        Family.INET: ("{a}.{b}.{c}.0/24", b""),
        Family.INET_VPN: ("10.255.2.1:7:{a}.{b}.{c}.1/32", LABEL),
        Family.E_VPN: (f"2-{AS}:7-0-02:00:00:{{a:02x}}:{{b:02x}}:{{c:02x}},{{a}}.{{b}}.{{c}}.1", bytes(10) + LABEL),
    }[family]
    key = nlri.codec(family).key
    return [(key(form.format(a=10 + (n >> 16), b=n >> 8 & 255, c=n & 255)), payload) for n in range(count)]


def corpora(count: int) -> Iterator[Corpus]:
    sets = attribute_sets(count)
    for family in FAMILIES:
        routes = routes_of(family, count)
        yield Corpus(family, "packed", update.write(family, sets[0], routes, True, RFC), count)
        for shape, period in (("single", SETS), ("distinct", count)):
            messages = [update.write(family, sets[n % period], [route], True, RFC)[0] for n, route in enumerate(routes)]
            yield Corpus(family, shape, messages, count)


def timed(prepare: Callable[[], Callable[[], object]], repeat: int) -> float:
    """The best CPU time of several runs, in seconds; each run starts from what `prepare` makes anew, untimed."""
    best = float("inf")
    for _ in range(repeat):
        action = prepare()
        gc.collect()
        start = time.process_time()
        action()
        best = min(best, time.process_time() - start)
    return best


def checksum(codec: Codec, family: Family, messages: Sequence[bytes]) -> int:
    crc = 0
    for message in messages:
        crc = codec.read_out(crc, family, codec.decode(message))
    return crc


@dataclass(frozen=True)
class Times:
    """Seconds of CPU time for one codec and one corpus."""

    decode: float
    read_out: float
    encode: float | None


def measure(make: Callable[[], Codec], corpus: Corpus, expected: int, repeat: int) -> Times:
    """Raises SystemExit when the codec reads or writes something else than the others."""
    codec = make()
    family, messages = corpus.family, corpus.messages
    if checksum(codec, family, messages) != expected:
        raise SystemExit(f"{codec.name} reads other values than the others: {family.config_name} {corpus.shape}")
    decoded = [codec.decode(message) for message in messages]
    written = [message for each in decoded for message in codec.encode(family, each)]
    if written and checksum(Ours(), family, written) != expected:
        raise SystemExit(f"{codec.name} writes other values than it read: {family.config_name} {corpus.shape}")

    def decode() -> Callable[[], object]:
        reader = make()
        return lambda: [reader.decode(message) for message in messages]

    def read_out() -> Callable[[], object]:
        reader = make()
        return lambda: checksum(reader, family, messages)

    def encode() -> Callable[[], object]:
        writer = make()
        fresh = [writer.decode(message) for message in messages]
        return lambda: [writer.encode(family, each) for each in fresh]

    return Times(timed(decode, repeat), timed(read_out, repeat), timed(encode, repeat) if written else None)


def available() -> list[Callable[[], Codec]]:
    makers: list[Callable[[], Codec]] = []
    for make in (Ours, ExaBgp, OsKen, Scapy):
        try:
            make()
        except ImportError as missing:
            sys.stdout.write(f"{make.name} is left out: {missing}\n")
        else:
            makers.append(make)
    return makers


def row(name: str, corpus: Corpus, times: Times, ours: Times) -> str:
    cells = []
    for own, theirs in ((ours.decode, times.decode), (ours.read_out, times.read_out), (ours.encode, times.encode)):
        if own is None or theirs is None:
            cells.append(f"{'cannot':>31s}")
            continue
        rates = f"{len(corpus.messages) / theirs:10,.0f} {corpus.prefixes / theirs:11,.0f}"
        cells.append(f"{rates} {theirs / own:7.1f}x")
    return f"  {name:18s}" + " |".join(cells)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--prefixes", type=int, default=4000)
    parser.add_argument("--repeat", type=int, default=3)
    parser.add_argument("--path", help="a folder where os-ken is installed")
    options = parser.parse_args()
    if options.path:
        sys.path.append(options.path)
    makers = available()
    head = f"{'msg/s':>10s} {'prefix/s':>11s} {'ours':>8s}"
    for corpus in corpora(options.prefixes):
        expected = checksum(Ours(), corpus.family, corpus.messages)
        title = f"{corpus.family.config_name}, {corpus.shape}"
        columns = " |".join(f"{name:>31s}" for name in ("decode", "decode + read out", "encode"))
        sys.stdout.write(f"\n{title}: {len(corpus.messages)} messages, {corpus.prefixes} prefixes\n")
        sys.stdout.write(f"  {'':18s}{columns}\n  {'':18s}{head} |{head} |{head}\n")
        ours: Times | None = None
        for make in makers:
            codec = make()
            if not codec.supports(corpus.family):
                continue
            times = measure(make, corpus, expected, options.repeat)
            ours = ours or times
            sys.stdout.write(row(codec.name, corpus, times, ours) + "\n")


if __name__ == "__main__":
    main()

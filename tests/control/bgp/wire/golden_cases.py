"""What the golden files show: one case per message, NLRI, attribute, extended community and capability."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from contrail_emulator.base.behaviour import CONTRAIL, RFC, Behaviour
from contrail_emulator.control.bgp import ext_community, nlri, update
from contrail_emulator.control.bgp.attributes import (
    Aggregator,
    AsPath,
    Attributes,
    Edge,
    ForwardingEdge,
    PmsiTunnel,
    UnknownAttribute,
)
from contrail_emulator.control.bgp.attributes.as_path import AS_SEQUENCE, AS_SET
from contrail_emulator.control.bgp.capability import (
    Capability,
    FourOctetAs,
    GracefulRestart,
    LongLivedFamily,
    LongLivedGracefulRestart,
    Multiprotocol,
    RestartFamily,
    UnknownCapability,
)
from contrail_emulator.control.bgp.family import Family
from contrail_emulator.control.bgp.message import Keepalive, Notification, Open, RouteRefresh
from contrail_emulator.control.bgp.nlri import Route

NEXT_HOP = bytes((10, 255, 2, 1))
LABEL = nlri.label_bytes(100, False)
VNI = nlri.label_bytes(5001, True)
TARGET = ext_community.route_target("64512:100")
UDP = ext_community.encapsulation("udp")
VXLAN = ext_community.encapsulation("vxlan")

BASE = Attributes.make(local_pref=100, next_hop=NEXT_HOP)


@dataclass(frozen=True)
class Case:
    """A whole message, and how the session that reads it was set up."""

    name: str
    wire: bytes
    behaviour: Behaviour = CONTRAIL
    as4: bool = True


def _route(family: Family, text: str, payload: bytes = b"") -> Route:
    return nlri.codec(family).key(text), payload


ROUTES: Mapping[str, tuple[Family, Route]] = {
    "inet": (Family.INET, _route(Family.INET, "10.1.2.0/23")),
    "inet default route": (Family.INET, _route(Family.INET, "0.0.0.0/0")),
    "inet6": (Family.INET6, _route(Family.INET6, "2001:db8:1::/48")),
    "inet-labeled": (Family.INET_LABELED, _route(Family.INET_LABELED, "10.255.0.1/32", LABEL)),
    "inet-vpn, type 0 distinguisher": (Family.INET_VPN, _route(Family.INET_VPN, "64512:7:10.1.2.3/32", LABEL)),
    "inet-vpn, type 1 distinguisher": (Family.INET_VPN, _route(Family.INET_VPN, "10.255.2.1:7:10.1.2.0/24", LABEL)),
    "inet-vpn, type 2 distinguisher": (Family.INET_VPN, _route(Family.INET_VPN, "4200000000:7:10.1.0.0/16", LABEL)),
    "inet6-vpn": (Family.INET6_VPN, _route(Family.INET6_VPN, "10.255.2.1:7:2001:db8:1::3/128", LABEL)),
    "route-target": (Family.ROUTE_TARGET, _route(Family.ROUTE_TARGET, "64512:target:64512:100")),
    "route-target default": (Family.ROUTE_TARGET, _route(Family.ROUTE_TARGET, "0:target:0:0")),
    "e-vpn 1, per segment": (Family.E_VPN, _route(Family.E_VPN, "1-10.255.2.1:7-64512:9-4294967295", b"\0\0\0")),
    "e-vpn 2, MAC only": (
        Family.E_VPN,
        _route(Family.E_VPN, "2-10.255.2.1:7-0-02:aa:bb:cc:dd:ee,0.0.0.0", bytes(10) + VNI),
    ),
    "e-vpn 2, MAC and IPv4": (
        Family.E_VPN,
        _route(Family.E_VPN, "2-10.255.2.1:7-0-02:aa:bb:cc:dd:ee,10.1.2.3", bytes(10) + VNI),
    ),
    "e-vpn 2, MAC and IPv6, two labels": (
        Family.E_VPN,
        _route(Family.E_VPN, "2-10.255.2.1:7-0-02:aa:bb:cc:dd:ee,2001:db8:1::3", bytes(10) + VNI + VNI),
    ),
    "e-vpn 3": (Family.E_VPN, _route(Family.E_VPN, "3-10.255.2.1:7-0-10.255.2.1")),
    "e-vpn 4": (Family.E_VPN, _route(Family.E_VPN, "4-10.255.2.1:7-64512:9-10.255.2.1")),
    "e-vpn 5, IPv4": (Family.E_VPN, _route(Family.E_VPN, "5-10.255.2.1:7-0-10.1.2.0/24", bytes(14) + VNI)),
    "e-vpn 5, IPv6": (Family.E_VPN, _route(Family.E_VPN, "5-10.255.2.1:7-0-2001:db8:1::/48", bytes(26) + VNI)),
    "e-vpn 6": (Family.E_VPN, _route(Family.E_VPN, "6-10.255.2.1:7-0-10.1.2.3-239.1.1.1-10.255.2.1", b"\x02")),
    "e-vpn 6, any source": (Family.E_VPN, _route(Family.E_VPN, "6-10.255.2.1:7-0-239.1.1.1-10.255.2.1", b"\x02")),
    "erm-vpn local tree": (Family.ERM_VPN, _route(Family.ERM_VPN, "1-10.255.2.1:7-10.255.0.1,239.1.1.1,10.1.2.3")),
    "erm-vpn global tree": (Family.ERM_VPN, _route(Family.ERM_VPN, "2-10.255.2.1:7-10.255.0.1,239.1.1.1,0.0.0.0")),
    "inet-mvpn 1": (Family.INET_MVPN, _route(Family.INET_MVPN, "1-10.255.0.1:7,10.255.0.1")),
    "inet-mvpn 2": (Family.INET_MVPN, _route(Family.INET_MVPN, "2-10.255.0.1:7,64512")),
    "inet-mvpn 3": (Family.INET_MVPN, _route(Family.INET_MVPN, "3-10.255.0.1:7,10.1.2.3,239.1.1.1,10.255.0.1")),
    "inet-mvpn 4": (
        Family.INET_MVPN,
        _route(Family.INET_MVPN, "4-3-10.255.0.1:7,10.1.2.3,239.1.1.1,10.255.0.1,10.255.0.2"),
    ),
    "inet-mvpn 5": (Family.INET_MVPN, _route(Family.INET_MVPN, "5-10.255.0.1:7,10.1.2.3,239.1.1.1")),
    "inet-mvpn 6": (Family.INET_MVPN, _route(Family.INET_MVPN, "6-10.255.0.1:7,64512,10.1.2.3,239.1.1.1")),
    "inet-mvpn 7": (Family.INET_MVPN, _route(Family.INET_MVPN, "7-10.255.0.1:7,64512,10.1.2.3,239.1.1.1")),
}

ATTRIBUTES: Mapping[str, Attributes] = {
    "ORIGIN incomplete": BASE.replace(origin=2),
    "AS_PATH": BASE.replace(as_path=AsPath([(AS_SEQUENCE, (65001, 4200000000)), (AS_SET, (65003, 65004))])),
    "MULTI_EXIT_DISC": BASE.replace(med=200),
    "LOCAL_PREF": BASE.replace(local_pref=4294967295),
    "ATOMIC_AGGREGATE": BASE.replace(atomic_aggregate=True),
    "AGGREGATOR": BASE.replace(aggregator=Aggregator(4200000000, NEXT_HOP)),
    "COMMUNITIES": BASE.replace(communities=(64512 << 16 | 100, 0xFFFF0006, 0xFFFFFF01)),
    "ORIGINATOR_ID and CLUSTER_LIST": BASE.replace(originator_id=0x0AFF0001, cluster_list=(1, 2)),
    "PMSI_TUNNEL, ingress replication": BASE.replace(pmsi=PmsiTunnel.make(0x80, 6, 5001, NEXT_HOP, vxlan=True)),
    "PMSI_TUNNEL, assisted replication": BASE.replace(pmsi=PmsiTunnel.make(0x08, 252, 5001, NEXT_HOP, vxlan=True)),
    "EDGE_DISCOVERY": BASE.replace(edge_discovery=(Edge(NEXT_HOP, ((4096, 8191), (9000, 9000))), Edge(NEXT_HOP, ()))),
    "EDGE_FORWARDING": BASE.replace(
        edge_forwarding=(ForwardingEdge(NEXT_HOP, 4096, bytes((10, 255, 2, 2)), 5000),),
    ),
    "ORIGIN_VN_PATH": BASE.replace(
        origin_vn_path=(ext_community.origin_vn(64512, 5), ext_community.origin_vn(64512, 6)),
    ),
    "more than 255 bytes": BASE.replace(communities=tuple(range(65536, 65536 + 70))),
}

RFC_ATTRIBUTES: Mapping[str, Attributes] = {
    "LARGE_COMMUNITY": BASE.replace(large_communities=((64512, 1, 2), (4200000000, 3, 4))),
    "unknown, transitive": BASE.replace(unknown=(UnknownAttribute(0xE0, 200, b"\xab\xcd"),)),
    "MED 0": BASE.replace(med=0),
}

OLD_SPEAKER: Mapping[str, Attributes] = {
    "AS4_PATH": BASE.replace(as_path=AsPath.sequence(65001, 4200000000)),
    "AS4_AGGREGATOR": BASE.replace(aggregator=Aggregator(4200000000, NEXT_HOP)),
    "2-byte AS_PATH": BASE.replace(as_path=AsPath.sequence(65001), aggregator=Aggregator(65001, NEXT_HOP)),
}

EXT_COMMUNITIES = (
    "target:64512:100",
    "target:10.255.0.1:3",
    "target:4200000000:5",
    "target:64512L:5",
    "soo:64512:100",
    "source-as:64512:0",
    "rt-import:10.255.0.1:3",
    *(f"encapsulation:{name}" for name in ext_community.ENCAPSULATIONS),
    "defaultgw:0",
    "load-balance:field-hash",
    "load-balance:source-bias",
    "mobility:sticky:7",
    "mobility:non-sticky:8",
    "esilabel:aa:16",
    "esilabel:sa:16",
    "esimport:02:aa:bb:cc:dd:ee",
    "rtrmac:02:aa:bb:cc:dd:ee",
    "etree:leaf:16",
    "etree:root:0",
    "evpn-mcast-flags:1",
    "secgroup:64512:8000001",
    "secgroup:4200000000:7",
    "originvn:64512:5",
    "originvn:4200000000:5",
    "tag:64512:65537",
    "tag:4200000000:5",
    "subcluster:64512:9",
    "subcluster:4200000000:9",
    "c000000000050000",
)

CAPABILITIES: Mapping[str, Capability] = {
    **{f"multiprotocol {family.config_name}": Multiprotocol.of(family) for family in Family},
    "four-octet AS": FourOctetAs(4200000000),
    "graceful restart, off": GracefulRestart(0),
    "graceful restart, off, restarting": GracefulRestart(0, (), restarting=True),
    "graceful restart": GracefulRestart(
        300, (RestartFamily.of(Family.INET), RestartFamily.of(Family.INET_VPN)), notification=True
    ),
    "long-lived graceful restart": LongLivedGracefulRestart(
        (LongLivedFamily.of(Family.INET, 300), LongLivedFamily.of(Family.INET_VPN, 300))
    ),
    "route refresh": UnknownCapability(2),
    "extended next hop": UnknownCapability(5, bytes.fromhex("000100010002")),
    "extended message": UnknownCapability(6),
    "role": UnknownCapability(9, b"\x03"),
    "add path": UnknownCapability(69, bytes.fromhex("00010103")),
    "enhanced route refresh": UnknownCapability(70),
    "FQDN": UnknownCapability(73, b"\x04leaf\x0bexample.net"),
}


def _open(*capabilities: Capability) -> bytes:
    return Open.make(64512, 90, 0x0AFF0001, capabilities).encode()


def _update(family: Family, attributes: Attributes, *routes: Route, behaviour: Behaviour = CONTRAIL) -> bytes:
    (message,) = update.write(family, attributes, routes, True, behaviour)
    return message


def messages() -> Iterator[Case]:
    """One of each type, and the whole-message forms of UPDATE."""
    yield Case("KEEPALIVE", Keepalive().encode())
    yield Case(
        "OPEN of a control node",
        _open(
            *map(Multiprotocol.of, (Family.INET, Family.INET_VPN, Family.ROUTE_TARGET, Family.E_VPN)),
            FourOctetAs(64512),
            GracefulRestart(0),
        ),
    )
    yield Case("OPEN without capabilities", _open())
    yield Case("NOTIFICATION: attribute length", Notification(3, 5, bytes.fromhex("800403000001")).encode())
    yield Case("NOTIFICATION: administrative shutdown", Notification(6, 2, b"\x0bmaintenance").encode())
    yield Case("NOTIFICATION: collision", Notification(6, 7).encode())
    yield Case("NOTIFICATION: hold timer", Notification(4, 0).encode())
    yield Case("ROUTE-REFRESH", RouteRefresh(1, 128).encode(), RFC)
    rich = BASE.replace(ext_communities=(TARGET, UDP), as_path=AsPath.sequence(65001), med=200)
    vpn = (ROUTES["inet-vpn, type 1 distinguisher"][1], ROUTES["inet-vpn, type 0 distinguisher"][1])
    yield Case("UPDATE: inet-vpn, two routes", _update(Family.INET_VPN, rich, *vpn))
    yield Case("UPDATE: inet, classic fields", _update(Family.INET, rich, ROUTES["inet"][1], behaviour=RFC), RFC)
    for name, (family, (key, _)) in ROUTES.items():
        (message,) = update.write_withdrawn(family, [key])
        yield Case(f"UPDATE: withdrawal, {name}", message)
    (message,) = update.write_withdrawn(Family.INET, [ROUTES["inet"][1][0]], RFC)
    yield Case("UPDATE: withdrawal, inet, classic field", message, RFC)
    for family in Family:
        yield Case(f"UPDATE: End-of-RIB, {family.config_name}", update.end_of_rib(family))
    yield Case("UPDATE: End-of-RIB, inet, classic", update.end_of_rib(Family.INET, RFC), RFC)


def routes() -> Iterator[Case]:
    for name, (family, route) in ROUTES.items():
        target = TARGET if family not in (Family.INET, Family.INET6, Family.ROUTE_TARGET) else None
        extended = (target, VXLAN) if family is Family.E_VPN and target else (target,) if target else ()
        yield Case(name, _update(family, BASE.replace(ext_communities=extended), route))


def attributes() -> Iterator[Case]:
    route = ROUTES["inet"][1]
    for name, values in ATTRIBUTES.items():
        yield Case(name, _update(Family.INET, values, route))
    for name, values in RFC_ATTRIBUTES.items():
        yield Case(name, _update(Family.INET, values, route, behaviour=RFC), RFC)
    for name, values in OLD_SPEAKER.items():
        (message,) = update.write(Family.INET, values, [route], False)
        yield Case(name, message, as4=False)


def ext_communities() -> Iterator[Case]:
    for text in EXT_COMMUNITIES:
        values = BASE.replace(ext_communities=(ext_community.parse(text),))
        yield Case(text, _update(Family.INET_VPN, values, ROUTES["inet-vpn, type 1 distinguisher"][1]))


def capabilities() -> Iterator[Case]:
    for name, value in CAPABILITIES.items():
        yield Case(name, _open(value))


FILES = {
    "messages.json": messages,
    "nlri.json": routes,
    "attributes.json": attributes,
    "ext_communities.json": ext_communities,
    "capabilities.json": capabilities,
}

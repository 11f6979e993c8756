"""Hypothesis strategies for every wire type: any value a peer may send and we must read back."""

from __future__ import annotations

from collections.abc import Mapping

from hypothesis import strategies as st
from hypothesis.strategies import SearchStrategy

from contrail_emulator.control.bgp import capability
from contrail_emulator.control.bgp.attributes import (
    Aggregator,
    AsPath,
    Attributes,
    Edge,
    ForwardingEdge,
    PmsiTunnel,
    UnknownAttribute,
)
from contrail_emulator.control.bgp.attributes.table import SPECS
from contrail_emulator.control.bgp.family import Family
from contrail_emulator.control.bgp.message import Keepalive, Message, Notification, Open, RouteRefresh, Update
from contrail_emulator.control.bgp.nlri import Route


def raw(size: int) -> SearchStrategy[bytes]:
    return st.binary(min_size=size, max_size=size)


u8 = st.integers(0, 0xFF)
u16 = st.integers(0, 0xFFFF)
u32 = st.integers(0, 0xFFFFFFFF)
asn = st.integers(1, 0xFFFFFFFF)
asn2 = st.integers(1, 0xFFFF)
ipv4 = raw(4)
label3 = raw(3)
communities = st.frozensets(u32, max_size=12).map(lambda values: tuple(sorted(values)))
ext_communities = st.frozensets(raw(8), max_size=12).map(lambda values: tuple(sorted(values)))


@st.composite
def route_distinguishers(draw: st.DrawFn) -> bytes:
    kind = int(draw(st.sampled_from((0, 1, 2))))
    head: bytes = kind.to_bytes(2, "big")
    return head + bytes(draw(raw(6)))


@st.composite
def prefixes(draw: st.DrawFn, size: int) -> bytes:
    """`length(1) prefix` with clear host bits."""
    bits = draw(st.integers(0, size * 8))
    value = int(draw(st.integers(0, (1 << bits) - 1))) << (-bits % 8) if bits else 0
    return bytes((bits,)) + value.to_bytes((bits + 7) // 8, "big")


def _pairs(key: SearchStrategy[bytes], payload: SearchStrategy[bytes] | None = None) -> SearchStrategy[Route]:
    return st.tuples(key, payload if payload is not None else st.just(b""))


def _join(*parts: SearchStrategy[bytes]) -> SearchStrategy[bytes]:
    return st.tuples(*parts).map(b"".join)


def _sized(*sizes: int) -> SearchStrategy[bytes]:
    """An address behind its length in bits."""
    return st.sampled_from(sizes).flatmap(lambda size: raw(size).map(lambda address: bytes((size * 8,)) + address))


def _padded(size: int) -> SearchStrategy[bytes]:
    return prefixes(size).map(lambda prefix: prefix + bytes(1 + size - len(prefix)))


rd = route_distinguishers()
_tail = st.sampled_from((3, 6)).flatmap(raw)
evpn_routes: Mapping[int, SearchStrategy[Route]] = {
    1: _pairs(_join(st.just(b"\x01"), rd, raw(10), raw(4)), label3),
    2: _pairs(_join(st.just(b"\x02"), rd, raw(4), raw(6), _sized(0, 4, 16)), _join(raw(10), _tail)),
    3: _pairs(_join(st.just(b"\x03"), rd, raw(4), _sized(4, 16))),
    4: _pairs(_join(st.just(b"\x04"), rd, raw(10), _sized(4, 16))),
    5: st.sampled_from((4, 16)).flatmap(
        lambda size: _pairs(_join(st.just(b"\x05"), rd, raw(4), _padded(size)), _join(raw(10), raw(size), label3))
    ),
    6: _pairs(_join(st.just(b"\x06"), rd, raw(4), _sized(0, 4, 16), _sized(0, 4, 16), _sized(4, 16)), raw(1)),
}


def _typed(kind: int, body: SearchStrategy[bytes]) -> SearchStrategy[bytes]:
    return body.map(lambda value: bytes((kind, len(value))) + value)


_source_group = _join(st.just(b"\x20"), ipv4, st.just(b"\x20"), ipv4)
_spmsi = _typed(3, _join(rd, _source_group, ipv4))
_inter_as = _typed(2, _join(rd, ipv4))
mvpn_keys: Mapping[int, SearchStrategy[bytes]] = {
    1: _typed(1, _join(rd, ipv4)),
    2: _inter_as,
    3: _spmsi,
    4: _typed(4, _join(st.one_of(_spmsi, _inter_as), ipv4)),
    5: _typed(5, _join(rd, _source_group)),
    6: _typed(6, _join(rd, ipv4, _source_group)),
    7: _typed(7, _join(rd, ipv4, _source_group)),
}

route_targets = _join(st.sampled_from((b"\x00\x02", b"\x01\x02", b"\x02\x02")), raw(6))

routes: Mapping[Family, SearchStrategy[Route]] = {
    Family.INET: _pairs(prefixes(4)),
    Family.INET6: _pairs(prefixes(16)),
    Family.INET_LABELED: _pairs(prefixes(4), label3),
    Family.INET_VPN: _pairs(_join(rd, prefixes(4)), label3),
    Family.INET6_VPN: _pairs(_join(rd, prefixes(16)), label3),
    Family.ROUTE_TARGET: _pairs(
        st.one_of(st.just(b"\x00"), _join(st.just(b"\x60"), raw(4), route_targets)),
    ),
    Family.E_VPN: st.one_of(*evpn_routes.values()),
    Family.ERM_VPN: _pairs(_join(st.sampled_from((b"\x01\x16", b"\x02\x16")), rd, ipv4, _source_group)),
    Family.INET_MVPN: _pairs(st.one_of(*mvpn_keys.values())),
}
families = st.sampled_from(list(Family))


# --- attributes ----------------------------------------------------------------------------------------------------


segments = st.lists(
    st.tuples(st.sampled_from((1, 2)), st.lists(asn, min_size=1, max_size=6).map(tuple)), min_size=1, max_size=4
)
as_paths = segments.map(AsPath)
edges = st.lists(
    st.builds(Edge, ipv4, st.lists(st.tuples(u32, u32), max_size=3).map(tuple)), min_size=1, max_size=3
).map(tuple)
forwarding_edges = st.lists(st.builds(ForwardingEdge, ipv4, u32, ipv4, u32), min_size=1, max_size=3).map(tuple)
pmsi_tunnels = st.builds(PmsiTunnel, u8, u8, label3, st.binary(max_size=17))
unknown_attributes = st.lists(
    st.builds(
        UnknownAttribute,
        st.just(0xE0),
        st.integers(0, 255).filter(lambda code: code not in SPECS),
        st.binary(max_size=300),
    ),
    max_size=2,
    unique_by=lambda unknown: unknown.code,
).map(lambda values: tuple(sorted(values, key=lambda unknown: unknown.code)))


def _maybe(strategy: SearchStrategy[object]) -> SearchStrategy[object]:
    return st.one_of(st.none(), strategy)


fields: Mapping[str, SearchStrategy[object]] = {
    "origin": st.integers(0, 2),
    "as_path": as_paths,
    "med": _maybe(st.integers(1, 0xFFFFFFFF)),
    "local_pref": u32,
    "atomic_aggregate": st.booleans(),
    "aggregator": _maybe(st.builds(Aggregator, asn, ipv4)),
    "communities": communities,
    "originator_id": _maybe(u32),
    "cluster_list": st.lists(u32, max_size=4).map(tuple),
    "ext_communities": ext_communities,
    "pmsi": _maybe(pmsi_tunnels),
    "edge_discovery": st.one_of(st.just(()), edges),
    "edge_forwarding": st.one_of(st.just(()), forwarding_edges),
    "origin_vn_path": st.lists(raw(8), max_size=4).map(tuple),
}
rfc_fields: Mapping[str, SearchStrategy[object]] = {
    **fields,
    "med": _maybe(u32),
    "large_communities": st.frozensets(st.tuples(u32, u32, u32), max_size=4).map(lambda v: tuple(sorted(v))),
    "unknown": unknown_attributes,
}


next_hops = ipv4.filter(any)


def attributes(next_hop: SearchStrategy[bytes] = next_hops, rfc: bool = False) -> SearchStrategy[Attributes]:
    """Sets as an iBGP peer may send them."""
    known = st.fixed_dictionaries(dict(rfc_fields if rfc else fields))
    return st.builds(lambda values, hop: Attributes.make(**values, next_hop=hop), known, next_hop)


# --- messages ------------------------------------------------------------------------------------------------------


_restart_families = st.lists(st.builds(capability.RestartFamily, u16, u8, st.booleans()), max_size=4).map(tuple)
_long_lived_families = st.lists(
    st.builds(capability.LongLivedFamily, u16, u8, st.booleans(), st.integers(0, 0xFFFFFF)), max_size=4
).map(tuple)
_understood = (1, 64, 65, 71)
capabilities: SearchStrategy[capability.Capability] = st.one_of(
    st.builds(capability.Multiprotocol, u16, u8),
    st.builds(capability.FourOctetAs, u32),
    st.builds(capability.GracefulRestart, st.integers(0, 0xFFF), _restart_families, st.booleans(), st.booleans()),
    st.builds(capability.LongLivedGracefulRestart, _long_lived_families),
    st.builds(capability.UnknownCapability, u8.filter(lambda code: code not in _understood), st.binary(max_size=12)),
)
opens = st.builds(
    Open,
    u16,
    u16.filter(lambda hold_time: hold_time not in (1, 2)),
    u32,
    st.lists(capabilities, max_size=6).map(tuple),
)
messages: SearchStrategy[Message] = st.one_of(
    opens,
    st.builds(Update, st.binary(min_size=4, max_size=200)),
    st.builds(Notification, u8, u8, st.binary(max_size=40)),
    st.just(Keepalive()),
    st.builds(RouteRefresh, u16, u8, u8, st.binary(max_size=8)),
)

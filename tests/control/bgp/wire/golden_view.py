"""A message as a person reads it: its bytes cut into fields, one line of text per statement, and JSON."""

from __future__ import annotations

from collections.abc import Iterator
from ipaddress import ip_address

from contrail_emulator.base.behaviour import Behaviour
from contrail_emulator.control.bgp import community, ext_community, nlri, update
from contrail_emulator.control.bgp.attributes import Attributes
from contrail_emulator.control.bgp.attributes.table import attribute_name
from contrail_emulator.control.bgp.family import Family, family_text
from contrail_emulator.control.bgp.message import HEADER_SIZE, Keepalive, Notification, Open, RouteRefresh, decode
from contrail_emulator.control.bgp.negotiation import Negotiated
from contrail_emulator.control.bgp.nlri import Route

Json = dict[str, object]

_ORIGINS = ("igp", "egp", "incomplete")


def _address(raw: bytes) -> str:
    return str(ip_address(raw)) if raw else ""


def route_json(family: Family, route: Route) -> Json:
    key, payload = route
    return {"prefix": nlri.codec(family).text(key), "payload": payload.hex()}


def attributes_json(attributes: Attributes) -> Json:
    """Every attribute that is there, in printed form."""
    pmsi, aggregator = attributes.pmsi, attributes.aggregator
    everything: Json = {
        "next_hop": _address(attributes.next_hop),
        "origin": _ORIGINS[attributes.origin] if attributes.origin is not None else None,
        "as_path": attributes.as_path.text,
        "med": attributes.med,
        "local_preference": attributes.local_pref,
        "atomic_aggregate": attributes.atomic_aggregate or None,
        "aggregator": f"{aggregator.asn} {_address(aggregator.address)}" if aggregator else None,
        "communities": [community.text(value) for value in attributes.communities],
        "originator_id": attributes.originator_id,
        "cluster_list": list(attributes.cluster_list),
        "ext_communities": [ext_community.text(value) for value in attributes.ext_communities],
        "pmsi": f"{pmsi.type_text} flags {pmsi.flags:#04x} label {pmsi.label.hex()} {pmsi.identifier.hex()}"
        if pmsi
        else None,
        "edge_discovery": [f"{_address(edge.address)} {list(edge.labels)}" for edge in attributes.edge_discovery],
        "edge_forwarding": [
            f"{_address(edge.in_address)} {edge.in_label} -> {_address(edge.out_address)} {edge.out_label}"
            for edge in attributes.edge_forwarding
        ],
        "origin_vn_path": [ext_community.text(value) for value in attributes.origin_vn_path],
        "large_communities": [":".join(map(str, value)) for value in attributes.large_communities],
        "unknown": [f"{u.flags:#04x} {u.code} {u.value.hex()}" for u in attributes.unknown],
    }
    return {name: value for name, value in everything.items() if value not in (None, [], "")}


def message_json(wire: bytes, behaviour: Behaviour, as4: bool) -> Json:
    """What the message says, read by the code under test."""
    message = decode(wire[18], wire[HEADER_SIZE:], behaviour)
    if isinstance(message, Open):
        return {
            "type": "open",
            "my_as": message.my_as,
            "hold_time": message.hold_time,
            "identifier": _address(message.identifier.to_bytes(4, "big")),
            "capabilities": [capability.text for capability in message.capabilities],
        }
    if isinstance(message, Notification):
        return {"type": "notification", "says": message.text}
    if isinstance(message, Keepalive):
        return {"type": "keepalive"}
    if isinstance(message, RouteRefresh):
        return {"type": "route-refresh", "family": family_text(message.afi, message.safi)}
    session = Negotiated(list(Family), as4=as4, local_as=64512, peer_as=64512)
    received = update.read(message.body, session, behaviour)
    view: Json = {"type": "update"}
    if received.end_of_rib is not None:
        view["end_of_rib"] = received.end_of_rib.config_name
    if received.unreach:
        view["unreach"] = [
            {"family": u.family.config_name, "prefixes": [nlri.codec(u.family).text(key) for key in u.keys]}
            for u in received.unreach
        ]
    if received.reach:
        view["reach"] = [
            {
                "family": reach.family.config_name,
                "attributes": attributes_json(reach.attributes),
                "routes": [route_json(reach.family, route) for route in reach.routes],
            }
            for reach in received.reach
        ]
    if received.faults:
        view["faults"] = received.faults
    return view


def fields(wire: bytes) -> list[str]:
    """`hex  meaning` per field; the hex parts of all lines are the message."""
    kinds = {1: "OPEN", 2: "UPDATE", 3: "NOTIFICATION", 4: "KEEPALIVE", 5: "ROUTE-REFRESH"}
    lines = [
        f"{wire[:16].hex()}  marker",
        f"{wire[16:18].hex()}  length {int.from_bytes(wire[16:18], 'big')}",
        f"{wire[18:19].hex()}  {kinds[wire[18]]}",
    ]
    cutters = {1: _open_fields, 2: _update_fields, 3: _notification_fields, 5: _refresh_fields}
    cutter = cutters.get(wire[18])
    return lines + ([f"{raw.hex()}  {what}" for raw, what in cutter(wire[HEADER_SIZE:])] if cutter else [])


_Field = tuple[bytes, str]


def _open_fields(body: bytes) -> Iterator[_Field]:
    yield body[:1], f"version {body[0]}"
    yield body[1:3], f"my AS {int.from_bytes(body[1:3], 'big')}"
    yield body[3:5], f"hold time {int.from_bytes(body[3:5], 'big')}"
    yield body[5:9], f"identifier {_address(body[5:9])}"
    yield body[9:10], f"{body[9]} bytes of optional parameters"
    if len(body) > 10:
        yield body[10:12], f"parameter {body[10]}, {body[11]} bytes"
        offset = 12
        while offset < len(body):
            after = offset + 2 + body[offset + 1]
            yield body[offset:after], f"capability {body[offset]}"
            offset = after


def _notification_fields(body: bytes) -> Iterator[_Field]:
    yield body[:1], f"code {body[0]}"
    yield body[1:2], f"subcode {body[1]}"
    if len(body) > 2:
        yield body[2:], "data"


def _refresh_fields(body: bytes) -> Iterator[_Field]:
    yield body[:2], f"AFI {int.from_bytes(body[:2], 'big')}"
    yield body[2:3], "reserved"
    yield body[3:4], f"SAFI {body[3]}"


def _update_fields(body: bytes) -> Iterator[_Field]:
    withdrawn = int.from_bytes(body[:2], "big")
    yield body[:2], f"{withdrawn} bytes of withdrawn routes"
    if withdrawn:
        yield body[2 : 2 + withdrawn], "withdrawn routes"
    start = 2 + withdrawn
    size = int.from_bytes(body[start : start + 2], "big")
    yield body[start : start + 2], f"{size} bytes of attributes"
    offset, end = start + 2, start + 2 + size
    while offset < end:
        long_form = body[offset] & 0x10
        head = 4 if long_form else 3
        after = offset + head + int.from_bytes(body[offset + 2 : offset + head], "big")
        code = body[offset + 1]
        if code in (14, 15):
            yield body[offset : offset + head], attribute_name(code)
            yield from _mp_fields(code, body[offset + head : after])
        else:
            yield body[offset:after], attribute_name(code)
        offset = after
    if end < len(body):
        yield body[end:], "NLRI"


def _mp_fields(code: int, value: bytes) -> Iterator[_Field]:
    yield value[:3], f"  AFI/SAFI {family_text(int.from_bytes(value[:2], 'big'), value[2])}"
    offset = 3
    if code == 14:
        offset = 4 + value[3]
        yield value[3:offset], "  next hop"
        yield value[offset : offset + 1], "  reserved"
        offset += 1
    if offset < len(value):
        yield value[offset:], "  NLRI"

"""A route with its attributes as one line of text, both ways; close to what ExaBGP's API and operators write.

    203.0.113.0/24 next-hop 10.255.1.1 as-path 65001,65002 med 50 community 65001:7
    203.0.113.0/24 rd 65001:1 label 1000 next-hop 10.255.1.1 target:64512:100
    e-vpn 2-65001:1-0-02:00:00:00:00:01,10.1.1.1 label 1000 next-hop 10.255.1.1 target:64512:100 encapsulation:vxlan

The first words are the prefix (with `label` it is labelled, with `rd` a VPN's), or the family and the route in its
printed form. Pairs of a word and a value follow in any order; a word with a colon, or of 16 hex digits, is an extended
community.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from ipaddress import ip_address
from typing import Any, NamedTuple

from . import community, esi, ext_community, nlri, rd, update
from .attributes import AsPath, Attributes
from .attributes.table import AttributeType, attribute_name
from .family import Family
from .nlri.evpn import IP_PREFIX, MAC_IP, withdrawn_payload

_ORIGINS = ("igp", "egp", "incomplete")
_PLAIN = {Family.INET: Family.INET_VPN, Family.INET6: Family.INET6_VPN}
"""Families whose routes are printed as bare prefixes, and their VPN sisters."""
_VPN = {vpn: plain for plain, vpn in _PLAIN.items()}
_LABEL_SIZE = 3
_HEX_DIGITS = 16
"""Of an extended community without a printed form."""
_LABELED = (Family.INET_LABELED, Family.INET_VPN, Family.INET6_VPN)


class Announcement(NamedTuple):
    """What one line says."""

    family: Family
    attributes: Attributes
    route: nlri.Route


def parse(line: str) -> Announcement:
    """The route in a line. AS_PATH is empty and ORIGIN IGP unless the line says otherwise.

    Raises ValueError for what is not understood and for what no UPDATE could carry (a next hop that does not suit the
    family, attributes that are too long).
    """
    words = line.split()
    if not words:
        raise ValueError("no route")
    name = words.pop(0)
    family = next((family for family in Family if family.config_name == name), None)
    if family is not None:
        if not words:
            raise ValueError(f"{name}: no route")
        name = words.pop(0)
    pairs, extended = _pairs(words)
    attributes = Attributes.make(
        **{field: _READ[word](pairs.pop(word)) for word, field in _FIELDS.items() if word in pairs},
        ext_communities=tuple(extended),
    )
    if family is None:
        family = Family.INET6 if ":" in name else Family.INET
        if "rd" in pairs:
            family = _PLAIN[family]
            name = f"{rd.text(rd.parse(pairs.pop('rd')))}:{name}"
        elif "label" in pairs and family is Family.INET:
            family = Family.INET_LABELED
    key = nlri.codec(family).key(name)
    payload = _payload(family, key, pairs, ext_community.is_vxlan(extended))
    if pairs:
        raise ValueError(f"{family.config_name}: {' '.join(pairs)} not understood")
    if not attributes.next_hop:
        raise ValueError("a next-hop is needed")
    update.write(family, attributes, [(key, payload)], True)
    return Announcement(family, attributes, (key, payload))


def read(lines: Iterable[str]) -> Iterator[Announcement]:
    """The routes of a text, one a line; `#` begins a remark. ValueError names the line."""
    for number, line in enumerate(lines, 1):
        route = line.partition("#")[0]
        if not route.strip():
            continue
        try:
            yield parse(route)
        except ValueError as wrong:
            raise ValueError(f"line {number}: {wrong}") from None


def _pairs(words: list[str]) -> tuple[dict[str, str], list[bytes]]:
    pairs: dict[str, str] = {}
    extended: list[bytes] = []
    left = iter(words)
    for word in left:
        if ":" in word or len(word) == _HEX_DIGITS:
            extended.append(ext_community.parse(word))
            continue
        value = next(left, None)
        if value is None:
            raise ValueError(f"{word}: no value")
        if word in pairs:
            raise ValueError(f"{word} twice")
        pairs[word] = value
    return pairs, extended


def _payload(family: Family, key: bytes, pairs: dict[str, str], vxlan: bool) -> bytes:
    if family in _LABELED:
        return _label(pairs, "label", False)
    if family is not Family.E_VPN:
        return b""
    payload = withdrawn_payload(key, nlri.label_bytes(0, vxlan))
    if "label" in pairs and len(payload) >= _LABEL_SIZE:
        payload = payload[:-_LABEL_SIZE] + _label(pairs, "label", vxlan)
    if "esi" in pairs and len(payload) > len(esi.ZERO):
        payload = esi.parse(pairs.pop("esi")) + payload[len(esi.ZERO) :]
    if "l3-label" in pairs and key[0] == MAC_IP:
        payload += _label(pairs, "l3-label", vxlan)
    return payload


def _label(pairs: dict[str, str], word: str, vxlan: bool) -> bytes:
    value = pairs.pop(word, None)
    if value is None:
        raise ValueError(f"a {word} is needed")
    number, bits = _number(value), 24 if vxlan else 20
    if number >> bits:
        raise ValueError(f"{word} {value}: expected {bits} bits")
    return nlri.label_bytes(number, vxlan)


def text(family: Family, attributes: Attributes, route: nlri.Route) -> str:
    """The line of a route. `parse` reads it unless there are AS sets in it, or `plus` and what no word exists for."""
    key, payload = route
    words = [key_text(family, key)]
    vxlan = family is Family.E_VPN and ext_community.is_vxlan(attributes.ext_communities)
    plus = [attribute_name(code) for code in attributes.codes if code not in _SAID]
    plus += [f"attribute {unknown.code}" for unknown in attributes.unknown]
    if len(payload) >= _LABEL_SIZE:
        words.append(f"label {nlri.label(payload, vxlan)}")
    if len(payload) > len(esi.ZERO):
        if any(payload[:10]):
            words.append(f"esi {esi.text(payload[:10])}")
        if key[0] == MAC_IP and len(payload) > len(esi.ZERO) + _LABEL_SIZE:
            words.append(f"l3-label {nlri.l3_label(payload, vxlan)}")
        if key[0] == IP_PREFIX and any(payload[10:-_LABEL_SIZE]):
            plus.append("gateway")
    for word, field in _FIELDS.items():
        value = getattr(attributes, field)
        if value not in (None, (), b"", AsPath()) and (word, value) != ("origin", 0):
            words.append(f"{word} {_WRITE[word](value)}")
    words += map(ext_community.text, attributes.ext_communities)
    return " ".join([*words, *(["plus", ", ".join(plus)] if plus else [])])


def key_text(family: Family, key: bytes) -> str:
    """The route alone, as `parse` wants it in front: what a withdrawal has."""
    printed = nlri.codec(family).text(key)
    if family in _PLAIN or family is Family.INET_LABELED:
        return printed
    if family in _VPN:
        return f"{nlri.codec(_VPN[family]).text(key[8:])} rd {rd.text(key[:8])}"
    return f"{family.config_name} {printed}"


# --- values ---------------------------------------------------------------------------------------------------------


def _number(value: str) -> int:
    if not value.isdecimal() or not value.isascii():
        raise ValueError(f"not a number: {value!r}")
    return int(value)


def _number32(value: str) -> int:
    number = _number(value)
    if number >> 32:
        raise ValueError(f"{value}: expected 32 bits")
    return number


def _read_origin(value: str) -> int:
    if value not in _ORIGINS:
        raise ValueError(f"origin {value}: expected {', '.join(_ORIGINS)}")
    return _ORIGINS.index(value)


def _write_path(path: AsPath) -> str:
    return path.text.replace(" ", ",")


def _joined(write: Callable[[Any], str]) -> Callable[[Iterable[Any]], str]:
    return lambda values: ",".join(map(write, values))


def _split(read: Callable[[str], Any]) -> Callable[[str], tuple[Any, ...]]:
    return lambda value: tuple([read(part) for part in value.split(",")])


_FIELDS: Mapping[str, str] = {
    "next-hop": "next_hop",
    "origin": "origin",
    "as-path": "as_path",
    "med": "med",
    "local-pref": "local_pref",
    "community": "communities",
}

_READ: Mapping[str, Callable[[str], Any]] = {
    "next-hop": lambda value: ip_address(value).packed,
    "origin": _read_origin,
    "as-path": lambda value: AsPath.sequence(*_split(_number32)(value)),
    "med": _number32,
    "local-pref": _number32,
    "community": _split(community.parse),
}

_WRITE: Mapping[str, Callable[[Any], str]] = {
    "next-hop": lambda value: str(ip_address(value)),
    "origin": _ORIGINS.__getitem__,
    "as-path": _write_path,
    "med": str,
    "local-pref": str,
    "community": _joined(community.text),
}

_T = AttributeType
_SAID = frozenset(
    (_T.ORIGIN, _T.AS_PATH, _T.MULTI_EXIT_DISC, _T.LOCAL_PREF, _T.COMMUNITIES, _T.EXTENDED_COMMUNITIES)
)

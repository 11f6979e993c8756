"""A record as configuration or an agent states it, and what becomes of it on the wire (reference/dns.md 4.2, 6)."""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass, field, replace
from io import BytesIO
from typing import Any, Final

from twisted.names import dns

from .names import (
    Network,
    address_of,
    canonical,
    has_special_characters,
    is_name,
    is_reverse,
    qualify,
    qualify_data,
    reverse_name,
    view_name,
)

rr: Final[Any] = dns
"""The record classes of twisted.names, which bear no annotations."""

TYPES: Final = {
    "A": dns.A,
    "NS": dns.NS,
    "CNAME": dns.CNAME,
    "PTR": dns.PTR,
    "MX": dns.MX,
    "TXT": dns.TXT,
    "AAAA": dns.AAAA,
    "SRV": dns.SRV,
}
"""Record types by their name; SOA and ANY can be stated but never installed."""

MAX_TTL: Final = 0x7FFFFFFF


@dataclass(frozen=True, slots=True)
class RecordData:
    """One record as stated. ``type`` is the RR type number, ``ttl`` None for the server's default."""

    name: str
    type: int
    data: str
    ttl: int | None = None
    preference: int = 0

    @property
    def type_name(self) -> str:
        """``A`` for 1; the number for what has no name here."""
        return next((name for name, number in TYPES.items() if number == self.type), str(self.type))


@dataclass(frozen=True, slots=True)
class ResourceRecord:
    """One record ready for the wire: canonical owner, a twisted.names record as payload, and that as bytes."""

    owner: bytes
    type: int
    ttl: int
    rdata: bytes
    payload: Any = field(compare=False)

    @classmethod
    def make(cls, owner: bytes, rr_type: int, ttl: int, payload: Any) -> ResourceRecord:
        """With the bytes made from the payload."""
        stream = BytesIO()
        payload.encode(stream)
        return cls(owner, rr_type, ttl, stream.getvalue(), payload)

    def with_ttl(self, ttl: int) -> ResourceRecord:
        """The same data with another TTL."""
        return self if ttl == self.ttl else replace(self, ttl=ttl)


class RecordError(ValueError):
    """Why a stated record cannot be installed, in words for the log and for introspection."""


@dataclass(frozen=True, slots=True)
class RecordRules:
    """What of a virtual DNS server decides how its records look."""

    domain: str
    default_ttl: int
    reverse_resolution: bool
    subnets: tuple[Network, ...]


def resource_record(record: RecordData, rules: RecordRules) -> ResourceRecord:
    """The record as it is served. Raises RecordError, also for what may be installed later (no such subnet yet)."""
    if not record.name or not record.data:
        raise RecordError("no name or no data")
    owner = _owner(record, rules)
    if not is_name(owner):
        raise RecordError(f"{record.name!r} is not a DNS name")
    make = _PAYLOADS.get(record.type)
    if make is None:
        raise RecordError(f"type {record.type_name} is not installed")
    ttl = rules.default_ttl if record.ttl is None else record.ttl
    return ResourceRecord.make(owner, record.type, min(ttl, MAX_TTL), make(record, rules))


def _owner(record: RecordData, rules: RecordRules) -> bytes:
    if record.type == dns.PTR:
        return _reverse_owner(record, rules)
    if record.type in (dns.A, dns.AAAA) and has_special_characters(record.name):
        raise RecordError("Invalid DNS Name - cannot use special characters in DNS name")
    if record.type == dns.NS and is_reverse(canonical(record.name)):
        if not rules.reverse_resolution:
            raise RecordError("reverse resolution is off")
        return canonical(record.name)
    owner = qualify(record.name, rules.domain)
    domain = canonical(rules.domain)
    if owner != domain and not owner.endswith(b"." + domain):
        raise RecordError(f"{record.name!r} is outside of zone {rules.domain}")
    return owner


def _reverse_owner(record: RecordData, rules: RecordRules) -> bytes:
    try:
        address = ipaddress.ip_address(record.name)
    except ValueError:
        found = address_of(canonical(record.name))
        if found is None:
            raise RecordError(f"{record.name!r} is neither an address nor a reverse name") from None
        address = found
    if not rules.reverse_resolution:
        raise RecordError("reverse resolution is off")
    if not any(address.version == subnet.version and address in subnet for subnet in rules.subnets):
        raise RecordError(f"{address} is in no subnet of this server")
    return reverse_name(address)


def _ipv4(record: RecordData, rules: RecordRules) -> Any:
    try:
        return rr.Record_A(str(ipaddress.IPv4Address(record.data)))
    except ValueError:
        raise RecordError(f"{record.data!r} is not an IPv4 address") from None


def _ipv6(record: RecordData, rules: RecordRules) -> Any:
    try:
        return rr.Record_AAAA(str(ipaddress.IPv6Address(record.data.partition("%")[0])))
    except ValueError:
        raise RecordError(f"{record.data!r} is not an IPv6 address") from None


def _cname(record: RecordData, rules: RecordRules) -> Any:
    return rr.Record_CNAME(_target(record.data, rules))


def _ptr(record: RecordData, rules: RecordRules) -> Any:
    if has_special_characters(record.data):
        raise RecordError("Invalid DNS Name - cannot use special characters in DNS name")
    return rr.Record_PTR(_target(record.data, rules))


def _ns(record: RecordData, rules: RecordRules) -> Any:
    return rr.Record_NS(_checked(canonical(view_name(record.data)), record.data))


def _mx(record: RecordData, rules: RecordRules) -> Any:
    return rr.Record_MX(record.preference & 0xFFFF, _target(record.data, rules))


def _txt(record: RecordData, rules: RecordRules) -> Any:
    raw = record.data.encode()
    return rr.Record_TXT(*(raw[at : at + 255] for at in range(0, len(raw), 255)))


def _srv(record: RecordData, rules: RecordRules) -> Any:
    """``priority weight port target``, or without the priority, which is then the entry's own."""
    words = record.data.split()
    if len(words) == 3:
        words.insert(0, str(record.preference))
    numbers = words[:3]
    if len(words) != 4 or not all(word.isascii() and word.isdigit() and int(word) <= 0xFFFF for word in numbers):
        raise RecordError(f"{record.data!r} is not a priority, a weight, a port and a name")
    priority, weight, port = map(int, numbers)
    return rr.Record_SRV(priority, weight, port, _target(words[3], rules))


def _target(data: str, rules: RecordRules) -> bytes:
    return _checked(qualify_data(data, rules.domain), data)


def _checked(name: bytes, data: str) -> bytes:
    if not is_name(name):
        raise RecordError(f"{data!r} is not a DNS name")
    return name


_PAYLOADS: Final = {
    dns.A: _ipv4,
    dns.AAAA: _ipv6,
    dns.CNAME: _cname,
    dns.PTR: _ptr,
    dns.NS: _ns,
    dns.MX: _mx,
    dns.TXT: _txt,
    dns.SRV: _srv,
}

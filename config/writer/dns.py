"""virtual-DNS and virtual-DNS-record: what names and values they may have (reference/dns.md 4.1, 4.2)."""

import re
from ipaddress import AddressValueError, IPv4Address, IPv6Address
from typing import Any

from contrail_emulator.config.layout import StoredObject

from .draft import Draft
from .errors import BadRequest, Forbidden
from .hooks import Hook

OBJECT_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9-]*")
LABEL = re.compile(r"[A-Za-z0-9]([A-Za-z0-9-]{0,61}[A-Za-z0-9])?")
LONGEST_NAME = 255
LONGEST_TTL = (1 << 31) - 1
MOST_PREFERENCE = 0xFFFF
REVERSE = ("in-addr.arpa", "ip6.arpa")


def is_dns_name(text: str) -> bool:
    """Labels of letters, digits and inner hyphens; one dot at the end is allowed."""
    return len(text) <= LONGEST_NAME and all(LABEL.fullmatch(label) for label in text.removesuffix(".").split("."))


def is_ipv4(text: str) -> bool:
    """A dotted quad?"""
    try:
        IPv4Address(text)
    except AddressValueError:
        return False
    return True


def is_ipv6(text: str) -> bool:
    """An IPv6 address?"""
    try:
        IPv6Address(text)
    except AddressValueError:
        return False
    return True


def check_ttl(subject: str, field: str, value: Any) -> None:
    """BadRequest for a time to live outside 31 bits."""
    if value is not None and not 0 <= value <= LONGEST_TTL:
        raise BadRequest(f"{subject}: {field}: expected 0 to {LONGEST_TTL}, not {value}")


class VirtualDnsHook(Hook):
    """Hooks of virtual-DNS."""

    async def before_create(self, draft: Draft) -> None:
        if not OBJECT_NAME.fullmatch(draft.fq_name[-1]):
            raise Forbidden(f"virtual-DNS {draft.name}: name: expected letters, digits and hyphens")
        await self._check(draft)

    async def before_update(self, stored: StoredObject, draft: Draft) -> None:
        await self._check(draft)

    async def before_delete(self, stored: StoredObject) -> None:
        for fq_name, uuid in await self.writer.objects("virtual-DNS"):
            other = await self.writer.load(uuid) if fq_name[:-1] == stored.fq_name[:-1] else None
            if other is not None and self._next(other.properties) == stored.name:
                raise Forbidden(f"virtual-DNS {stored.name}: virtual-DNS {other.name} names it as its next one")

    def _next(self, properties: dict[str, Any]) -> str:
        return (properties.get("virtual_DNS_data") or {}).get("next_virtual_DNS") or ""

    async def _check(self, draft: Draft) -> None:
        data = draft.properties.get("virtual_DNS_data")
        if not data:
            return
        subject = f"virtual-DNS {draft.name}"
        if not is_dns_name(data.get("domain_name") or ""):
            raise Forbidden(f"{subject}: domain_name: expected a DNS name, not {data.get('domain_name')!r}")
        check_ttl(subject, "default_ttl_seconds", data.get("default_ttl_seconds"))
        following = self._next(draft.properties)
        if not following or is_ipv4(following):
            return
        uuid = await self.writer.find("virtual-DNS", following.split(":"))
        other = await self.writer.load(uuid) if uuid is not None else None
        if other is None:
            raise BadRequest(f"{subject}: next_virtual_DNS: expected a virtual-DNS or an IPv4 address, not {following}")
        if following == draft.name or self._next(other.properties) == draft.name:
            raise Forbidden(f"{subject}: next_virtual_DNS: {following} points back here")


class VirtualDnsRecordHook(Hook):
    """Hooks of virtual-DNS-record."""

    async def before_create(self, draft: Draft) -> None:
        self._check(draft)

    async def before_update(self, stored: StoredObject, draft: Draft) -> None:
        self._check(draft)

    def _check(self, draft: Draft) -> None:
        record = draft.properties.get("virtual_DNS_record_data")
        if not record:
            return
        subject = f"virtual-DNS-record {draft.name}"
        kind, name, data = (record.get(key) or "" for key in ("record_type", "record_name", "record_data"))
        check_ttl(subject, "record_ttl_seconds", record.get("record_ttl_seconds"))
        preference = record.get("record_mx_preference")
        if kind == "MX" and preference is not None and not 0 <= preference <= MOST_PREFERENCE:
            raise BadRequest(f"{subject}: record_mx_preference: expected 0 to {MOST_PREFERENCE}, not {preference}")
        if kind == "PTR":
            right = is_ipv4(name) or is_ipv6(name) or any(zone in name.lower() for zone in REVERSE)
            expected = "an address or a name in in-addr.arpa or ip6.arpa"
        else:
            right, expected = is_dns_name(name), "a DNS name"
        if not right:
            raise BadRequest(f"{subject}: record_name: expected {expected}, not {name!r}")
        if not self._is_data(kind, data):
            raise BadRequest(f"{subject}: record_data: {data!r} is not what a record of type {kind} has")

    def _is_data(self, kind: str, data: str) -> bool:
        if kind == "A":
            return is_ipv4(data)
        if kind == "AAAA":
            return is_ipv6(data)
        if kind == "NS":
            return is_ipv4(data) or is_dns_name(data) or len(data.split(":")) == 2
        return kind not in ("CNAME", "PTR", "MX") or is_dns_name(data)

"""One virtual DNS server: what configuration says of it, the records stated for it, and the zones that come of both."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

from .names import Network, canonical, has_special_characters, is_name, reverse_zones, view_name
from .records import RecordData, RecordError, RecordRules, ResourceRecord, resource_record
from .zone import DEFAULT_TTL, Zone, ZoneSettings

RECORD_ORDERS: Final = ("fixed", "random", "round-robin")


@dataclass(frozen=True, slots=True)
class VirtualDnsData:
    """The property virtual_DNS_data (reference/dns.md 4.1). ``next`` is a fq-name, an IPv4 address or empty."""

    domain: str
    dynamic_records: bool = True
    record_order: str = "random"
    default_ttl: int = DEFAULT_TTL
    next: str = ""
    floating_ip_record: str = "dashed-ip-tenant-name"
    external_visible: bool = False
    reverse_resolution: bool = False
    negative_ttl: int = DEFAULT_TTL

    @classmethod
    def read(cls, properties: Mapping[str, Any]) -> VirtualDnsData:
        """From the JSON value; what is absent or makes no sense gets its default."""
        soa = properties.get("soa_record")
        negative = _number(soa.get("negative_cache_ttl_seconds")) if isinstance(soa, Mapping) else 0
        order = str(properties.get("record_order") or "random").lower()
        return cls(
            domain=str(properties.get("domain_name") or ""),
            dynamic_records=_flag(properties.get("dynamic_records_from_client"), True),
            record_order=order if order in RECORD_ORDERS else "random",
            default_ttl=_number(properties.get("default_ttl_seconds")),
            next=str(properties.get("next_virtual_DNS") or ""),
            floating_ip_record=str(properties.get("floating_ip_record") or "dashed-ip-tenant-name").lower(),
            external_visible=_flag(properties.get("external_visible"), False),
            reverse_resolution=_flag(properties.get("reverse_resolution"), False),
            negative_ttl=negative or DEFAULT_TTL,
        )

    @property
    def ttl(self) -> int:
        """The TTL of the zone and of agents' records: the default one, a day when that is 0."""
        return self.default_ttl or DEFAULT_TTL


@dataclass(slots=True)
class Statement:
    """A record somebody stated. ``installed`` is what is served of it, else ``reason`` says why nothing is."""

    data: RecordData
    source_name: str
    from_agent: bool
    installed: ResourceRecord | None = None
    reason: str = "no such virtual DNS server yet"


class VirtualDns:
    """Records may come before the configuration does: they wait, and are served as soon as they can be.

    Statements have keys of their makers' choice: ("config", name) and ("agent", ...).
    """

    def __init__(self, fq_name: str, host_ip: str) -> None:
        self.fq_name: Final = fq_name
        self.view_name: Final = view_name(fq_name)
        self.data: VirtualDnsData | None = None
        self.subnets: tuple[Network, ...] = ()
        self.zones: dict[bytes, Zone] = {}
        self.statements: dict[tuple[str, ...], Statement] = {}
        self._host_ip = host_ip

    @property
    def installed(self) -> bool:
        """True when there is a view: configuration has come, with a domain name fit for a zone."""
        return bool(self.zones)

    @property
    def unused(self) -> bool:
        """True when nothing is left of it."""
        return self.data is None and not self.statements and not self.subnets

    def configure(self, data: VirtualDnsData | None) -> None:
        """Take the configuration (None: it is gone) and build the zones anew where that changes anything."""
        if data != self.data:
            self.data = data
            self._rebuild()

    def set_subnets(self, subnets: tuple[Network, ...]) -> None:
        """Take the subnets of the networks that use this server."""
        if subnets != self.subnets:
            self.subnets = subnets
            self._rebuild()

    def state(
        self, key: tuple[str, ...], data: RecordData, source_name: str = "", from_agent: bool = False
    ) -> Statement:
        """A record under that key, in place of an earlier one."""
        self.retract(key)
        statement = self.statements[key] = Statement(data, source_name, from_agent)
        self._install(statement)
        return statement

    def retract(self, key: tuple[str, ...]) -> bool:
        """Take a record away; False when there was none."""
        statement = self.statements.pop(key, None)
        if statement is None:
            return False
        if statement.installed is not None:
            zone = self.zone_of(statement.installed.owner)
            if zone is not None:
                zone.remove(statement.installed)
        return True

    def zone_of(self, name: bytes) -> Zone | None:
        """The closest zone of this view around the name."""
        while True:
            zone = self.zones.get(name)
            if zone is not None or not name:
                return zone
            name = name.partition(b".")[2]

    def _rebuild(self) -> None:
        serials = {name: zone.serial for name, zone in self.zones.items()}
        self.zones = {}
        if self.data is not None:
            for name in _zone_names(self.data, self.subnets):
                zone = self.zones[name] = Zone(name, self._zone_settings(self.data))
                zone.serial = serials.get(name, zone.serial - 1) + 1
        for statement in self.statements.values():
            statement.installed = None
            self._install(statement)

    def _zone_settings(self, data: VirtualDnsData) -> ZoneSettings:
        return ZoneSettings(data.domain, data.ttl, data.negative_ttl, self._host_ip)

    def _install(self, statement: Statement) -> None:
        data = self.data
        if data is None:
            statement.reason = "no such virtual DNS server yet"
            return
        if not self.zones:
            statement.reason = f"{data.domain!r} is not a domain name"
            return
        rules = RecordRules(data.domain, data.ttl, data.reverse_resolution, self.subnets)
        try:
            record = resource_record(statement.data, rules)
        except RecordError as error:
            statement.reason = str(error)
            return
        zone = self.zone_of(record.owner)
        if zone is None:
            statement.reason = "in no zone of this server"
            return
        zone.add(record)
        statement.installed, statement.reason = record, ""


def _zone_names(data: VirtualDnsData, subnets: tuple[Network, ...]) -> Iterator[bytes]:
    domain = canonical(data.domain)
    if not domain or has_special_characters(data.domain) or not is_name(domain):
        return
    yield domain
    for name in sorted({zone for subnet in subnets for zone in reverse_zones(subnet)}):
        if name != domain:
            yield name


def _number(value: object) -> int:
    """A TTL from JSON, 0 for what is none."""
    if isinstance(value, str) and value.isascii() and value.isdigit():
        value = int(value)
    return min(value, 0x7FFFFFFF) if isinstance(value, int) and value > 0 else 0


def _flag(value: object, default: bool) -> bool:
    if isinstance(value, str):
        return value.lower() == "true"
    return default if value is None else bool(value)

"""One zone: its records by owner, and the verdict on a name in it (RFC 1034 4.3.2, the part inside one zone)."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterator
from dataclasses import dataclass, field
from enum import Enum, auto
from typing import Final

from twisted.names import dns

from .names import canonical, is_within, parent
from .records import ResourceRecord, rr

TEMPLATE_SERIAL: Final = 54
DEFAULT_TTL: Final = 86400
REFRESH: Final = 10800
RETRY: Final = 900
EXPIRE: Final = 604800


@dataclass(frozen=True, slots=True)
class ZoneSettings:
    """What the template of a zone needs (reference/dns.md 5.3). ``domain`` keeps its configured letter case."""

    domain: str
    ttl: int = DEFAULT_TTL
    negative_ttl: int = DEFAULT_TTL
    host_ip: str = "127.0.0.1"


class Verdict(Enum):
    """What a zone says about a name and a type."""

    ANSWER = auto()
    ALIAS = auto()
    REFERRAL = auto()
    NO_DATA = auto()
    NO_NAME = auto()


@dataclass(slots=True)
class Found:
    """``records``: the RRsets asked for, or the CNAME, or the NS set of the delegation at ``owner``."""

    verdict: Verdict
    owner: bytes
    records: list[ResourceRecord] = field(default_factory=list)


class _Owner:
    """The records of one name, in the order they came, each with how often it is stated.

    ``turn`` counts the answers, for round-robin.
    """

    __slots__ = ("records", "turn")

    def __init__(self) -> None:
        self.records: dict[ResourceRecord, int] = {}
        self.turn = 0


class Zone:
    """Adds and removes records; the same record may be stated several times (by configuration and by an agent)."""

    def __init__(self, name: bytes, settings: ZoneSettings) -> None:
        self.name: Final = name
        self.settings: Final = settings
        self.serial = TEMPLATE_SERIAL
        self._owners: dict[bytes, _Owner] = {}
        self._below: Counter[bytes] = Counter()
        domain = settings.domain.removesuffix(".").encode()
        server = b"contrail-ns." + domain
        self._insert(ResourceRecord.make(name, dns.NS, settings.ttl, rr.Record_NS(server)))
        if name == canonical(settings.domain):
            address = rr.Record_A(settings.host_ip)
            self._insert(ResourceRecord.make(b"contrail-ns." + name, dns.A, settings.ttl, address))

    @property
    def soa(self) -> ResourceRecord:
        """The SOA as it is now: the serial grows with every change."""
        settings = self.settings
        domain = settings.domain.removesuffix(".").encode()
        payload = rr.Record_SOA(
            b"contrail-ns." + domain,
            b"contrail-mx." + domain,
            self.serial,
            REFRESH,
            RETRY,
            EXPIRE,
            settings.negative_ttl,
        )
        return ResourceRecord.make(self.name, dns.SOA, settings.ttl, payload)

    def add(self, record: ResourceRecord) -> None:
        """One more statement of the record."""
        self._insert(record)
        self._changed()

    def remove(self, record: ResourceRecord) -> bool:
        """One statement less; False when there was none."""
        owner = self._owners.get(record.owner)
        if owner is None or record not in owner.records:
            return False
        owner.records[record] -= 1
        if not owner.records[record]:
            del owner.records[record]
        if not owner.records:
            del self._owners[record.owner]
            for name in self._ancestors(record.owner):
                self._below[name] -= 1
                if not self._below[name]:
                    del self._below[name]
        self._changed()
        return True

    def lookup(self, name: bytes, rr_type: int) -> Found:
        """The verdict on a name within this zone; ``rr_type`` may be ANY."""
        cut = self._delegation(name)
        if cut is not None:
            return cut
        owner = self._owners.get(name)
        if owner is None and not self._below[name]:
            owner = self._wildcard(name)
            if owner is None:
                return Found(Verdict.NO_NAME, name)
        records = [] if owner is None else self._rrsets(owner.records)
        if name == self.name:
            records.insert(0, self.soa)
        wanted = [record for record in records if rr_type in (record.type, dns.ALL_RECORDS)]
        if wanted:
            return Found(Verdict.ANSWER, name, wanted)
        aliases = [record for record in records if record.type == dns.CNAME]
        if aliases:
            return Found(Verdict.ALIAS, name, aliases)
        return Found(Verdict.NO_DATA, name)

    def glue(self, name: bytes, rr_type: int) -> list[ResourceRecord]:
        """The records of exactly that name and type, also below a delegation."""
        owner = self._owners.get(name)
        return [] if owner is None else [record for record in self._rrsets(owner.records) if record.type == rr_type]

    def turn(self, name: bytes) -> int:
        """How often this name was answered before; counts this time."""
        owner = self._owners.get(name)
        if owner is None:
            return 0
        owner.turn += 1
        return owner.turn - 1

    def __len__(self) -> int:
        return sum(len(owner.records) for owner in self._owners.values())

    def _insert(self, record: ResourceRecord) -> None:
        owner = self._owners.get(record.owner)
        if owner is None:
            owner = self._owners[record.owner] = _Owner()
            for name in self._ancestors(record.owner):
                self._below[name] += 1
        owner.records[record] = owner.records.get(record, 0) + 1

    def _changed(self) -> None:
        self.serial = (self.serial + 1) & 0xFFFFFFFF

    def _ancestors(self, name: bytes) -> Iterator[bytes]:
        while name != self.name and is_within(name, self.name):
            name = parent(name)
            yield name

    def _delegation(self, name: bytes) -> Found | None:
        """The topmost NS set between the zone and the name, if there is one."""
        cut: Found | None = None
        for above in (name, *self._ancestors(name)):
            if above == self.name:
                break
            owner = self._owners.get(above)
            servers = [] if owner is None else [record for record in owner.records if record.type == dns.NS]
            if servers:
                cut = Found(Verdict.REFERRAL, above, self._rrsets(servers))
        return cut

    def _wildcard(self, name: bytes) -> _Owner | None:
        """The ``*`` below the closest name that exists (RFC 4592)."""
        for above in self._ancestors(name):
            if above in self._owners or self._below[above] or above == self.name:
                return self._owners.get(b"*." + above)
        return None

    @staticmethod
    def _rrsets(records: Collection[ResourceRecord]) -> list[ResourceRecord]:
        """What is served of the records of one owner: no doubles, one TTL a set, and a CNAME stands alone.

        As named does with updates: what came first decides whether the name is an alias, a second CNAME is not taken.
        """
        first = next(iter(records))
        if first.type == dns.CNAME:
            return [first]
        ttls: dict[int, int] = {}
        served: dict[tuple[int, bytes], ResourceRecord] = {}
        for record in records:
            if record.type != dns.CNAME:
                ttls[record.type] = min(record.ttl, ttls.get(record.type, record.ttl))
                served.setdefault((record.type, record.rdata), record)
        return [record.with_ttl(ttls[record.type]) for record in served.values()]

"""Names of virtual machines, told to the name servers over XMPP (reference/dns.md 9)."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from functools import partial
from ipaddress import IPv4Address, IPv6Address
from typing import NamedTuple

from contrail_emulator.control.xmpp.dns_message import (
    MAX_ENTRIES,
    DnsClass,
    DnsEntry,
    DnsUpdate,
    next_transaction_id,
)
from contrail_emulator.control.xmpp.stanza import Stanza

from ..oper.interfaces import VmInterface
from ..oper.oper import Oper
from ..oper.prefix import Prefix
from ..oper.records import VirtualDns, VirtualNetwork
from ..settings import AgentSettings, DnsServerAddress
from .channel import SessionLike

A, PTR, AAAA = 1, 12, 28


class Record(NamedTuple):
    """One record of one zone of one virtual DNS server."""

    virtual_dns: str
    zone: str
    type: int
    name: str
    data: str
    ttl: int

    @property
    def identity(self) -> tuple[str, str, int, str, str]:
        """What a delete names: everything but the TTL."""
        return self[:5]


class DnsRecords:
    """What all channels should have said: recomputed from the interfaces."""

    __slots__ = ("records",)

    def __init__(self) -> None:
        self.records: frozenset[Record] = frozenset()

    def replace(self, oper: Oper) -> None:
        self.records = frozenset(
            record for interface in oper.interfaces.values() for record in records_of(interface, oper)
        )


def records_of(interface: VmInterface, oper: Oper) -> Iterable[Record]:
    """A or AAAA and PTR of each primary and floating address in a subnet with a virtual DNS server taking records."""
    config, network = interface.config, interface.network
    if not interface.active or network is None or config is None or not interface.vm_name:
        return
    for address in (interface.address4, interface.address6):
        if address is not None:
            yield from _records(oper, network, address, lambda _: interface.vm_name)
    for floating in config.floating_ips:
        public = oper.configuration.networks.get(floating.vn)
        if public is not None:
            name = partial(_floating_name, floating.address, interface.vm_name, network.name)
            yield from _records(oper, public, floating.address, name)


def _records(
    oper: Oper, network: VirtualNetwork, address: Prefix, name_of: Callable[[VirtualDns], str]
) -> Iterable[Record]:
    subnet = network.subnet_of(address.version, address.address)
    if subnet is None or subnet.ipam.dns_method != "virtual-dns-server":
        return
    virtual = oper.configuration.virtual_dns.get(subnet.ipam.virtual_dns)
    if virtual is None or not virtual.dynamic_records or not virtual.domain:
        return
    name = name_of(virtual)
    kind = A if address.version == 4 else AAAA
    yield Record(virtual.name, virtual.domain, kind, name, address.host, virtual.ttl)
    zone = reverse_zone(address, subnet.prefix.length)
    yield Record(virtual.name, zone, PTR, reverse_name(address), f"{name}.{virtual.domain}", virtual.ttl)


def _floating_name(address: Prefix, vm_name: str, network: str, virtual: VirtualDns) -> str:
    """By the server's notation: the address with dashes or the machine's name, with or without the project."""
    notation = virtual.floating_ip_record or "dashed-ip-tenant-name"
    base = vm_name if notation.startswith("vm-name") else address.host.replace(".", "-")
    return f"{base}.{network.split(':')[1]}" if notation.endswith("tenant-name") and ":" in network else base


def reverse_name(address: Prefix) -> str:
    """`3.1.1.10.in-addr.arpa`."""
    if address.version == 4:
        return IPv4Address(address.address).reverse_pointer
    return IPv6Address(address.address).reverse_pointer


def reverse_zone(address: Prefix, length: int) -> str:
    """The reverse zone an address of a subnet is in: whole octets (nibbles for IPv6), a part of one kept as a whole."""
    step, total = (8, 4) if address.version == 4 else (4, 32)
    keep = max(-(-length // step), 1)
    labels = reverse_name(address).split(".")
    return ".".join(labels[total - keep :])


class DnsChannel:
    """One session to one name server. Implements the handler of an XMPP client."""

    def __init__(self, settings: AgentSettings, server: DnsServerAddress, wanted: DnsRecords) -> None:
        self.server = server
        self.name = f"{settings.name}/dns"
        self.session: SessionLike | None = None
        self.counters: Counter[str] = Counter()
        self.told: Mapping[tuple[str, str, int, str, str], Record] = {}
        self._wanted = wanted
        self._transaction = 0

    @property
    def is_ready(self) -> bool:
        return self.session is not None

    def established(self, session: SessionLike) -> None:
        """The other side knows nothing: everything is said again."""
        self.session = session
        self.told = {}
        self.counters["ready"] += 1
        self.update()

    def stanza(self, session: SessionLike, stanza: Stanza) -> None:
        """A name server never answers; whatever comes is counted."""
        self.counters["ignored stanzas"] += 1

    def closed(self, session: SessionLike, reason: str) -> None:
        if session is self.session:
            self.session = None
            self.counters["not ready"] += 1

    def unblocked(self, session: SessionLike) -> None:
        """Nothing was held back."""

    def timed_out(self, client: object) -> None:
        """There is no other server to turn to: the session goes on trying."""

    def update(self) -> None:
        """Say what changed: deletes first, then what is new or has another TTL; at most 20 entries a stanza."""
        if self.session is None:
            return
        wanted = {record.identity: record for record in self._wanted.records}
        if wanted == self.told:
            return
        gone = sorted(record for key, record in self.told.items() if key not in wanted)
        new = sorted(record for key, record in wanted.items() if self.told.get(key) != record)
        self._say(gone, True)
        self._say(new, False)
        self.told = wanted

    def _say(self, records: list[Record], delete: bool) -> None:
        zones: dict[tuple[str, str], list[DnsEntry]] = {}
        for record in records:
            dns_class, ttl = (DnsClass.NONE, 0) if delete else (DnsClass.IN, record.ttl)
            entry = DnsEntry(dns_class, record.type, record.name, record.data, ttl, 0)
            zones.setdefault((record.virtual_dns, record.zone), []).append(entry)
        for (virtual_dns, zone), entries in zones.items():
            for start in range(0, len(entries), MAX_ENTRIES):
                self._transaction = next_transaction_id(self._transaction)
                part = tuple(entries[start : start + MAX_ENTRIES])
                message = DnsUpdate(self._transaction, virtual_dns, zone, part)
                self.counters["deletes" if delete else "updates"] += len(part)
                if self.session is not None:
                    self.session.send(message.to_bytes(self.name))

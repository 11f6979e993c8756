"""Records that agents state over XMPP, per session: add, change, delete, take over, clean up (reference/dns.md 9)."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from twisted.logger import Logger
from twisted.names import dns

from contrail_emulator.base.behaviour import Behaviour
from contrail_emulator.control.xmpp.dns_message import ABSENT, DnsClass, DnsEntry, DnsUpdate

from .records import RecordData
from .views import Views
from .virtual_dns import VirtualDns

NO_PRIORITY: Final = (ABSENT, 0xFFFF)


@dataclass(frozen=True, slots=True)
class AgentRecord:
    """One record of one agent: the zone it named, and the key of the statement with its server."""

    virtual_dns: str
    zone: str
    key: tuple[str, ...]


class AgentRecords:
    """``source`` is the ``from`` of an agent's session, as in ``compute-7/dns``.

    A record belongs to who stated it last: a delete by anybody else, or the end of the session of who had it before, is
    ignored. That is what lets a machine move from one compute node to another.
    """

    log = Logger()

    def __init__(self, views: Views, behaviour: Behaviour) -> None:
        self._views = views
        self._behaviour = behaviour
        self._owner: dict[AgentRecord, str] = {}
        self._of_source: dict[str, dict[AgentRecord, None]] = {}
        self.unserved = 0
        """Statements that no zone could take, since the start; the first of a session is logged."""
        self._told_of: set[str] = set()

    def update(self, source: str, message: DnsUpdate) -> None:
        """Take an update from an agent. One without server or zone is ignored."""
        if not message.virtual_dns or not message.zone:
            return
        fq_name = self._server_name(message.virtual_dns)
        for entry in message.entries:
            if entry.is_delete:
                self._delete(source, fq_name, message.zone, entry)
            elif entry.dns_class == DnsClass.IN:
                self._add(source, self._views.ensure(fq_name), message.zone, entry)

    def forget(self, source: str) -> int:
        """The session is over: take away what the agent still owns; gives how many records that were."""
        self._told_of.discard(source)
        records = self._of_source.pop(source, {})
        for record in records:
            del self._owner[record]
            self._retract(record)
        return len(records)

    def of(self, source: str) -> Iterator[AgentRecord]:
        """What the agent owns."""
        return iter(list(self._of_source.get(source, ())))

    def __len__(self) -> int:
        return len(self._owner)

    def _server_name(self, name: str) -> str:
        """The name itself, or that of the server whose view it is (a machine's own UPDATE says the view)."""
        if self._views.get(name) is None and not self._behaviour.sanitised_dns_update_lost:
            server = self._views.by_view(name)
            if server is not None:
                return server.fq_name
        return name

    def _add(self, source: str, server: VirtualDns, zone: str, entry: DnsEntry) -> None:
        record = AgentRecord(server.fq_name, zone, ("agent", zone, entry.name, str(entry.type), entry.data))
        before = self._owner.get(record)
        if before is not None and before != source:
            del self._of_source[before][record]
        self._owner[record] = source
        self._of_source.setdefault(source, {})[record] = None
        data = RecordData(
            entry.name,
            entry.type,
            entry.data,
            None if entry.ttl == ABSENT else entry.ttl,
            0 if entry.priority in NO_PRIORITY else entry.priority,
        )
        statement = server.state(record.key, data, source, from_agent=True)
        if statement.reason and server.installed:
            self.unserved += 1
            if source not in self._told_of:
                self._told_of.add(source)
                self.log.info(
                    "record {name} of {source} is not served: {reason} (more of this session are only counted)",
                    name=entry.name,
                    source=source,
                    reason=statement.reason,
                )

    def _delete(self, source: str, fq_name: str, zone: str, entry: DnsEntry) -> None:
        for record in self._matching(source, fq_name, zone, entry):
            del self._of_source[source][record]
            del self._owner[record]
            self._retract(record)

    def _matching(self, source: str, fq_name: str, zone: str, entry: DnsEntry) -> list[AgentRecord]:
        """What of the agent's own a delete means: type ANY is every type, no data is every data."""
        if entry.type != dns.ALL_RECORDS and entry.data:
            exact = AgentRecord(fq_name, zone, ("agent", zone, entry.name, str(entry.type), entry.data))
            return [exact] if self._owner.get(exact) == source else []
        found: list[AgentRecord] = []
        for record in self._of_source.get(source, ()):
            _, in_zone, name, rr_type, data = record.key
            if (
                (record.virtual_dns, in_zone, name) == (fq_name, zone, entry.name)
                and entry.type in (dns.ALL_RECORDS, int(rr_type))
                and entry.data in ("", data)
            ):
                found.append(record)
        return found

    def _retract(self, record: AgentRecord) -> None:
        server = self._views.get(record.virtual_dns)
        if server is not None:
            server.retract(record.key)
            self._views.settle(server)

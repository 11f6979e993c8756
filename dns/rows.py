"""What introspection shows of a DNS front end (reference/dns.md 10), as rows of JSON values."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Final

from .virtual_dns import Statement, VirtualDns

if TYPE_CHECKING:
    from .server import DnsServer

Arguments = Mapping[str, str]
Row = dict[str, object]


def virtual_dns(server: DnsServer, arguments: Arguments) -> list[Row]:
    """One row a virtual DNS server."""
    return [_server_row(each) for each in server.views]


def records(server: DnsServer, arguments: Arguments) -> list[Row]:
    """One row a record as stated, of all servers or of ``virtual_dns=<fq-name>``."""
    wanted = arguments.get("virtual_dns")
    return [
        _record_row(each, statement)
        for each in server.views
        if wanted is None or each.fq_name == wanted
        for statement in each.statements.values()
    ]


def agents(server: DnsServer, arguments: Arguments) -> list[Row]:
    """One row an agent's session."""
    return [
        {**session.rows(), "records": sum(1 for _ in server.agent_records.of(session.peer_name))}
        for session in server.sessions
    ]


def counters(server: DnsServer, arguments: Arguments) -> list[Row]:
    """One row a counter."""
    return [{"name": name, "value": value} for name, value in sorted(server.counted().items())]


PAGES: Final[Mapping[str, Callable[[DnsServer, Arguments], list[Row]]]] = {
    "virtual-dns": virtual_dns,
    "records": records,
    "agents": agents,
    "counters": counters,
}


def _server_row(server: VirtualDns) -> Row:
    data = server.data
    row: Row = {
        "name": server.fq_name,
        "view": server.view_name,
        "installed": server.installed,
        "num_records": len(server.statements),
        "subnets": [str(subnet) for subnet in server.subnets],
        "zones": {name.decode("utf-8", "replace"): zone.serial for name, zone in server.zones.items()},
    }
    if data is not None:
        row |= {
            "dns_name": data.domain,
            "dns_dyn_rec": data.dynamic_records,
            "dns_order": data.record_order,
            "dns_ttl": data.default_ttl,
            "dns_next": data.next,
            "floating_ip_record": data.floating_ip_record,
            "external_visible": data.external_visible,
            "reverse_resolution": data.reverse_resolution,
            "negative_cache_ttl_seconds": data.negative_ttl,
        }
    return row


def _record_row(server: VirtualDns, statement: Statement) -> Row:
    data = statement.data
    return {
        "virtual_dns": server.fq_name,
        "rec_name": data.name,
        "rec_type": data.type_name,
        "rec_class": "IN",
        "rec_data": data.data,
        "rec_ttl": data.ttl,
        "source": "Agent" if statement.from_agent else "Config",
        "rec_source_name": statement.source_name,
        "installed": statement.installed is not None,
        "reason": statement.reason,
    }

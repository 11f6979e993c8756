"""The pages and metrics of a DNS front end."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Final

from contrail_emulator.base.introspect import Arguments, Page
from contrail_emulator.base.metrics import Metrics

from .server import DnsServer

SUMMARIES: Final = {
    "virtual-dns": "virtual DNS servers: configuration, zones and serials, subnets",
    "records": "records as stated and whether they are served; ?virtual_dns=<fq-name>",
    "agents": "sessions of agents",
    "counters": "questions, answers by rcode, oddities",
}
ARGUMENTS: Final[Mapping[str, tuple[str, ...]]] = {"records": ("virtual_dns",)}


def pages(server: DnsServer) -> list[Page]:
    """One page each for what DnsServer.rows knows."""
    return [
        Page(name, partial(_rows, server, name), summary, ARGUMENTS.get(name, ()))
        for name, summary in SUMMARIES.items()
    ]


def register_metrics(server: DnsServer, metrics: Metrics) -> None:
    """Counters and sizes, read when somebody asks."""

    def events() -> list[tuple[tuple[str], float]]:
        return [((name,), value) for name, value in server.counted().items()]

    metrics.sampled("dns_events", "Questions and oddities", ["event"], events)
    metrics.sampled("dns_views", "Virtual DNS servers", [], lambda: [((), len(server.views))])
    metrics.sampled("dns_agent_records", "Records of agents", [], lambda: [((), len(server.agent_records))])


def _rows(server: DnsServer, name: str, arguments: Arguments) -> list[dict[str, object]]:
    return server.rows(name, arguments)

"""`show` and `ping`: ask a running lab over introspect."""

from __future__ import annotations

import ipaddress
import json
import re
import shutil
import sys
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import click
from rich.console import Console
from rich.table import Table
from rich.text import Text

from contrail_emulator.lab import state
from contrail_emulator.lab.errors import LabError

from .printable import printable

TIMEOUT_SECONDS = 30.0
WIDTH = 2000
DISTINGUISHER = re.compile(r"(\d+|\d+\.\d+\.\d+\.\d+):\d+:(?P<prefix>.+)")
OTHER_PREFIX = re.compile(r"\d+-\d\S+|\d+:target:\S+")
"""How EVPN, multicast VPN and route-target routes are printed: `2-10.255.2.1:1-…`, `64512:target:64512:100`."""
PROTOCOLS = ("BGP", "XMPP", "Local", "ServiceChain", "StaticRoute", "Aggregate")
"""As a control node prints them (its room is not loaded for this: `show` should not wait)."""
Row = Mapping[str, Any]
Columns = Sequence[tuple[str, str]]


@dataclass(frozen=True, slots=True)
class View:
    """How one subject is shown: the daemon's kind, its page, and (heading, field) of each column."""

    kind: str
    page: str
    columns: Columns


VIEWS: Mapping[str, View] = {
    "neighbors": View(
        "control", "neighbors",
        (("peer", "peer"), ("address", "peer_address"), ("AS", "peer_asn"), ("type", "peer_type"), ("state", "state"),
         ("families", "negotiated_address_families"), ("flaps", "flap_count"), ("in", "routes_in"),
         ("out", "routes_out"), ("hold", "negotiated_hold_time"), ("timers", "timers"),
         ("received", "rx_proto_stats"), ("sent", "tx_proto_stats"), ("last event", "last_event"),
         ("flapped", "flap_time"), ("last error", "last_error")),
    ),
    "agents": View(
        "control", "agents",
        (("agent", "peer"), ("address", "peer_address"), ("state", "state"), ("flaps", "flap_count"),
         ("subscriptions", "subscriptions"), ("in", "routes_in"), ("out", "routes_out"), ("last error", "last_error")),
    ),
    "instances": View(
        "control", "instances",
        (("instance", "name"), ("index", "index"), ("network", "virtual_network"), ("network id", "vn_index"),
         ("import", "import_target"), ("export", "export_target")),
    ),
    "routes": View(
        "control", "routes",
        (("table", "table"), ("prefix", "prefix"), ("source", "source"), ("protocol", "protocol"),
         ("next hop", "next_hop"), ("label", "label"), ("LP", "local_preference"), ("AS path", "as_path"),
         ("communities", "communities"), ("flags", "flags")),
    ),
    "update-groups": View(
        "control", "update-groups",
        (("table", "table"), ("encoding", "encoding"), ("type", "peer_type"), ("AS", "peer_as"), ("members", "members"),
         ("blocked", "blocked"), ("pending", "pending_updates"), ("reach", "reach"), ("unreach", "unreach"),
         ("messages", "messages"), ("deliveries", "deliveries")),
    ),
    "interfaces": View(
        "agent", "interfaces",
        (("vif", "index"), ("name", "name"), ("machine", "vm_name"), ("active", "active"), ("network", "vn"),
         ("address", "ip"), ("mac", "mac"), ("label", "label"), ("why not", "inactive_reason")),
    ),
    "nexthops": View("agent", "nexthops", ()),
    "labels": View("agent", "labels", ()),
    "flows": View("agent", "flows", ()),
    "drops": View("agent", "drops", (("reason", "name"), ("packets", "value"))),
}  # fmt: skip


@click.command()
@click.argument("what", type=click.Choice(list(VIEWS)), metavar="WHAT")
@click.option("--lab", "lab_name", help="The lab's name, when several run.")
@click.option("--node", help="Of this control node or agent only.")
@click.option("--table", help="routes: of this table only, such as bgp.l3vpn.0.")
@click.option("--prefix", help="routes: of this prefix only.")
@click.option("--longer", is_flag=True, help="routes: with --prefix, more specific ones too.")
@click.option("--longest", is_flag=True, help="routes: with --prefix (or an address), its longest match in each table.")
@click.option("--source", help="routes: learnt from this peer or agent only.")
@click.option("--protocol", type=click.Choice(PROTOCOLS, case_sensitive=False), help="routes: of this origin only.")
@click.option("--json", "as_json", is_flag=True, help="JSON, as the daemon gives it.")
def show(what: str, lab_name: str | None, node: str | None, as_json: bool, **filters: Any) -> None:
    """Show WHAT of the running lab.

    \b
    neighbors, agents, instances, routes, update-groups   of its control nodes
    interfaces, nexthops, labels, flows, drops            of its agents
    """
    view = VIEWS[what]
    given = {key: str(value) for key, value in filters.items() if value not in (None, False)}
    if given and what != "routes":
        raise click.UsageError(f"--{next(iter(given))} goes with: show routes")
    _check_prefix(given)
    lab = state.find(lab_name)
    if node is not None:
        daemons: Sequence[state.DaemonState] = [lab.find(view.kind, node)]
    else:
        daemons = [daemon for daemon in lab.daemons if daemon.kind == view.kind]
    found = {daemon.name: fetch(daemon, view.page, given) for daemon in daemons}
    if as_json:
        json.dump(found if len(found) != 1 else next(iter(found.values())), sys.stdout, indent=1)
        print()
        return
    console = Console(highlight=False, width=WIDTH, height=25)  # without both, a dumb terminal has 80 columns
    for name, rows in found.items():
        if len(found) > 1:
            console.print(Text(name, style="bold"))
        _print(console, view, _paths(rows) if what == "routes" else rows)


@click.command()
@click.argument("machine")
@click.argument("address")
@click.option("-c", "--count", type=click.IntRange(1, 1000), default=4, show_default=True)
@click.option("--lab", "lab_name", help="The lab's name, when several run.")
def ping(machine: str, address: str, count: int, lab_name: str | None) -> int:
    """Have MACHINE of the running lab ping ADDRESS."""
    try:
        ipaddress.IPv4Address(address)
    except ValueError as error:
        raise click.UsageError(f"ADDRESS: {error}") from error
    lab = state.find(lab_name)
    arguments = {"machine": machine, "address": address, "count": str(count)}
    answer = fetch(lab.find("lab"), "ping", arguments, timeout=TIMEOUT_SECONDS + count)
    times = [f"{seconds * 1000:.2f}" for seconds in answer["times"]]
    print(
        f"{machine} pings {address}: {answer['received']} of {answer['sent']} answered"
        + (f" in {', '.join(times)} ms" if times else "")
    )
    for drop in answer["drops"]:
        print(f"  {printable(str(drop))}")
    return 0 if answer["received"] == answer["sent"] else 1


def fetch(daemon: state.DaemonState, page: str, arguments: Mapping[str, str], timeout: float = TIMEOUT_SECONDS) -> Any:
    """A page of a daemon's introspect, as JSON.

    Raises:
        LabError: it can't be reached, or says no.
    """
    url = f"{daemon.introspect}/json/{page}"
    if arguments:
        url += "?" + urllib.parse.urlencode(arguments)
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        with opener.open(url, timeout=timeout) as answer:
            return json.load(answer)
    except urllib.error.HTTPError as error:
        raise LabError(f"{daemon.name}: {_reason(error)}") from error
    except (OSError, ValueError, RecursionError) as error:
        raise LabError(f"{daemon.name}: {url}: {printable(str(error))}") from error


def _reason(error: urllib.error.HTTPError) -> str:
    try:
        return printable(str(json.load(error)["error"]))
    except (ValueError, KeyError, TypeError, RecursionError):
        return f"answered {error.code} {error.reason}"


def _check_prefix(given: Mapping[str, str]) -> None:
    """Refuses a prefix that no table could hold; `longer`, `longest` want an IP prefix, with or without RD."""
    prefix = given.get("prefix")
    wanted = [option for option in ("longer", "longest") if option in given]
    if len(wanted) > 1:
        raise click.UsageError("--longer and --longest don't go together")
    if prefix is None:
        if wanted:
            raise click.UsageError(f"--{wanted[0]} goes with: --prefix")
        return
    if OTHER_PREFIX.fullmatch(prefix) and not wanted:
        return
    distinguished = DISTINGUISHER.fullmatch(prefix)
    for text in (prefix, distinguished["prefix"] if distinguished else prefix):
        try:
            ipaddress.ip_network(text, strict=False)
        except ValueError:
            continue
        return
    raise click.UsageError(f"--prefix: expected an IP prefix such as 10.1.0.0/24, an RD in front allowed: {prefix!r}")


def _paths(routes: Sequence[Row]) -> list[Row]:
    """One row a path; the table and the prefix stand with the best one only."""
    rows: list[Row] = []
    for route in routes:
        for number, path in enumerate(route["paths"]):
            head = {"table": route["table"], "prefix": route["prefix"]} if number == 0 else {}
            rows.append({**path, **head})
    return rows


def _print(console: Console, view: View, rows: Any) -> None:
    """A table; on a terminal too narrow for it a record for each row, as psql does. A pipe gets whole rows."""
    if isinstance(rows, dict):
        rows = [{"name": key, "value": value} for key, value in rows.items()]
    columns = view.columns or tuple((field, field) for field in (rows[0] if rows else ()))
    if not columns:
        console.print("(none)")
        return
    table = _table(columns, rows)
    width = shutil.get_terminal_size().columns
    if not sys.stdout.isatty() or console.measure(table).maximum <= width:
        console.print(table, crop=False)
        return
    for row in rows:
        console.print(_record(columns, row), width=width)
        console.print()


def _record(columns: Columns, row: Row) -> Table:
    """One row, a line or more for each field that is not empty."""
    record = Table(box=None, show_header=False, pad_edge=False, padding=(0, 2, 0, 0))
    record.add_column(no_wrap=True)
    record.add_column(overflow="fold")
    for heading, field in columns:
        text = _text(row.get(field))
        if text:
            record.add_row(Text(printable(heading), style="bold"), Text(text))
    return record


def _table(columns: Columns, rows: Sequence[Row]) -> Table:
    table = Table(box=None, header_style="bold", pad_edge=False, padding=(0, 2, 0, 0))
    for heading, _ in columns:
        table.add_column(Text(printable(heading)), no_wrap=True, overflow="ignore")
    for row in rows:
        table.add_row(*(Text(_text(row.get(field))) for _, field in columns))
    return table


def _text(value: Any) -> str:
    match value:
        case None:
            return ""
        case bool():
            return "yes" if value else "no"
        case list():
            return " ".join(_text(item) for item in value)
        case dict():
            return " ".join(f"{printable(key)}={_text(item)}" for key, item in value.items())
    return printable(str(value))

"""ExaBGP, driven over its API by a small relay process."""

from __future__ import annotations

import json
import os
import re
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from interop.daemons import (
    INET6_ROUTE,
    INET_ROUTE,
    LABEL,
    LABELED_ROUTE,
    NEXT_HOP,
    NEXT_HOP6,
    ROUTE_DISTINGUISHER,
    ROUTE_TARGET,
    VPN6_ROUTE,
    VPN_ROUTE,
    Router,
    Seen,
    Session,
    Support,
)

_PROGRAM = Path(sys.executable).parent / "exabgp"

FAMILY = {
    "inet": "ipv4 unicast",
    "inet-labeled": "ipv4 nlri-mpls",
    "inet-vpn": "ipv4 mpls-vpn",
    "inet6": "ipv6 unicast",
    "inet6-vpn": "ipv6 mpls-vpn",
    "route-target": "ipv4 rtc",
    "e-vpn": "l2vpn evpn",
    "inet-mvpn": "ipv4 mcast-vpn",
}


_COMMON = "med 50 community [ 65001:7 ]"
_VPN = f"rd {ROUTE_DISTINGUISHER} label {LABEL} extended-community [ target:{ROUTE_TARGET} ] {_COMMON}"
_ROUTES: Mapping[str, str] = {
    "inet": f"route {INET_ROUTE} next-hop {NEXT_HOP} {_COMMON}",
    "inet6": f"route {INET6_ROUTE} next-hop {NEXT_HOP6} {_COMMON}",
    "inet-labeled": f"route {LABELED_ROUTE} next-hop {NEXT_HOP} label {LABEL} {_COMMON}",
    "inet-vpn": f"route {VPN_ROUTE} next-hop {NEXT_HOP} {_VPN}",
    "inet6-vpn": f"route {VPN6_ROUTE} next-hop {NEXT_HOP6} {_VPN}",
}


class ExaBgp(Router):
    """`say` gives API commands; `routes` and `ends_of_rib` are what it received."""

    name = "exabgp"
    version = "5.0.15"
    helps_to_restart = False
    cannot: Mapping[str, str] = {"helps_to_restart": "it keeps no routes"}
    supports: Mapping[str, Support | str] = {
        "inet": Support(),
        "inet6": Support(),
        "inet-labeled": Support(),
        "inet-vpn": Support(),
        "inet6-vpn": Support(),
        "route-target": "its configuration refuses the family",
        "e-vpn": Support(theirs="neither configuration nor API announce EVPN routes"),
    }

    def __init__(self, directory: Path, session: Session, address: str = "127.0.1.2") -> None:
        super().__init__(directory, session, address)
        (self.directory / "relay.py").write_text(_RELAY)
        os.mkfifo(self.directory / "commands")
        (self.directory / "exabgp.conf").write_text(self._configuration())

    @classmethod
    def missing(cls) -> str | None:
        return None if _PROGRAM.exists() else "exabgp is not in this environment"

    def _configuration(self) -> str:
        session = self.session
        families = "".join(f"    {FAMILY[name]};\n" for name in session.families)
        restart = f"    graceful-restart {session.graceful_restart};\n" if session.graceful_restart else ""
        lines = [
            f"router-id {session.router_id}",
            f"local-address {self.address}",
            f"local-as {session.local_as}",
            f"peer-as {session.autonomous_system}",
            f"hold-time {session.hold_time}",
            f"connect {session.port}" if session.connect else "passive true",
            *([f"md5-password {session.md5}"] if session.md5 else []),
        ]
        return (
            f"process relay {{\n  run \"{sys.executable}\" {self.directory / 'relay.py'} {self.directory};\n"
            f"  encoder json;\n}}\n"
            f"neighbor {session.address} {{\n"
            + "".join(f"  {line};\n" for line in lines)
            + f"  family {{\n{families}  }}\n"
            + f"  capability {{\n    asn4 enable;\n    route-refresh enable;\n{restart}  }}\n"
            + (f"  static {{\n{self._routes()}  }}\n" if session.announce else "")
            + "  api { processes [ relay ]; neighbor-changes; negotiated; receive { parsed; update; open; } }\n}\n"
        )

    def _routes(self) -> str:
        return "".join(f"    {_ROUTES[family]};\n" for family in self.session.families if family in _ROUTES)

    def command(self) -> list[str]:
        return [str(_PROGRAM), "server", str(self.directory / "exabgp.conf")]

    def environment(self) -> dict[str, str]:
        return {
            **os.environ,
            "exabgp_daemon_user": "root",
            "exabgp_daemon_drop": "false",
            "exabgp_tcp_bind": self.address,
            "exabgp_tcp_port": str(self.port),
            "exabgp_api_ack": "false",
            "exabgp_api_cli": "false",
        }

    def ready(self) -> bool:
        return (self.directory / "ready").exists()

    def say(self, command: str) -> None:
        """A command of ExaBGP's API: `announce route …`, `withdraw route …`."""
        with open(self.directory / "commands", "w") as fifo:
            fifo.write(command + "\n")

    def events(self) -> list[dict[str, Any]]:
        path = self.directory / "events"
        if not path.exists():
            return []
        return [json.loads(line) for line in path.read_text().splitlines() if line.startswith("{")]

    def routes(self, family: str) -> dict[str, dict[str, Any]]:
        """What it received in a family and was not withdrawn: printed NLRI to attributes, `next-hop`, `entry`."""
        table: dict[str, dict[str, Any]] = {}
        name = FAMILY[family]
        for event in self.events():
            if event.get("type") == "state" and event["neighbor"]["state"] == "down":
                table.clear()
            message = _message(event).get("update", {})
            for hop, entries in message.get("announce", {}).get(name, {}).items():
                for entry in entries:
                    table[_name(entry)] = {**message.get("attribute", {}), "next-hop": hop, "entry": entry}
            for entry in message.get("withdraw", {}).get(name, []):
                table.pop(_name(entry), None)
        return table

    def view(self, family: str) -> dict[str, Seen]:
        return {text.split()[0]: _seen(route) for text, route in self.routes(family).items()}

    def hold_time(self) -> int:
        found = [event["neighbor"]["negotiated"] for event in self.events() if event.get("type") == "negotiated"]
        return int(found[-1]["hold_time"]) if found else 0

    def withdraw(self, family: str) -> None:
        self.say(f"withdraw {_ROUTES[family]}")

    def ends_of_rib(self) -> set[str] | None:
        found = [_message(event).get("eor") for event in self.events()]
        printed = {f"{eor['afi']} {eor['safi']}" for eor in found if eor}
        return {name for name, theirs in FAMILY.items() if theirs in printed}


def _name(entry: dict[str, Any]) -> str:
    """A prefix, or an e-vpn route as we print it."""
    if "code" not in entry:
        return str(entry["nlri"])
    address = f"{entry['ip']}/{entry['iplen']}" if entry["code"] == 5 else entry["ip"]
    host = f"{entry['mac'].lower()},{address}" if entry["code"] == 2 else address
    return f"{entry['code']}-{entry['rd']}-{entry['ethernet-tag']}-{host}"


def _label(route: dict[str, Any]) -> int | None:
    """Of e-vpn routes the 24 bits as they are: a VNI."""
    tunnel = re.search(r"\((\d+)\)", route.get("pmsi", ""))
    if tunnel is not None:
        return int(tunnel[1])
    labels = route["entry"].get("label")
    return int(labels[0][-1]) if labels else None


def _seen(route: dict[str, Any]) -> Seen:
    entry = route["entry"]
    extended = [item["string"] for item in route.get("extended-community", [])]
    return Seen(
        next_hop=route["next-hop"],
        label=_label(route),
        as_path=tuple(asn for segment in route.get("as-path", {}).values() for asn in segment["value"]),
        med=route.get("med"),
        local_pref=route.get("local-preference"),
        rd=entry.get("rd"),
        communities=frozenset(f"{high}:{low}" for high, low in route.get("community", [])),
        targets=frozenset(text.removeprefix("target:") for text in extended if text.startswith("target:")),
        encapsulation=8 if any("VXLAN" in text.upper() for text in extended) else None,
    )


def _message(event: dict[str, Any]) -> dict[str, Any]:
    message: dict[str, Any] = event.get("neighbor", {}).get("message", {})
    return message


_RELAY = '''"""Between ExaBGP and a test: what it says goes to a file, what the fifo says goes to it."""
import pathlib, sys, threading

folder = pathlib.Path(sys.argv[1])

def commands():
    while True:
        with open(folder / "commands") as fifo:
            for line in fifo:
                sys.stdout.write(line)
                sys.stdout.flush()

threading.Thread(target=commands, daemon=True).start()
(folder / "ready").touch()
with open(folder / "events", "a") as events:
    for line in sys.stdin:
        events.write(line)
        events.flush()
'''

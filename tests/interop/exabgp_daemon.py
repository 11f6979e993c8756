"""ExaBGP, driven over its API by a small relay process."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from typing import Any

from interop.daemons import (
    INET_ROUTE,
    LABEL,
    NEXT_HOP,
    ROUTE_DISTINGUISHER,
    ROUTE_TARGET,
    VPN_ROUTE,
    Router,
    Seen,
    Session,
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


class ExaBgp(Router):
    """`say` gives API commands; `routes` and `ends_of_rib` are what it received."""

    name = "exabgp"

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
            f"process relay {{\n  run {sys.executable} {self.directory / 'relay.py'} {self.directory};\n"
            f"  encoder json;\n}}\n"
            f"neighbor {session.address} {{\n"
            + "".join(f"  {line};\n" for line in lines)
            + f"  family {{\n{families}  }}\n"
            + f"  capability {{\n    asn4 enable;\n    route-refresh enable;\n{restart}  }}\n"
            + (f"  static {{\n{self._routes()}  }}\n" if session.announce else "")
            + "  api { processes [ relay ]; neighbor-changes; negotiated; receive { parsed; update; open; } }\n}\n"
        )

    def _routes(self) -> str:
        lines = {
            "inet": f"route {INET_ROUTE} next-hop {NEXT_HOP} med 50 community [ 65001:7 ]",
            "inet-vpn": f"route {VPN_ROUTE} rd {ROUTE_DISTINGUISHER} next-hop {NEXT_HOP} label {LABEL} "
            f"extended-community [ target:{ROUTE_TARGET} ]",
        }
        return "".join(f"    {lines[family]};\n" for family in self.session.families if family in lines)

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
                    table[entry["nlri"]] = {**message.get("attribute", {}), "next-hop": hop, "entry": entry}
            for entry in message.get("withdraw", {}).get(name, []):
                table.pop(entry["nlri"], None)
        return table

    def view(self, family: str) -> dict[str, Seen]:
        return {text.split()[0]: _seen(route) for text, route in self.routes(family).items()}

    def hold_time(self) -> int:
        found = [event["neighbor"]["negotiated"] for event in self.events() if event.get("type") == "negotiated"]
        return int(found[-1]["hold_time"]) if found else 0

    def withdraw_inet(self) -> None:
        self.say(f"withdraw route {INET_ROUTE}")

    def ends_of_rib(self) -> set[str]:
        """Families, by our names, of which it saw an End-of-RIB."""
        found = [_message(event).get("eor") for event in self.events()]
        printed = {f"{eor['afi']} {eor['safi']}" for eor in found if eor}
        return {name for name, theirs in FAMILY.items() if theirs in printed}


def _seen(route: dict[str, Any]) -> Seen:
    label = route["entry"].get("label")
    segments = route.get("as-path", {})
    return Seen(
        next_hop=route["next-hop"],
        label=label[0][0] if label else None,
        as_path=tuple(asn for segment in segments.values() for asn in segment["value"]),
        med=route.get("med"),
        communities=frozenset(f"{high}:{low}" for high, low in route.get("community", [])),
        targets=frozenset(
            item["string"].removeprefix("target:")
            for item in route.get("extended-community", [])
            if item["string"].startswith("target:")
        ),
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

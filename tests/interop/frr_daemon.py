"""FRR's bgpd alone, without zebra, seen through vtysh on a socket folder of its own."""

from __future__ import annotations

import json
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
    which,
)

_PROGRAM = Path("/usr/lib/frr/bgpd")
_FAMILY = {"inet": "ipv4 unicast", "inet-vpn": "ipv4 vpn", "inet6-vpn": "ipv6 vpn", "e-vpn": "l2vpn evpn"}


class Frr(Router):
    name = "frr"

    @classmethod
    def missing(cls) -> str | None:
        return None if _PROGRAM.exists() and which("vtysh") else "frr is not installed"

    def _configuration(self) -> str:
        session = self.session
        us = f"neighbor {session.address}"
        restart = [
            f"bgp graceful-restart restart-time {session.graceful_restart}",
            "bgp graceful-restart preserve-fw-state",
        ]
        lines = [
            f"bgp router-id {session.router_id}",
            *(["bgp graceful-restart", *restart] if session.graceful_restart else []),
            "no bgp default ipv4-unicast",
            "no bgp ebgp-requires-policy",
            "no bgp network import-check",
            "bgp disable-ebgp-connected-route-check",
            f"{us} remote-as {session.autonomous_system}",
            f"{us} port {session.port}",
            f"{us} update-source {self.address}",
            *([f"{us} ebgp-multihop 8"] if session.autonomous_system != session.local_as else []),
            f"{us} timers {max(1, session.hold_time // 3)} {session.hold_time}",
            f"{us} timers connect 1",
            *([] if session.connect else [f"{us} passive"]),
            *([f"{us} password {session.md5}"] if session.md5 else []),
        ]
        networks = {
            "inet": f"network {INET_ROUTE} route-map INET",
            "inet-vpn": f"network {VPN_ROUTE} rd {ROUTE_DISTINGUISHER} label {LABEL} route-map VPN",
        }
        blocks = ""
        for family in session.families:
            own = f"  {networks[family]}\n" if session.announce else ""
            blocks += f" address-family {_FAMILY[family]}\n{own}  {us} activate\n"
            blocks += f"  {us} attribute-unchanged next-hop\n exit-address-family\n"
        return (
            "hostname frr\nlog stdout\n"
            f"route-map VPN permit 10\n set extcommunity rt {ROUTE_TARGET}\n set ip next-hop {NEXT_HOP}\n"
            f"route-map INET permit 10\n set metric 50\n set community 65001:7\n set ip next-hop {NEXT_HOP}\n"
            f"router bgp {session.local_as}\n" + "".join(f" {line}\n" for line in lines) + blocks
        )

    def command(self) -> list[str]:
        (self.directory / "bgpd.conf").write_text(self._configuration())
        own = ["-i", str(self.directory / "pid"), "--vty_socket", str(self.directory)]
        return [
            str(_PROGRAM),
            "-n",
            "-S",
            "-Z",
            "-f",
            "bgpd.conf",
            *own,
            "-p",
            str(self.port),
            "-l",
            self.address,
            "-P0",
        ]

    def ready(self) -> bool:
        return "Version" in self._vtysh("show version", check=False) or "FRRouting" in self._vtysh(
            "show version", check=False
        )

    def _vtysh(self, *commands: str, check: bool = True) -> str:
        arguments = [part for command in commands for part in ("-c", command)]
        return self._run(
            which("vtysh") or "vtysh", "--vty_socket", str(self.directory), "-d", "bgpd", *arguments, check=check
        )

    def view(self, family: str) -> dict[str, Seen]:
        shown = json.loads(self._vtysh(f"show bgp {_FAMILY[family]} json"))["routes"]
        if family == "inet-vpn":
            by_rd = shown.get("routeDistinguishers", {})
            shown = {prefix: paths for routes in by_rd.values() for prefix, paths in routes.items()}
        found: dict[str, Seen] = {}
        for prefix, paths in shown.items():
            if any(path.get("peerId") == self.session.address for path in paths):
                detail = self._detail(family, prefix)
                if detail is not None:
                    found[prefix] = detail
        return found

    def _detail(self, family: str, prefix: str) -> Seen | None:
        """None when the route went away meanwhile."""
        shown = json.loads(self._vtysh(f"show bgp {_FAMILY[family]} {prefix} json"))
        if "paths" not in shown:
            shown = next(iter(shown.values()), None)
        if shown is None:
            return None
        path: dict[str, Any] = next(
            path for path in shown["paths"] if path.get("peer", {}).get("peerId") == self.session.address
        )
        segments = path.get("aspath", {}).get("segments", [])
        communities = path.get("community", {}).get("list", [])
        extended = path.get("extendedCommunity", {}).get("string", "").split()
        label = path.get("remoteLabel")
        return Seen(
            next_hop=path["nexthops"][0]["ip"],
            label=int(label) if label is not None else None,
            as_path=tuple(int(asn) for segment in segments for asn in segment["list"]),
            med=path.get("metric"),
            communities=frozenset(communities),
            targets=frozenset(text.removeprefix("RT:") for text in extended if text.startswith("RT:")),
        )

    def hold_time(self) -> int:
        shown = json.loads(self._vtysh(f"show bgp neighbors {self.session.address} json"))
        return int(shown[self.session.address]["bgpTimerHoldTimeMsecs"]) // 1000

    def withdraw_inet(self) -> None:
        asn = self.session.local_as
        self._vtysh("configure", f"router bgp {asn}", "address-family ipv4 unicast", f"no network {INET_ROUTE}")

"""FRR's bgpd alone, without zebra, seen through vtysh on a socket folder of its own."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from interop.daemons import (
    INET6_ROUTE,
    INET_ROUTE,
    LABEL,
    NEXT_HOP,
    NEXT_HOP6,
    ROUTE_DISTINGUISHER,
    ROUTE_TARGET,
    VPN6_ROUTE,
    VPN_ROUTE,
    Router,
    Seen,
    Support,
    which,
)

_PROGRAM = Path("/usr/lib/frr/bgpd")
_FAMILY: Mapping[str, str] = {
    "inet": "ipv4 unicast",
    "inet6": "ipv6 unicast",
    "inet-labeled": "ipv4 labeled-unicast",
    "inet-vpn": "ipv4 vpn",
    "inet6-vpn": "ipv6 vpn",
    "e-vpn": "l2vpn evpn",
}
_RD = f"rd {ROUTE_DISTINGUISHER}"
_NETWORKS: Mapping[str, str] = {
    "inet": f"network {INET_ROUTE}",
    "inet6": f"network {INET6_ROUTE}",
    "inet-vpn": f"network {VPN_ROUTE} {_RD} label {LABEL}",
    "inet6-vpn": f"network {VPN6_ROUTE} {_RD} label {LABEL}",
}
_ROUTE_MAPS = "".join(
    f"route-map {name} permit 10\n set metric 50\n set community 65001:7\n {rules}\n"
    for name, rules in (
        ("PLAIN", f"set ip next-hop {NEXT_HOP}"),
        ("PLAIN6", f"set ipv6 next-hop global {NEXT_HOP6}"),
        ("VPN", f"set extcommunity rt {ROUTE_TARGET}\n set ip next-hop {NEXT_HOP}"),
        ("VPN6", f"set extcommunity rt {ROUTE_TARGET}\n set ipv6 next-hop global {NEXT_HOP6}"),
    )
)
_BAD_NEXT_HOP = "without zebra only type 5, with a next hop of 16 bytes, on which profile contrail resets"
_NO_LABELS = "without zebra it has no label for a route of its own, and such a route stays at home"


class Frr(Router):
    name = "frr"
    version = "8.4.4-1.1~deb12u2"
    supports: Mapping[str, Support | str] = {
        "inet": Support(),
        "inet6": Support(),
        "inet-labeled": Support(theirs=_NO_LABELS),
        "inet-vpn": Support(),
        "inet6-vpn": Support(),
        "route-target": "FRR does not know RFC 4684",
        "e-vpn": Support(theirs=_BAD_NEXT_HOP),
    }
    apart = ("inet-labeled",)  # it refuses to activate a peer for both kinds of unicast

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
        blocks = ""
        for family in session.families:
            announced = session.announce and family in _NETWORKS
            own = f"  {_NETWORKS[family]} route-map {_route_map(family)}\n" if announced else ""
            blocks += f" address-family {_FAMILY[family]}\n{own}  {us} activate\n"
            blocks += f"  {us} attribute-unchanged next-hop\n exit-address-family\n"
        return (
            f"hostname frr\nlog stdout\n{_ROUTE_MAPS}"
            f"router bgp {session.local_as}\n" + "".join(f" {line}\n" for line in lines) + blocks
        )

    def command(self) -> list[str]:
        (self.directory / "bgpd.conf").write_text(self._configuration())
        own = ["-i", str(self.directory / "pid"), "--vty_socket", str(self.sockets)]
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
            which("vtysh") or "vtysh", "--vty_socket", str(self.sockets), "-d", "bgpd", *arguments, check=check
        )

    def view(self, family: str) -> dict[str, Seen]:
        if family == "e-vpn":
            return self._evpn_view()
        shown = json.loads(self._vtysh(f"show bgp {_FAMILY[family]} json"))["routes"]
        by_rd = shown.get("routeDistinguishers", {}) if "vpn" in family else {None: shown}
        found: dict[str, Seen] = {}
        for rd, routes in by_rd.items():
            for prefix, paths in routes.items():
                if any(path.get("peerId") == self.session.address for path in paths):
                    detail = self._detail(family, prefix, rd)
                    if detail is not None:
                        found[prefix] = detail
        return found

    def _detail(self, family: str, prefix: str, rd: str | None) -> Seen | None:
        """None when the route went away meanwhile."""
        shown = json.loads(self._vtysh(f"show bgp {_FAMILY[family]} {prefix} json"))
        if "paths" not in shown:
            shown = next(iter(shown.values()), None)
        return None if shown is None else self._ours(shown["paths"], rd)

    def _evpn_view(self) -> dict[str, Seen]:
        shown = json.loads(self._vtysh("show bgp l2vpn evpn route detail json"))
        found: dict[str, Seen] = {}
        for rd, routes in shown.items():
            entries = routes.items() if isinstance(routes, dict) else ()
            for prefix, route in entries:
                paths = [path for paths in route["paths"] for path in paths] if isinstance(route, dict) else []
                if (seen := self._ours(paths, rd)) is not None:
                    found[_printed(prefix, rd)] = seen
        return found

    def _ours(self, paths: list[dict[str, Any]], rd: str | None) -> Seen | None:
        """The path from us, if there is one."""
        ours = (path for path in paths if path.get("peer", {}).get("peerId") == self.session.address)
        path = next(ours, None)
        return None if path is None else _seen(path, rd)

    def ends_of_rib(self) -> set[str] | None:
        found = set(re.findall(r"rcvd end-of-rib for (.*) from", self.log_text().lower()))
        return {family for family, name in _FAMILY.items() if name.replace("-", " ") in found}

    def hold_time(self) -> int:
        shown = json.loads(self._vtysh(f"show bgp neighbors {self.session.address} json"))
        return int(shown[self.session.address]["bgpTimerHoldTimeMsecs"]) // 1000

    def withdraw(self, family: str) -> None:
        where = f"router bgp {self.session.local_as}", f"address-family {_FAMILY[family]}"
        self._vtysh("configure", *where, f"no {_NETWORKS[family]}")


def _route_map(family: str) -> str:
    return ("VPN" if "vpn" in family else "PLAIN") + ("6" if "6" in family else "")


def _printed(prefix: str, rd: str) -> str:
    """An e-vpn route as we print it, of FRR's `[type]:[tag]:[length]:[MAC]:[length]:[address]` and such."""
    kind, tag, length, *rest = re.findall(r"\[([^]]*)\]", prefix)
    last = {"2": f"{rest[0]},{rest[-1]}", "3": rest[0], "5": f"{rest[0]}/{length}"}[kind]
    return f"{kind}-{rd}-{tag}-{last}"


def _seen(path: dict[str, Any], rd: str | None) -> Seen:
    segments = path.get("aspath", {}).get("segments", [])
    extended = path.get("extendedCommunity", {}).get("string", "").split()
    label = path.get("remoteLabel", path.get("vni", path.get("pmsi", {}).get("label")))
    tunnels = [int(text.removeprefix("ET:")) for text in extended if text.startswith("ET:")]
    return Seen(
        next_hop=path["nexthops"][0]["ip"],
        label=int(label) if label is not None else None,
        as_path=tuple(int(asn) for segment in segments for asn in segment["list"]),
        med=path.get("metric"),
        local_pref=path.get("locPrf"),
        rd=rd,
        communities=frozenset(path.get("community", {}).get("list", [])),
        targets=frozenset(text.removeprefix("RT:") for text in extended if text.startswith("RT:")),
        encapsulation=tunnels[0] if tunnels else None,
    )

"""OpenBGPD, seen through bgpctl."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from interop.daemons import INET6_ROUTE, INET_ROUTE, NEXT_HOP, NEXT_HOP6, Router, Seen, Support, which

_ANNOUNCE: Mapping[str, str] = {
    "inet": "IPv4 unicast",
    "inet6": "IPv6 unicast",
    "inet-vpn": "IPv4 vpn",
    "inet6-vpn": "IPv6 vpn",
}
_TABLES: Mapping[str, str] = {"inet": "ipv4", "inet6": "ipv6", "inet-vpn": "vpnv4", "inet6-vpn": "vpnv6"}
_NETWORKS: Mapping[str, tuple[str, str]] = {"inet": (INET_ROUTE, NEXT_HOP), "inet6": (INET6_ROUTE, NEXT_HOP6)}
_NO_MPLS = "its VPN routes need an MPLS interface of OpenBSD"
_ONE_CONNECTION = "it closes a second connection while its own is in OpenSent; ours comes up at the next attempt"
_NO_MP_REACH = "IPv4 unicast in MP_REACH_NLRI ends the session with 3/9 (bad multiprotocol nexthop, bad AID)"
_KEEPS_VPN = "counts a VPN withdrawal and keeps the route, whatever label bytes it carries"
_PRIVILEGE_SEPARATION = Path("/run/openbgpd")


class OpenBgpd(Router):
    """What 7.7 cannot do stands in `cannot` and `supports`."""

    name = "openbgpd"
    announces = ("inet",)
    takes_inet_in_mp_reach = False
    takes_vpn_withdrawals = False
    signs_when_listening = False
    restarts_gracefully = False
    takes_second_connection = False
    cannot: Mapping[str, str] = {
        "takes_inet_in_mp_reach": _NO_MP_REACH,
        "takes_vpn_withdrawals": _KEEPS_VPN,
        "signs_when_listening": "its listening socket has no key (the kernel counts TCPMD5Unexpected)",
        "takes_second_connection": _ONE_CONNECTION,
        "restarts_gracefully": "it helps peers to restart and does not restart gracefully itself",
    }
    version = "7.7-2"
    supports: Mapping[str, Support | str] = {
        "inet": Support(mp_reach=_NO_MP_REACH),
        "inet6": Support(),
        "inet-labeled": "OpenBGPD does not know labelled unicast",
        "inet-vpn": Support(theirs=_NO_MPLS, our_withdrawal=_KEEPS_VPN, hides=frozenset({"label"})),
        "inet6-vpn": Support(theirs=_NO_MPLS, our_withdrawal=_KEEPS_VPN, hides=frozenset({"label"})),
        "route-target": "OpenBGPD does not know RFC 4684",
        "e-vpn": "OpenBGPD 7.7 does not know EVPN",
    }

    @classmethod
    def missing(cls) -> str | None:
        if not which("bgpd", "bgpctl"):
            return "openbgpd is not installed"
        return None if os.geteuid() == 0 else "openbgpd starts as root only"

    def _configuration(self) -> str:
        session = self.session
        lines = [
            f"remote-as {session.autonomous_system}",
            f"port {session.port}",
            f"local-address {self.address}",
            *(["multihop 8"] if session.autonomous_system != session.local_as else []),
            f"holdtime {session.hold_time}",
            "enforce neighbor-as no",
            *([] if session.connect else ["passive"]),
            *([f'tcp md5sig password "{session.md5}"'] if session.md5 else []),
            *(f"announce {_ANNOUNCE[family]}" for family in session.families),
            *(["announce restart yes"] if session.graceful_restart else []),
        ]
        return (
            f"AS {session.local_as}\nrouter-id {session.router_id}\nlisten on {self.address} port {self.port}\n"
            f'fib-update no\nsocket "{self.sockets / "ctl"}"\nnexthop qualify via default\n'
            + f"neighbor {session.address} {{\n"
            + "".join(f"  {line}\n" for line in lines)
            + "}\nallow from any\nallow to any set nexthop no-modify\n"
        )

    def command(self) -> list[str]:
        _PRIVILEGE_SEPARATION.mkdir(exist_ok=True)
        path = self.directory / "bgpd.conf"
        path.write_text(self._configuration())
        path.chmod(0o600)
        return [which("bgpd", "bgpctl") or "bgpd", "-d", "-f", "bgpd.conf"]

    def ready(self) -> bool:
        return "neighbors" in self._bgpctl("show", "neighbor", check=False)

    def after_start(self) -> None:
        if not self.session.announce:
            return
        for family, (prefix, next_hop) in _NETWORKS.items():
            if family in self.session.families:
                self._network("add", prefix, "community", "65001:7", "metric", "50", "nexthop", next_hop)

    def _network(self, verb: str, prefix: str, *attributes: str) -> None:
        program = which("bgpctl", "bgpd") or "bgpctl"
        self._run(program, "-s", str(self.sockets / "ctl"), "network", verb, prefix, *attributes)

    def _bgpctl(self, *arguments: str, check: bool = True) -> str:
        program = which("bgpctl", "bgpd") or "bgpctl"
        return self._run(program, "-s", str(self.sockets / "ctl"), "-j", *arguments, check=check)

    def view(self, family: str) -> dict[str, Seen]:
        shown = json.loads(self._bgpctl("show", "rib", _TABLES[family], "detail", "neighbor", self.session.address))
        found: dict[str, Seen] = {}
        for entry in shown.get("rib", []):
            found[entry["prefix"].split()[-1]] = _seen(entry)
        return found

    def hold_time(self) -> int:
        shown = json.loads(self._bgpctl("show", "neighbor", self.session.address))
        return int(shown["neighbors"][0]["session"]["holdtime"])

    def withdraw(self, family: str) -> None:
        self._network("delete", _NETWORKS[family][0])


def _seen(entry: dict[str, Any]) -> Seen:
    extended = entry.get("extended_communities", [])
    return Seen(
        next_hop=entry["exit_nexthop"],
        as_path=tuple(int(asn) for asn in entry["aspath"].split()),
        med=entry.get("metric"),
        local_pref=entry.get("localpref"),
        rd=entry["prefix"].split()[1] if " " in entry["prefix"] else None,
        communities=frozenset(entry.get("communities", [])),
        targets=frozenset(text.split()[-1] for text in extended if text.startswith("rt ")),
    )

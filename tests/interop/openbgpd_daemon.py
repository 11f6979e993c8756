"""OpenBGPD, seen through bgpctl."""

from __future__ import annotations

import json
from pathlib import Path

from interop.daemons import INET_ROUTE, NEXT_HOP, Router, Seen, which

_ANNOUNCE = {"inet": "IPv4 unicast", "inet-vpn": "IPv4 vpn"}
_PRIVILEGE_SEPARATION = Path("/run/openbgpd")


class OpenBgpd(Router):
    """It has no VPN route of its own without an MPLS interface; it takes ours.

    Seen with 7.7: IPv4 unicast in MP_REACH_NLRI ends the session with 3/9 ("bad multiprotocol nexthop, bad AID"). A VPN
    withdrawal is counted but the route stays, whatever label bytes it carries. Its listening socket has no MD5 key (the
    kernel counts TCPMD5Unexpected). It helps restarting peers and does not restart gracefully itself.
    """

    name = "openbgpd"
    announces = ("inet",)
    takes_inet_in_mp_reach = False
    takes_vpn_withdrawals = False
    signs_when_listening = False
    restarts_gracefully = False

    @classmethod
    def missing(cls) -> str | None:
        return None if which("bgpd") and which("bgpctl") else "openbgpd is not installed"

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
            f'fib-update no\nsocket "{self.directory / "ctl"}"\nnexthop qualify via default\n'
            + f"neighbor {session.address} {{\n"
            + "".join(f"  {line}\n" for line in lines)
            + "}\nallow from any\nallow to any set nexthop no-modify\n"
        )

    def command(self) -> list[str]:
        _PRIVILEGE_SEPARATION.mkdir(exist_ok=True)
        path = self.directory / "bgpd.conf"
        path.write_text(self._configuration())
        path.chmod(0o600)
        return [which("bgpd") or "bgpd", "-d", "-f", "bgpd.conf"]

    def ready(self) -> bool:
        return "neighbors" in self._bgpctl("show", "neighbor", check=False)

    def after_start(self) -> None:
        if self.session.announce:
            self._network("add", "community", "65001:7", "metric", "50", "nexthop", NEXT_HOP)

    def _network(self, verb: str, *attributes: str) -> None:
        program = which("bgpctl") or "bgpctl"
        self._run(program, "-s", str(self.directory / "ctl"), "network", verb, INET_ROUTE, *attributes)

    def _bgpctl(self, *arguments: str, check: bool = True) -> str:
        return self._run(which("bgpctl") or "bgpctl", "-s", str(self.directory / "ctl"), "-j", *arguments, check=check)

    def view(self, family: str) -> dict[str, Seen]:
        table = {"inet": "ipv4", "inet-vpn": "vpnv4"}[family]
        shown = json.loads(self._bgpctl("show", "rib", table, "detail", "neighbor", self.session.address))
        found: dict[str, Seen] = {}
        for entry in shown.get("rib", []):
            found[entry["prefix"].split()[-1]] = Seen(
                next_hop=entry["exit_nexthop"],
                as_path=tuple(int(asn) for asn in entry["aspath"].split()),
                med=entry.get("metric"),
                communities=frozenset(entry.get("communities", [])),
                targets=frozenset(
                    text.split()[-1] for text in entry.get("extended_communities", []) if text.startswith("rt ")
                ),
            )
        return found

    def hold_time(self) -> int:
        shown = json.loads(self._bgpctl("show", "neighbor", self.session.address))
        return int(shown["neighbors"][0]["session"]["holdtime"])

    def withdraw_inet(self) -> None:
        self._network("delete")

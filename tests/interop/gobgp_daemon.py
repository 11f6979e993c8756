"""GoBGP, seen through its gRPC client."""

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
    Session,
    free_port,
    which,
)

_AFI_SAFI = {"inet": "ipv4-unicast", "inet-vpn": "l3vpn-ipv4-unicast", "e-vpn": "l2vpn-evpn", "route-target": "rtc"}
_OPTION = {"inet": "ipv4", "inet-vpn": "vpnv4", "e-vpn": "evpn"}


class GoBgp(Router):
    name = "gobgp"
    says_end_of_rib = False

    def __init__(self, directory: Path, session: Session, address: str = "127.0.1.2") -> None:
        super().__init__(directory, session, address)
        self._api_port = free_port(address)

    @classmethod
    def missing(cls) -> str | None:
        return None if which("gobgpd") and which("gobgp") else "gobgpd is not installed"

    def _configuration(self) -> dict[str, Any]:
        session = self.session
        restart: dict[str, Any] = {}
        if session.graceful_restart:
            settings = {"enabled": True, "restart-time": session.graceful_restart, "notification-enabled": True}
            restart = {"graceful-restart": {"config": settings}}
        per_family = {"mp-graceful-restart": {"config": {"enabled": True}}} if session.graceful_restart else {}
        neighbour = {
            "config": {
                "neighbor-address": session.address,
                "peer-as": session.autonomous_system,
                **({"auth-password": session.md5} if session.md5 else {}),
            },
            "transport": {
                "config": {
                    "local-address": self.address,
                    "remote-port": session.port,
                    "passive-mode": not session.connect,
                }
            },
            "ebgp-multihop": {"config": {"enabled": True, "multihop-ttl": 8}},
            "timers": {
                "config": {
                    "hold-time": session.hold_time,
                    "keepalive-interval": max(1, session.hold_time // 3),
                    "connect-retry": 1,
                    "idle-hold-time-after-reset": 1,
                }
            },
            "afi-safis": [{"config": {"afi-safi-name": _AFI_SAFI[name]}, **per_family} for name in session.families],
            **restart,
        }
        own = {
            "as": session.local_as,
            "router-id": session.router_id,
            "port": self.port,
            "local-address-list": [self.address],
        }
        return {"global": {"config": own}, "neighbors": [neighbour]}

    def command(self) -> list[str]:
        (self.directory / "gobgpd.json").write_text(json.dumps(self._configuration()))
        api = f"{self.address}:{self._api_port}"
        program = which("gobgpd") or "gobgpd"
        recover = ["-r"] if self.session.graceful_restart else []  # else it says that it kept no forwarding state
        return [program, "-f", "gobgpd.json", "-t", "json", "-p", "--api-hosts", api, "--pprof-disable", *recover]

    def ready(self) -> bool:
        return "Peer" in self._gobgp("neighbor", check=False)

    def after_start(self) -> None:
        if not self.session.announce:
            return
        inet = [INET_ROUTE, "origin", "igp", "nexthop", NEXT_HOP, "med", "50", "community", "65001:7"]
        self._gobgp("global", "rib", "add", "-a", "ipv4", *inet)
        if "inet-vpn" in self.session.families:
            vpn = [VPN_ROUTE, "label", str(LABEL), "rd", ROUTE_DISTINGUISHER, "rt", ROUTE_TARGET, "origin", "igp"]
            self._gobgp("global", "rib", "add", "-a", "vpnv4", *vpn, "nexthop", NEXT_HOP)

    def _gobgp(self, *arguments: str, check: bool = True) -> str:
        program = which("gobgp") or "gobgp"
        return self._run(program, "-u", self.address, "-p", str(self._api_port), *arguments, check=check)

    def view(self, family: str) -> dict[str, Seen]:
        shown = json.loads(self._gobgp("global", "rib", "-a", _OPTION[family], "-j"))
        paths = [path for found in shown.values() for path in found]
        return {p["nlri"]["prefix"]: _seen(p) for p in paths if p.get("neighbor-ip") == self.session.address}

    def hold_time(self) -> int:
        shown = json.loads(self._gobgp("neighbor", self.session.address, "-j"))
        return int(shown["timers"]["state"]["negotiated_hold_time"])

    def withdraw_inet(self) -> None:
        self._gobgp("global", "rib", "del", "-a", "ipv4", INET_ROUTE)


def _seen(path: dict[str, Any]) -> Seen:
    attributes = {attribute["type"]: attribute for attribute in path["attrs"]}
    mp_reach = attributes.get(14, {})
    next_hop = attributes.get(3, mp_reach).get("nexthop", "")
    labels = path["nlri"].get("labels") or [None]
    numbers = attributes.get(8, {}).get("communities", [])
    return Seen(
        next_hop=next_hop,
        label=labels[0],
        as_path=tuple(asn for segment in attributes.get(2, {}).get("as_paths", []) for asn in segment["asns"]),
        med=attributes.get(4, {}).get("metric"),
        communities=frozenset(f"{number >> 16}:{number & 0xFFFF}" for number in numbers),
        targets=frozenset(
            value["value"] for value in attributes.get(16, {}).get("value", []) if value.get("subtype") == 2
        ),
    )

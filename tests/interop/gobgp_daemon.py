"""GoBGP, seen through its gRPC client."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from interop.daemons import (
    EVPN_PREFIX,
    INET6_ROUTE,
    INET_ROUTE,
    LABEL,
    LABELED_ROUTE,
    MAC,
    MAC_ADDRESS,
    NEXT_HOP,
    NEXT_HOP6,
    ROUTE_DISTINGUISHER,
    ROUTE_TARGET,
    VNI,
    VPN6_ROUTE,
    VPN_ROUTE,
    Router,
    Seen,
    Session,
    Support,
    which,
)

from contrail_emulator.config.testing.servers import free_port

_AFI_SAFI: Mapping[str, str] = {
    "inet": "ipv4-unicast",
    "inet6": "ipv6-unicast",
    "inet-labeled": "ipv4-labelled-unicast",
    "inet-vpn": "l3vpn-ipv4-unicast",
    "inet6-vpn": "l3vpn-ipv6-unicast",
    "route-target": "rtc",
    "e-vpn": "l2vpn-evpn",
}
_OPTION: Mapping[str, str] = {
    "inet": "ipv4",
    "inet6": "ipv6",
    "inet-labeled": "ipv4-mpls",
    "inet-vpn": "vpnv4",
    "inet6-vpn": "vpnv6",
    "route-target": "rtc",
    "e-vpn": "evpn",
}
_VPN = f"rd {ROUTE_DISTINGUISHER} rt {ROUTE_TARGET}"
_ROUTES: Mapping[str, tuple[str, ...]] = {
    "inet": (INET_ROUTE,),
    "inet6": (INET6_ROUTE,),
    "inet-labeled": (f"{LABELED_ROUTE} {LABEL}",),
    "inet-vpn": (f"{VPN_ROUTE} label {LABEL} {_VPN}",),
    "inet6-vpn": (f"{VPN6_ROUTE} label {LABEL} {_VPN}",),
    "e-vpn": (
        f"macadv {MAC} {MAC_ADDRESS} etag 0 label {VNI} {_VPN} encap vxlan",
        f"multicast {NEXT_HOP} etag 0 {_VPN} encap vxlan pmsi ingress-repl {VNI} {NEXT_HOP}",
        f"prefix {EVPN_PREFIX} gw 0.0.0.0 etag 0 label {VNI} {_VPN} encap vxlan",
    ),
}
_ONE_CONNECTION = "it closes a second connection while its own is in OpenSent; ours comes up at the next attempt"
_NO_END_OF_RIB = "sends it only while it restarts gracefully"


class GoBgp(Router):
    name = "gobgp"
    says_end_of_rib = False
    takes_second_connection = False
    cannot: Mapping[str, str] = {"says_end_of_rib": _NO_END_OF_RIB, "takes_second_connection": _ONE_CONNECTION}
    version = "3.10.0-1+b4"
    supports: Mapping[str, Support | str] = {
        "inet": Support(end_of_rib=_NO_END_OF_RIB),
        "inet6": Support(end_of_rib=_NO_END_OF_RIB),
        "inet-labeled": Support(end_of_rib=_NO_END_OF_RIB),
        "inet-vpn": Support(end_of_rib=_NO_END_OF_RIB),
        "inet6-vpn": Support(end_of_rib=_NO_END_OF_RIB),
        "route-target": Support(end_of_rib=_NO_END_OF_RIB),
        "e-vpn": Support(label=VNI, end_of_rib=_NO_END_OF_RIB),
    }
    apart = ("route-target",)  # with it, routes without a target stay at home

    def __init__(self, directory: Path, session: Session, address: str = "127.0.1.2") -> None:
        super().__init__(directory, session, address)
        self._api_port = free_port(address)

    @classmethod
    def missing(cls) -> str | None:
        return None if which("gobgpd", "gobgp") else "gobgpd is not installed"

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
        program = which("gobgpd", "gobgp") or "gobgpd"
        recover = ["-r"] if self.session.graceful_restart else []  # else it says that it kept no forwarding state
        return [program, "-f", "gobgpd.json", "-t", "json", "-p", "--api-hosts", api, "--pprof-disable", *recover]

    def ready(self) -> bool:
        return "Peer" in self._gobgp("neighbor", check=False)

    def after_start(self) -> None:
        if not self.session.announce:
            return
        for family in self.session.families:
            next_hop = NEXT_HOP6 if "6" in family else NEXT_HOP
            for route in _ROUTES.get(family, ()):
                common = f"origin igp nexthop {next_hop} med 50 community 65001:7"
                self._rib("add", family, f"{route} {common}")
        if "route-target" in self.session.families:
            self._gobgp("vrf", "add", "red", "rd", ROUTE_DISTINGUISHER, "rt", "both", ROUTE_TARGET)

    def _rib(self, verb: str, family: str, route: str) -> None:
        self._gobgp("global", "rib", verb, "-a", _OPTION[family], *route.split())

    def _gobgp(self, *arguments: str, check: bool = True) -> str:
        program = which("gobgp", "gobgpd") or "gobgp"
        return self._run(program, "-u", self.address, "-p", str(self._api_port), *arguments, check=check)

    def view(self, family: str) -> dict[str, Seen]:
        shown = json.loads(self._gobgp("global", "rib", "-a", _OPTION[family], "-j"))
        paths = [path for found in shown.values() for path in found]
        return {_printed(p["nlri"]): _seen(p) for p in paths if p.get("neighbor-ip") == self.session.address}

    def hold_time(self) -> int:
        shown = json.loads(self._gobgp("neighbor", self.session.address, "-j"))
        return int(shown["timers"]["state"]["negotiated_hold_time"])

    def withdraw(self, family: str) -> None:
        if family == "route-target":
            self._gobgp("vrf", "del", "red")
        for route in _ROUTES.get(family, ()):
            self._rib("del", family, route)


def _printed(nlri: dict[str, Any]) -> str:
    """A prefix; e-vpn and route-target routes as we print them."""
    if "prefix" in nlri:
        membership = re.fullmatch(r"(\d+):(\d+:\d+)", nlri["prefix"])
        return str(nlri["prefix"]) if membership is None else f"{membership[1]}:target:{membership[2]}"
    value = nlri["value"]
    head = f"{nlri['type']}-{_distinguisher(value['rd'])}-{value['etag']}"
    if nlri["type"] == 2:
        return f"{head}-{value['mac']},{value['ip']}"
    return f"{head}-{value['prefix'] if nlri['type'] == 5 else value['ip']}"


def _distinguisher(rd: dict[str, Any]) -> str:
    return f"{rd['admin']}:{rd['assigned']}"


def _seen(path: dict[str, Any]) -> Seen:
    attributes = {attribute["type"]: attribute for attribute in path["attrs"]}
    mp_reach = attributes.get(14, {})
    next_hop = attributes.get(3, mp_reach).get("nexthop", "")
    nlri = path["nlri"].get("value", path["nlri"])
    labels = nlri.get("labels") or [nlri.get("label", attributes.get(22, {}).get("label"))]
    numbers = attributes.get(8, {}).get("communities", [])
    extended = attributes.get(16, {}).get("value", [])
    tunnels = [value["tunnel_type"] for value in extended if "tunnel_type" in value]
    return Seen(
        next_hop=next_hop,
        label=labels[0],
        as_path=tuple(asn for segment in attributes.get(2, {}).get("as_paths", []) for asn in segment["asns"]),
        med=attributes.get(4, {}).get("metric"),
        local_pref=attributes.get(5, {}).get("value"),
        rd=_distinguisher(nlri["rd"]) if "rd" in nlri else None,
        communities=frozenset(f"{number >> 16}:{number & 0xFFFF}" for number in numbers),
        targets=frozenset(value["value"] for value in extended if value.get("subtype") == 2),
        encapsulation=tunnels[0] if tunnels else None,
    )

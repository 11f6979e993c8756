"""GoBGP as a lab's router."""

from __future__ import annotations

import json
import random
from typing import Any

from ..model import GatewayRoute
from ..ports import PortPicker
from ..values import MAX_AS2
from .polled import PolledRouter
from .private import write_private

FAMILIES = {
    "inet": "ipv4-unicast",
    "inet6": "ipv6-unicast",
    "inet-vpn": "l3vpn-ipv4-unicast",
    "inet6-vpn": "l3vpn-ipv6-unicast",
    "route-target": "rtc",
    "e-vpn": "l2vpn-evpn",
}
OPTIONS = {"inet": "ipv4", "inet-vpn": "vpnv4"}


class GoBgp(PolledRouter):
    """Its routes come and go through its gRPC client, on a free port of its own address."""

    program = "gobgpd"
    client = "gobgp"
    greeting = ("global",)
    _api_port = 0

    def prepare(self) -> tuple[list[str], dict[str, str]]:
        if not self._api_port:
            self._api_port = PortPicker(random.Random()).pick(str(self.peer.address), 0, what=f"router {self.name}")
        path = self.directory / "gobgpd.json"
        write_private(path, json.dumps(self._configuration()))
        api = f"{self.peer.address}:{self._api_port}"
        return [self.find(), "-f", str(path), "-t", "json", "-p", "--api-hosts", api, "--pprof-disable"], {}

    def client_options(self) -> list[str]:
        return ["-u", str(self.peer.address), "-p", str(self._api_port)]

    async def ready(self) -> None:
        for route in self.originated:
            await self._rib("add", route)

    async def announce(self, route: GatewayRoute) -> None:
        if route not in self.originated:
            self.originated.append(route)
        await self._rib("add", route)

    async def withdraw(self, route: GatewayRoute) -> None:
        if route in self.originated:
            self.originated.remove(route)
        await self._rib("del", route)

    async def read(self) -> dict[str, str]:
        learnt: dict[str, str] = {}
        for neighbour in self.neighbours:
            for family, option in OPTIONS.items():
                if family not in self.peer.families:
                    continue
                shown = (
                    json.loads(await self.ask("neighbor", str(neighbour.address), "adj-in", "-a", option, "-j")) or {}
                )
                for path in (path for paths in shown.values() for path in paths):
                    nlri = path["nlri"]
                    learnt[nlri["prefix"]] = " ".join(str(label) for label in nlri.get("labels", ()))
        return learnt

    async def _rib(self, action: str, route: GatewayRoute) -> None:
        words = ["global", "rib", action, "-a", OPTIONS[route.family], str(route.prefix)]
        if route.family == "inet-vpn":
            words += ["label", str(route.label), "rd", _asdot(str(route.route_distinguisher))]
        if action == "add":
            targets = [_asdot(text.removeprefix("target:")) for text in route.route_targets]
            words += ["rt", *targets] if targets else []
            words += ["origin", "igp", "nexthop", str(route.next_hop or self.peer.router_id)]
        await self.ask(*words)

    def _configuration(self) -> dict[str, Any]:
        peer = self.peer
        neighbours = [
            {
                "config": {
                    "neighbor-address": str(neighbour.address),
                    "peer-as": neighbour.autonomous_system,
                    **({"auth-password": peer.md5} if peer.md5 else {}),
                },
                "transport": {"config": {"local-address": str(peer.address), "remote-port": neighbour.port}},
                "ebgp-multihop": {"config": {"enabled": True, "multihop-ttl": 8}},
                "timers": {
                    "config": {
                        "hold-time": peer.hold_time,
                        "keepalive-interval": max(1, peer.hold_time // 3),
                        "connect-retry": 1,
                        "idle-hold-time-after-reset": 1,
                    }
                },
                "afi-safis": [{"config": {"afi-safi-name": FAMILIES[family]}} for family in peer.families],
            }
            for neighbour in self.neighbours
        ]
        own = {"as": peer.autonomous_system, "router-id": str(peer.router_id), "port": peer.port,
               "local-address-list": [str(peer.address)]}  # fmt: skip
        return {"global": {"config": own}, "neighbors": neighbours}


def _asdot(pair: str) -> str:
    """`4200000000:1` as `64086.59904:1` (RFC 5396): GoBGP's client makes 65535 of a larger plain AS, without a word."""
    first, _, second = pair.partition(":")
    if not first.isdigit() or int(first) <= MAX_AS2:
        return pair
    return f"{int(first) >> 16}.{int(first) & MAX_AS2}:{second}"

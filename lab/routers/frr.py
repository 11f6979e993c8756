"""FRR's bgpd as a lab's router: alone, without zebra, so that it touches nothing of the machine."""

from __future__ import annotations

import json
from typing import Any

from ..model import GatewayRoute
from .polled import PolledRouter
from .private import write_private

FAMILIES = {
    "inet": "ipv4 unicast",
    "inet6": "ipv6 unicast",
    "inet-labeled": "ipv4 labeled-unicast",
    "inet-vpn": "ipv4 vpn",
    "inet6-vpn": "ipv6 vpn",
    "e-vpn": "l2vpn evpn",
}


class Frr(PolledRouter):
    """Its routes come and go through vtysh."""

    program = "bgpd"
    program_paths = "/usr/lib/frr:/usr/local/lib/frr:/usr/libexec/frr"
    client = "vtysh"
    greeting = ("-c", "show version")

    def prepare(self) -> tuple[list[str], dict[str, str]]:
        path = self.directory / "bgpd.conf"
        write_private(path, self._configuration())
        own = ["-i", str(self.directory / "pid"), "--vty_socket", str(self.directory), "-P", "0"]
        where = ["-p", str(self.peer.port), "-l", str(self.peer.address)]
        return [self.find(), "-n", "-S", "-Z", "-f", str(path), *own, *where], {}

    def client_options(self) -> list[str]:
        return ["--vty_socket", str(self.directory), "-d", "bgpd"]

    async def announce(self, route: GatewayRoute) -> None:
        await self._configure(route, "")

    async def withdraw(self, route: GatewayRoute) -> None:
        await self._configure(route, "no ")  # which names no route map: vtysh refuses it there

    async def read(self) -> dict[str, str]:
        learnt: dict[str, str] = {}
        for family in ("inet", "inet-vpn"):
            if family not in self.peer.families:
                continue
            shown = json.loads(await self.ask("-c", f"show bgp {FAMILIES[family]} json")).get("routes", {})
            by_rd = shown.get("routeDistinguishers") if family == "inet-vpn" else {"": shown}
            for rd, routes in (by_rd or {}).items():
                for prefix, paths in routes.items():
                    if any(self._ours(path) for path in paths):
                        learnt[prefix] = rd
        return learnt

    def _ours(self, path: dict[str, Any]) -> bool:
        return path.get("peerId") in {str(neighbour.address) for neighbour in self.neighbours}

    def _configuration(self) -> str:
        peer = self.peer
        lines = [f"bgp router-id {peer.router_id}", "no bgp default ipv4-unicast", "no bgp ebgp-requires-policy",
                 "no bgp network import-check", "bgp disable-ebgp-connected-route-check"]  # fmt: skip
        for neighbour in self.neighbours:
            us = f"neighbor {neighbour.address}"
            lines += [
                f"{us} remote-as {neighbour.autonomous_system}",
                f"{us} port {neighbour.port}",
                f"{us} update-source {peer.address}",
                f"{us} timers {max(1, peer.hold_time // 3)} {peer.hold_time}",
                f"{us} timers connect 1",
                *([f"{us} ebgp-multihop 8"] if neighbour.autonomous_system != peer.autonomous_system else []),
                *([f"{us} password {peer.md5}"] if peer.md5 else []),
            ]
        maps = "".join(_route_map(number, route, str(peer.router_id)) for number, route in enumerate(peer.routes))
        own = "".join(f" {line}\n" for line in lines)
        return f"hostname {self.name}\nlog stdout\n{maps}router bgp {peer.autonomous_system}\n{own}{self._families()}"

    def _families(self) -> str:
        text = ""
        for family in self.peer.families:
            text += f" address-family {FAMILIES[family]}\n"
            for number, route in enumerate(self.peer.routes):
                if route.family == family:
                    text += f"  {_network(route)} route-map ROUTE{number}\n"
            for neighbour in self.neighbours:
                us = f"neighbor {neighbour.address}"
                text += f"  {us} activate\n  {us} attribute-unchanged next-hop\n"
            text += " exit-address-family\n"
        return text

    async def _configure(self, route: GatewayRoute, negation: str) -> None:
        number = self.peer.routes.index(route)
        statement = f"no {_network(route)}" if negation else f"{_network(route)} route-map ROUTE{number}"
        family = f"address-family {FAMILIES[route.family]}"
        commands = ("configure", f"router bgp {self.peer.autonomous_system}", family, statement)
        await self.ask(*(word for command in commands for word in ("-c", command)))


def _network(route: GatewayRoute) -> str:
    vpn = f" rd {route.route_distinguisher} label {route.label}" if route.family == "inet-vpn" else ""
    return f"network {route.prefix}{vpn}"


def _route_map(number: int, route: GatewayRoute, router_id: str) -> str:
    targets = " ".join(text.removeprefix("target:") for text in route.route_targets)
    extended = f" set extcommunity rt {targets}\n" if targets else ""
    return f"route-map ROUTE{number} permit 10\n{extended} set ip next-hop {route.next_hop or router_id}\n"

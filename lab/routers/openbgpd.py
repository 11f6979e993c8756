"""OpenBGPD as a lab's router. It wants root and a folder of its own; it originates inet routes only."""

from __future__ import annotations

import json
import os
from pathlib import Path

from ..errors import LabError
from ..model import GatewayRoute
from .polled import PolledRouter
from .private import write_private

FAMILIES = {"inet": "IPv4 unicast", "inet6": "IPv6 unicast", "inet-vpn": "IPv4 vpn", "inet6-vpn": "IPv6 vpn"}
TABLES = {"inet": "ipv4", "inet-vpn": "vpnv4"}
PRIVILEGE_SEPARATION = Path("/run/openbgpd")


class OpenBgpd(PolledRouter):
    """Its routes come and go through bgpctl."""

    program = "bgpd"
    program_paths = "/usr/sbin:/usr/local/sbin"
    client = "bgpctl"
    greeting = ("show", "neighbor")

    def need(self) -> None:
        super().need()
        if os.geteuid() != 0:
            raise LabError(f"bgp_peers: {self.name}: openbgpd runs only as root")

    def prepare(self) -> tuple[list[str], dict[str, str]]:
        try:
            PRIVILEGE_SEPARATION.mkdir(exist_ok=True)
        except OSError as error:
            raise LabError(f"router {self.name}: OpenBGPD needs {PRIVILEGE_SEPARATION}: {error.strerror}") from error
        path = self.directory / "bgpd.conf"
        write_private(path, self._configuration())
        return [self.find(), "-d", "-f", str(path)], {}

    def client_options(self) -> list[str]:
        return ["-s", str(self.directory / "control"), "-j"]

    async def announce(self, route: GatewayRoute) -> None:
        await self.ask("network", "add", str(route.prefix))

    async def withdraw(self, route: GatewayRoute) -> None:
        await self.ask("network", "delete", str(route.prefix))

    async def read(self) -> dict[str, str]:
        learnt: dict[str, str] = {}
        for neighbour in self.neighbours:
            for family, table in TABLES.items():
                if family in self.peer.families:
                    shown = json.loads(await self.ask("show", "rib", table, "neighbor", str(neighbour.address)))
                    for entry in shown.get("rib", []):
                        learnt[entry["prefix"].split()[-1]] = " ".join(entry["prefix"].split()[:-1])
        return learnt

    def _configuration(self) -> str:
        peer = self.peer
        text = (
            f"AS {peer.autonomous_system}\nrouter-id {peer.router_id}\nlisten on {peer.address} port {peer.port}\n"
            f'fib-update no\nsocket "{self.directory / "control"}"\nnexthop qualify via default\n'
        )
        text += "".join(
            f"network {route.prefix} set nexthop {route.next_hop or peer.router_id}\n" for route in peer.routes
        )
        for neighbour in self.neighbours:
            lines = [
                f"remote-as {neighbour.autonomous_system}", f"port {neighbour.port}", f"local-address {peer.address}",
                *(["multihop 8"] if neighbour.autonomous_system != peer.autonomous_system else []),
                f"holdtime {peer.hold_time}", "enforce neighbor-as no",
                *([f'tcp md5sig password "{peer.md5}"'] if peer.md5 else []),
                *(f"announce {FAMILIES[family]}" for family in peer.families),
            ]  # fmt: skip
            text += f"neighbor {neighbour.address} {{\n" + "".join(f"  {line}\n" for line in lines) + "}\n"
        return text + "allow from any\nallow to any\n"

"""BIRD 2 as a lab's router."""

from __future__ import annotations

import re
from collections.abc import Iterable

from ..errors import LabError
from ..model import GatewayRoute
from .polled import PolledRouter
from .private import write_private
from .router import Neighbour

CHANNELS = {"inet": "ipv4", "inet6": "ipv6", "inet-vpn": "vpn4 mpls", "inet6-vpn": "vpn6 mpls"}


class Bird(PolledRouter):
    """Its routes stand in its configuration; a change is a reconfiguration."""

    program = "bird"
    client = "birdc"
    greeting = ("show", "status")

    def prepare(self) -> tuple[list[str], dict[str, str]]:
        self._write()
        control, pid = str(self.directory / "control"), str(self.directory / "pid")
        return [self.find(), "-f", "-c", str(self.directory / "bird.conf"), "-s", control, "-P", pid], {}

    def client_options(self) -> list[str]:
        return ["-s", str(self.directory / "control")]

    async def answers(self) -> bool:
        try:
            return "Daemon is up" in await self.ask(*self.greeting)
        except LabError:
            return False

    async def announce(self, route: GatewayRoute) -> None:
        if route not in self.originated:
            self.originated.append(route)
        await self._reconfigure()

    async def withdraw(self, route: GatewayRoute) -> None:
        if route in self.originated:
            self.originated.remove(route)
        await self._reconfigure()

    async def read(self) -> dict[str, str]:
        learnt: dict[str, str] = {}
        for table in ("master4", "vpntab4"):
            text = await self.ask("show", "route", "all", "table", table)
            for block in re.split(r"\n(?=\S)", text):
                prefix = re.match(r"(?:(\S+) )?(\d+\.\d+\.\d+\.\d+/\d+)\s.*\[peer\d+ ", block)
                if prefix is not None:
                    learnt[prefix[2]] = " ".join(filter(None, (prefix[1], _attributes(block))))
        return learnt

    async def _reconfigure(self) -> None:
        self._write()
        await self.ask("configure")

    def _write(self) -> None:
        write_private(self.directory / "bird.conf", self._configuration())

    def _configuration(self) -> str:
        head = f"log stderr all;\nrouter id {self.peer.router_id};\nprotocol device {{}}\n"
        head += "vpn4 table vpntab4;\nvpn6 table vpntab6;\n"
        peers = (self._protocol(number, neighbour) for number, neighbour in enumerate(self.neighbours, 1))
        return (
            head + self._static("inet", "ipv4;") + self._static("inet-vpn", "vpn4 { table vpntab4; };") + "".join(peers)
        )

    def _static(self, family: str, channel: str) -> str:
        routes = "".join(_route(route, str(self.peer.router_id)) for route in self.originated if route.family == family)
        return f"protocol static {family.replace('-', '_')}_routes {{ {channel}\n{routes}}}\n"

    def _protocol(self, number: int, neighbour: Neighbour) -> str:
        peer = self.peer
        export = "export where source = RTS_STATIC;"
        lines = [
            f"local {peer.address} port {peer.port} as {peer.autonomous_system}",
            f"neighbor {neighbour.address} port {neighbour.port} as {neighbour.autonomous_system}",
            "multihop", "strict bind on", f"hold time {peer.hold_time}", "connect delay time 1", "error wait time 1, 2",
            *([f'password "{peer.md5}"'] if peer.md5 else []),
            *(f"{CHANNELS[family]} {{ {_table(family)} import all; {export} next hop address {self._next_hop()}; }}"
              for family in peer.families),
        ]  # fmt: skip
        return f"protocol bgp peer{number} {{\n" + "".join(f"  {line};\n" for line in lines) + "}\n"

    def _next_hop(self) -> str:
        """One for all routes of a channel: the first that a route names, else the router id."""
        return str(next((route.next_hop for route in self.originated if route.next_hop), self.peer.router_id))


def _route(route: GatewayRoute, router_id: str) -> str:
    targets = "".join(
        f"bgp_ext_community.add((rt,{text.removeprefix('target:').replace(':', ',')})); "
        for text in route.route_targets
    )
    if route.family == "inet-vpn":
        gateway = f"{route.next_hop or router_id}%lo onlink"
        vpn = f"{route.route_distinguisher} {route.prefix} via {gateway} mpls {route.label}"
        return f"  route {vpn} {{ {targets}}};\n"
    return f"  route {route.prefix} unreachable {{ {targets}}};\n"


def _table(family: str) -> str:
    return {"inet-vpn": "table vpntab4;", "inet6-vpn": "table vpntab6;"}.get(family, "")


def _attributes(block: str) -> str:
    names: Iterable[str] = ("next_hop", "mpls_label_stack", "as_path", "ext_community")
    found = ((name, re.search(rf"\tBGP\.{name}: (.*)", block)) for name in names)
    return " ".join(f"{name} {match[1].strip()}" for name, match in found if match is not None)

"""ExaBGP as a lab's router: the default, as it comes from PyPI with us."""

from __future__ import annotations

import json
import os
import pwd
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.defer import TimeoutError as DeferredTimeout
from twisted.internet.interfaces import IListeningPort, IReactorUNIX
from twisted.internet.protocol import Factory
from twisted.protocols.basic import LineReceiver

from ..errors import LabError
from ..model import BgpPeer, GatewayRoute
from ..values import MAX_AS2
from .private import write_private
from .router import Neighbour, Router

RELAY = Path(__file__).with_name("exabgp_relay.py")
# Without route-target: ExaBGP 5.0.15 knows the family by name, but its configuration says "invalid afi/safi pair".
FAMILIES = {
    "inet": "ipv4 unicast",
    "inet6": "ipv6 unicast",
    "inet-labeled": "ipv4 nlri-mpls",
    "inet-vpn": "ipv4 mpls-vpn",
    "inet6-vpn": "ipv6 mpls-vpn",
    "e-vpn": "l2vpn evpn",
}
EVENT_BYTES = 16 * 1024 * 1024
RELAY_SECONDS = 10.0
FOUR_BYTE_TARGET = 0x0202
"""Type and subtype of a route target with a four-byte AS (RFC 5668)."""


class _Relay(LineReceiver):
    """One connection of exabgp_relay.py: JSON events in, commands out."""

    delimiter = b"\n"
    MAX_LENGTH = EVENT_BYTES

    def __init__(self, router: ExaBgp) -> None:
        self.router = router

    def connectionMade(self) -> None:  # noqa: N802 - Twisted's name
        self.router.connected(self)

    def lineReceived(self, line: bytes) -> None:  # noqa: N802 - Twisted's name
        self.router.event(line)

    def connectionLost(self, reason: Any = None) -> None:  # noqa: N802 - Twisted's name
        self.router.disconnected(self)

    def send(self, command: str) -> None:
        assert self.transport is not None
        self.transport.write(command.encode() + self.delimiter)


class _RelayFactory(Factory):
    noisy = False

    def __init__(self, router: ExaBgp) -> None:
        self.router = router

    def buildProtocol(self, addr: Any) -> _Relay:  # noqa: N802 - Twisted's name
        return _Relay(self.router)


class ExaBgp(Router):
    """Routes it originates and what it learns travel through its API, over a Unix socket of ours."""

    program = "exabgp"

    def __init__(self, reactor: Any, peer: BgpPeer, neighbours: Sequence[Neighbour], directory: Path) -> None:
        super().__init__(reactor, peer, neighbours, directory)
        self._announced: list[GatewayRoute] = list(peer.routes)
        self._learnt: dict[tuple[str, str], str] = {}
        self._relay: _Relay | None = None
        self._listener: IListeningPort | None = None
        self._waiting_for_relay: list[Deferred[None]] = []

    def prepare(self) -> tuple[list[str], dict[str, str]]:
        socket = self.directory / "api.sock"
        if self._listener is None:
            self._listener = IReactorUNIX(self.reactor).listenUNIX(str(socket), _RelayFactory(self), mode=0o600)
        configuration = self.directory / "exabgp.conf"
        write_private(configuration, self._configuration(socket))
        environment = {
            # Its own user: as another one (nobody, by default) it would outlive a leash that was killed.
            "exabgp_daemon_user": pwd.getpwuid(os.getuid()).pw_name,
            "exabgp_api_cli": "false",
            "exabgp_api_ack": "false",
            "exabgp_tcp_bind": str(self.peer.address),
            "exabgp_tcp_port": str(self.peer.port),
            "exabgp_log_level": "WARNING",
            "exabgp_log_short": "false",
        }
        return [sys.executable, "-P", "-m", "exabgp", "server", str(configuration)], environment

    def _configuration(self, socket: Path) -> str:
        families = " ".join(f"{FAMILIES[family]};" for family in self.peer.families)
        md5 = f'md5-password "{self.peer.md5}";' if self.peer.md5 else ""
        blocks = [f"process lab {{ run {_word(sys.executable)} -I -S {_word(RELAY)} {_word(socket)}; encoder json; }}"]
        for neighbour in self.neighbours:
            blocks.append(
                f"""neighbor {neighbour.address} {{
    router-id {self.peer.router_id}; local-address {self.peer.address};
    local-as {self.peer.autonomous_system}; peer-as {neighbour.autonomous_system};
    hold-time {self.peer.hold_time}; connect {neighbour.port}; {md5}
    capability {{ asn4 enable; route-refresh disable; graceful-restart disable; }}
    family {{ {families} }}
    api {{ processes [ lab ]; neighbor-changes; receive {{ parsed; update; }} }}
}}"""
            )
        return "\n".join(blocks) + "\n"

    def stop(self) -> Deferred[None]:
        done = super().stop()
        if self._listener is not None:
            listener, self._listener = self._listener, None
            done.addCallback(lambda _: listener.stopListening())
        return done

    async def announce(self, route: GatewayRoute) -> None:
        if route not in self._announced:
            self._announced.append(route)
        await self._command(f"announce route {self._text(route)}")

    async def withdraw(self, route: GatewayRoute) -> None:
        if route in self._announced:
            self._announced.remove(route)
        await self._command(f"withdraw route {self._text(route)}")

    @property
    def learnt(self) -> set[str]:
        return {key.split()[1].rsplit(":", 1)[-1] for _, key in self._learnt}

    async def routes(self) -> list[str]:
        return sorted(self._learnt.values())

    # The API

    def connected(self, relay: _Relay) -> None:
        self._relay = relay
        self._learnt.clear()
        for route in self._announced:
            relay.send(f"announce route {self._text(route)}")
        waiting, self._waiting_for_relay = self._waiting_for_relay, []
        for done in waiting:
            done.callback(None)

    def disconnected(self, relay: _Relay) -> None:
        if self._relay is relay:
            self._relay = None
            self._learnt.clear()

    def event(self, line: bytes) -> None:
        try:
            event = json.loads(line)
        except ValueError:
            return
        neighbour = str(event.get("neighbor", {}).get("address", {}).get("peer"))
        if event.get("type") == "state" and event["neighbor"].get("state") == "down":
            self._learnt = {key: text for key, text in self._learnt.items() if key[0] != neighbour}
        elif event.get("type") == "update":
            self._update(neighbour, event["neighbor"].get("message", {}).get("update", {}))

    def _update(self, neighbour: str, update: Mapping[str, Any]) -> None:
        communities = " ".join(
            community["string"] for community in update.get("attribute", {}).get("extended-community", [])
        )
        for family, by_next_hop in update.get("announce", {}).items():
            for next_hop, routes in by_next_hop.items():
                for key, text in _read(family, routes):
                    self._learnt[neighbour, key] = f"{key}{text} next-hop {next_hop} {communities}".rstrip()
        for family, routes in update.get("withdraw", {}).items():
            for key, _ in _read(family, routes):
                self._learnt.pop((neighbour, key), None)

    async def _command(self, command: str) -> None:
        if self._relay is None:
            await self._connected()
        assert self._relay is not None
        self._relay.send(command)

    async def _connected(self) -> None:
        """Waits until the relay is there.

        Raises:
            LabError: not in time, or ExaBGP has ended.
        """
        if self.failed is not None:
            raise LabError(self.failed)
        connected: Deferred[None] = Deferred()
        connected.addTimeout(RELAY_SECONDS, self.reactor)
        self._waiting_for_relay.append(connected)
        try:
            await connected
        except DeferredTimeout as error:
            self._waiting_for_relay.remove(connected)
            raise LabError(f"router {self.name}: ExaBGP's API did not connect in {RELAY_SECONDS:g} s") from error

    def _text(self, route: GatewayRoute) -> str:
        text = f"{route.prefix} next-hop {route.next_hop or self.peer.router_id}"
        if route.family == "inet-vpn":
            text += f" rd {route.route_distinguisher} label {route.label}"
        if route.route_targets:
            text += f" extended-community [ {' '.join(map(_route_target, route.route_targets))} ]"
        return text


def _read(family: str, routes: Any) -> Iterator[tuple[str, str]]:
    """(printed prefix, printed rest) of each route in ExaBGP's JSON; End-of-RIB is passed over."""
    name = next((ours for ours, theirs in FAMILIES.items() if theirs == family), family)
    for route in routes if isinstance(routes, list) else []:
        if not isinstance(route, dict) or "nlri" not in route:
            continue
        prefix = f"{route['rd']}:{route['nlri']}" if "rd" in route else str(route["nlri"])
        labels = route.get("label") or []
        yield f"{name} {prefix}", f" label {labels[0][0]}" if labels else ""


def _route_target(text: str) -> str:
    """As ExaBGP takes it: a four-byte AS in hexadecimal, or it would send that as an IPv4 address (type 0x01)."""
    asn, number = text.removeprefix("target:").split(":")
    if not asn.isdigit() or int(asn) <= MAX_AS2:
        return text
    return f"0x{FOUR_BYTE_TARGET:04x}{int(asn):08x}{int(number):04x}"


def _word(path: str | Path) -> str:
    """A path as one word of ExaBGP's configuration."""
    text = str(path)
    return f'"{text}"' if any(character in text for character in " ;{}[]") else text

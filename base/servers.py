"""Lists of servers from a conf file: which order a daemon tries them in, and whether the list changed."""

from __future__ import annotations

import hashlib
import ipaddress
import random
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

_LABEL = re.compile(r"[A-Za-z0-9_]([A-Za-z0-9_-]{0,61}[A-Za-z0-9_])?")


@dataclass(frozen=True, slots=True, order=True)
class Endpoint:
    """One server: an IP address or a host name, and a port."""

    host: str
    port: int

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


def parse_endpoint(text: str, default_port: int | None = None) -> Endpoint:
    """From ``host:port``, ``[v6]:port``, or without a port when there is a default. Raises ValueError."""
    host, colon, port_text = text.rpartition(":")
    if text.startswith("["):
        host, bracket, rest = text[1:].partition("]")
        if not bracket or ":" not in host or (rest and not rest.startswith(":")):
            raise ValueError(f"{text!r}: expected [IPv6 address]:port")
        colon, port_text = rest[:1], rest[1:]
    elif text.count(":") > 1:
        host, colon, port_text = text, "", ""
    elif not colon:
        host, port_text = text, ""
    _check_host(text, host)
    if colon or default_port is None:
        if not (port_text.isascii() and port_text.isdigit() and int(port_text) <= 0xFFFF):
            raise ValueError(f"{text!r}: expected host:port with a port of 0 to 65535")
        return Endpoint(host, int(port_text))
    return Endpoint(host, default_port)


def parse_servers(text: str | Sequence[str], default_port: int | None = None) -> tuple[Endpoint, ...]:
    """From ``ip:port ip:port``, separated by blanks or commas; doubles are left out. Raises ValueError."""
    words = re.split(r"[\s,]+", text.strip()) if isinstance(text, str) else text
    return tuple(dict.fromkeys(parse_endpoint(word, default_port) for word in words if word))


class ServerList:
    """Endpoints in the order this daemon tries them: shuffled with its own ``rng``, so that load spreads."""

    def __init__(self, endpoints: Sequence[Endpoint], rng: random.Random) -> None:
        self._endpoints = list(endpoints)
        self._configured = tuple(self._endpoints)
        rng.shuffle(self._endpoints)

    @property
    def hash(self) -> str:
        """Same for the same configured list in the same order, in every process: compare it after SIGHUP."""
        return servers_hash(self._configured)

    def rotate(self, endpoint: Endpoint) -> None:
        """Put a server that does not answer at the end. One that is not in the list is ignored."""
        if endpoint in self._endpoints:
            self._endpoints.remove(endpoint)
            self._endpoints.append(endpoint)

    def __len__(self) -> int:
        return len(self._endpoints)

    def __getitem__(self, place: int) -> Endpoint:
        return self._endpoints[place]

    def __iter__(self) -> Iterator[Endpoint]:
        return iter(tuple(self._endpoints))

    def __repr__(self) -> str:
        return f"ServerList({' '.join(map(str, self._endpoints))})"


def servers_hash(endpoints: Sequence[Endpoint]) -> str:
    """A short digest of the list as configured."""
    return hashlib.sha256(" ".join(map(str, endpoints)).encode()).hexdigest()[:16]


def _check_host(text: str, host: str) -> None:
    if ":" in host or host.replace(".", "").isdigit():
        try:
            ipaddress.ip_address(host)
        except ValueError:
            raise ValueError(f"{text!r}: {host!r} is not an IP address") from None
    elif len(host) > 253 or not all(_LABEL.fullmatch(label) for label in host.removesuffix(".").split(".")):
        raise ValueError(f"{text!r}: expected a host name or an IP address")

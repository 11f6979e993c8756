"""`bus: amqp://user:password@host:port,host:port/vhost` of a lab file. What it raises never holds the password."""

from __future__ import annotations

from dataclasses import dataclass, field
from urllib.parse import unquote

from contrail_emulator.base.servers import Endpoint, parse_servers
from contrail_emulator.config.backends import RABBITMQ_PORT

SCHEME = "amqp://"


@dataclass(frozen=True, slots=True)
class BusUrl:
    """Brokers and how to log in."""

    servers: tuple[Endpoint, ...]
    user: str = "guest"
    password: str = field(default="guest", repr=False)
    vhost: str = ""


def parse_bus(text: str) -> BusUrl:
    """Reads the URL; percent signs quote. Raises ValueError."""
    if not text.startswith(SCHEME):
        raise ValueError(f"bus: expected {SCHEME}user:password@host:port/vhost")
    login, at, rest = text.removeprefix(SCHEME).rpartition("@")
    hosts, _, vhost = rest.partition("/")
    user, colon, password = login.partition(":")
    try:
        servers = parse_servers(hosts, RABBITMQ_PORT)
    except ValueError:
        servers = ()  # its text could hold the password, when the URL is not well formed
    if not servers or (at and not user):
        raise ValueError(f"bus: expected {SCHEME}user:password@host:port/vhost")
    if not at:
        return BusUrl(servers, vhost=unquote(vhost))
    return BusUrl(servers, unquote(user), unquote(password) if colon else "", unquote(vhost))

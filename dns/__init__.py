"""The DNS front end: views and zones from configuration, records from agents, a resolver."""

from .server import DnsServer
from .settings import DnsSettings

__all__ = ["DnsServer", "DnsSettings"]

"""What a DNS front end is told at its start."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from contrail_emulator.control.xmpp.framing import DEFAULT_MAX_STANZA
from contrail_emulator.control.xmpp.names import DNS_PORT
from contrail_emulator.control.xmpp.tls import TlsSettings

QUERY_PORT: Final = 53


@dataclass(frozen=True, slots=True)
class DnsSettings:
    """Ports of 0 take free ones. Times in seconds, ``max_stanza`` in bytes.

    ``host_ip`` is the address of ``contrail-ns`` in every zone (empty: ``address``). ``forwarders`` are asked for names
    that no view knows and for views without a next server; the real one reads them from /etc/resolv.conf.
    """

    hostname: str
    address: str = "127.0.0.1"
    port: int = QUERY_PORT
    xmpp_port: int = DNS_PORT
    host_ip: str = ""
    forwarders: tuple[str, ...] = ()
    forward_port: int = QUERY_PORT
    hold_time: float = 90.0
    tls: TlsSettings | None = None
    max_stanza: int = DEFAULT_MAX_STANZA

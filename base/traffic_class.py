"""How a socket's packets are marked (RFC 2474)."""

from __future__ import annotations

import socket

MAX_DSCP = 63


def set_dscp(sock: socket.socket, dscp: int) -> None:
    """Mark outgoing packets with a DSCP of 0 to 63.

    A socket of IPv6 may carry IPv4, when it was accepted on `::`: the kernel marks such packets by the IPv4 option.
    """
    if sock.family == socket.AF_INET6:
        sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_TCLASS, dscp << 2)
    sock.setsockopt(socket.IPPROTO_IP, socket.IP_TOS, dscp << 2)

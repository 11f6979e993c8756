"""Socket options of a session: TCP keepalive and user timeout (reference/xmpp.md 1.6), no delay, traffic class."""

import socket
from typing import Final

from contrail_emulator.base.traffic_class import set_dscp

KEEPALIVE_IDLE: Final = 5
KEEPALIVE_INTERVAL: Final = 3
KEEPALIVE_PROBES: Final = 3


def set_no_delay(found: object) -> None:
    """What we write leaves at once: the last piece of a message is not held back until the peer's delayed
    acknowledgement of what came before it, 40 ms later. Not a socket: nothing."""
    if isinstance(found, socket.socket):
        found.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)


def set_traffic_class(found: object, dscp: int) -> None:
    """A DSCP of 0 to 63 for what we send. Not a socket: nothing."""
    if isinstance(found, socket.socket):
        set_dscp(found, dscp)


def set_timeouts(found: object, tcp_hold_time: float) -> None:
    """Idle 5 s, 3 probes of 3 s, user timeout of half the TCP hold time; 0 turns it all off. Not a socket: nothing."""
    if not isinstance(found, socket.socket) or tcp_hold_time <= 0:
        return
    found.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    for option, value in (
        ("TCP_KEEPIDLE", KEEPALIVE_IDLE),
        ("TCP_KEEPINTVL", KEEPALIVE_INTERVAL),
        ("TCP_KEEPCNT", KEEPALIVE_PROBES),
        ("TCP_USER_TIMEOUT", int(tcp_hold_time * 1000 / 2)),
    ):
        number = getattr(socket, option, None)
        if number is not None:  # a platform without it goes on without it
            found.setsockopt(socket.IPPROTO_TCP, number, value)

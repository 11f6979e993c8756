"""Options of a BGP socket: no delay, traffic class, a small send buffer, a TCP MD5 key."""

from __future__ import annotations

import socket

from contrail_emulator.base.traffic_class import set_dscp

from .md5 import set_md5

SEND_BUFFER = 128 * 1024
"""Kernel send buffer in bytes: small, so that a keepalive does not wait behind megabytes for a slow reader."""


def prepare(sock: socket.socket, dscp: int, address: str, md5: str | None) -> None:
    """Options of a session's socket, before connect() or after accept(). Raises md5.Md5Error."""
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, SEND_BUFFER)
    if dscp:
        set_dscp(sock, dscp)
    if md5 is not None:
        set_md5(sock, address, md5)

"""TCP MD5 signatures (RFC 2385) on a socket, as Linux offers them (tcp(7): TCP_MD5SIG).

A socket of IPv6 may carry IPv4, when it was accepted on `::`: the kernel wants mapped addresses there.
"""

from __future__ import annotations

import socket
import struct
from ipaddress import ip_address

TCP_MD5SIG = 14
MAX_KEY = 80
_SOCKADDR_STORAGE = 128


class Md5Error(Exception):
    """The system would not take a key: not Linux, no such option, or a bad address."""


def md5_option(address: str, key: bytes) -> bytes:
    """A `struct tcp_md5sig` for connections with `address`, of any port. An empty key removes the one that is set.

    Raises ValueError for a key of more than 80 bytes or text that is no address.
    """
    if len(key) > MAX_KEY:
        raise ValueError(f"an MD5 key has at most {MAX_KEY} bytes")
    where = ip_address(address)
    if where.version == 4:
        name = struct.pack("=HH4s", socket.AF_INET, 0, where.packed)
    else:
        name = struct.pack("=HHI16sI", socket.AF_INET6, 0, 0, where.packed, 0)
    return name.ljust(_SOCKADDR_STORAGE, b"\0") + struct.pack("=BBHi", 0, 0, len(key), 0) + key.ljust(MAX_KEY, b"\0")


def set_md5(sock: socket.socket, address: str, key: str | None) -> None:
    """Sign and demand signatures on segments from and to `address` on this socket; None removes the key.

    Set it on the listening socket for inbound connections and before connect() on an outbound one. Raises Md5Error.
    """
    if sock.family == socket.AF_INET6 and ip_address(address).version == 4:
        address = f"::ffff:{address}"
    try:
        sock.setsockopt(socket.IPPROTO_TCP, TCP_MD5SIG, md5_option(address, (key or "").encode()))
    except OSError as error:
        raise Md5Error(f"TCP MD5 for {address}: {error.strerror}") from error

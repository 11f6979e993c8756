"""DHCP for virtual machines, answered from configuration (reference/agent.md 9).

Pure: request and interface in, reply out.
"""

from __future__ import annotations

import struct
from ipaddress import IPv4Address, IPv4Network, ip_address
from typing import NamedTuple

from ..oper.interfaces import VmInterface
from ..oper.records import Subnet

MAGIC = bytes.fromhex("63825363")
DISCOVER, OFFER, REQUEST, DECLINE, ACK, NAK, RELEASE, INFORM = range(1, 9)
_ANSWERED = {DISCOVER: OFFER, REQUEST: ACK, INFORM: ACK}
INFINITE_LEASE = 0xFFFFFFFF
SHORT_LEASE = 4
HEADER = 236
(
    SUBNET_MASK,
    ROUTER,
    DNS_SERVERS,
    HOST_NAME,
    DOMAIN_NAME,
    BROADCAST,
    REQUESTED_ADDRESS,
    LEASE_TIME,
    MESSAGE_TYPE,
    SERVER_ID,
    CLASSLESS_ROUTES,
) = (1, 3, 6, 12, 15, 28, 50, 51, 53, 54, 121)
_BY_NAME = {
    "subnet-mask": SUBNET_MASK,
    "routers": ROUTER,
    "domain-name-servers": DNS_SERVERS,
    "host-name": HOST_NAME,
    "domain-name": DOMAIN_NAME,
    "ntp-servers": 42,
    "interface-mtu": 26,
    "tftp-server-name": 66,
    "bootfile-name": 67,
    "time-servers": 4,
    "log-servers": 7,
}
_ADDRESSES = frozenset({ROUTER, DNS_SERVERS, 42, 4, 7, SUBNET_MASK})
_NUMBERS = {26: 2}


class Request(NamedTuple):
    """A BOOTP request; `options` by code."""

    kind: int
    transaction: bytes
    flags: int
    client_address: int
    mac: bytes
    options: dict[int, bytes]
    raw: bytes


def read(payload: bytes) -> Request | None:
    """None for what is no DHCP request."""
    if len(payload) < HEADER + 4 or payload[0] != 1 or payload[HEADER : HEADER + 4] != MAGIC:
        return None
    options: dict[int, bytes] = {}
    position = HEADER + 4
    while position < len(payload) and payload[position] != 255:
        code = payload[position]
        if code == 0:
            position += 1
            continue
        if position + 2 > len(payload):
            break
        size = payload[position + 1]
        options[code] = options.get(code, b"") + payload[position + 2 : position + 2 + size]
        position += 2 + size
    kind = options.get(MESSAGE_TYPE, b"")
    if len(kind) != 1:
        return None
    return Request(
        kind[0],
        payload[4:8],
        int.from_bytes(payload[10:12], "big"),
        int.from_bytes(payload[12:16], "big"),
        payload[28:34],
        options,
        payload,
    )


class Lease(NamedTuple):
    """What a machine is given. Addresses as integers; `gateway` 0 for none."""

    address: int
    mask: int
    broadcast: int
    gateway: int
    dns: tuple[int, ...]
    seconds: int
    host_name: str
    domain: str
    routes: tuple[tuple[IPv4Network, int], ...]
    extra: tuple[tuple[int, bytes], ...]


def lease(interface: VmInterface, domain: str) -> Lease:
    """The lease of an interface: its primary address in its subnet, or what the reference gives without one."""
    own = interface.address4
    if own is None:
        address = 169 << 24 | 254 << 16 | interface.index & 0xFFFF
        return Lease(address, 0xFFFF0000, address | 0xFFFF, 0, (), SHORT_LEASE, interface.vm_name, "", (), ())
    subnet = interface.network.subnet_of(4, own.address) if interface.network is not None else None
    if subnet is None:
        return Lease(own.address, 0xFFFFFFFF, own.address, 0, (), SHORT_LEASE, interface.vm_name, domain, (), ())
    length = subnet.prefix.length
    mask = 0xFFFFFFFF << (32 - length) & 0xFFFFFFFF
    options = _options(interface, subnet)
    routes = _routes(interface, subnet)
    gateway = address_number(subnet.gateway)
    if any(network.prefixlen == 0 for network, _ in routes):
        gateway = 0
    if subnet.ipam.dns_method == "tenant-dns-server":
        servers = tuple(filter(None, (address_number(one) for one in subnet.ipam.tenant_dns)))
    else:
        server = address_number(subnet.dns_server) or address_number(subnet.gateway)
        servers = (server,) if server else ()
    return Lease(
        own.address,
        mask,
        own.address & mask | ~mask & 0xFFFFFFFF,
        gateway,
        servers,
        INFINITE_LEASE,
        interface.vm_name,
        domain,
        routes,
        tuple(options.items()),
    )


def reply(request: Request, given: Lease, server: int) -> bytes | None:
    """The BOOTP reply; NAK when the machine asks for another address; None for kinds that are not answered."""
    kind = _ANSWERED.get(request.kind)
    if kind is None:
        return None
    wanted = request.options.get(REQUESTED_ADDRESS, b"")
    asked = int.from_bytes(wanted, "big") if len(wanted) == 4 else request.client_address
    if request.kind == REQUEST and asked and asked != given.address:
        return _message(request, NAK, 0, server, ((SERVER_ID, _four(server)),))
    extra = dict(given.extra)
    options: dict[int, bytes] = {
        SERVER_ID: _four(server),
        SUBNET_MASK: _four(given.mask),
        BROADCAST: _four(given.broadcast),
        LEASE_TIME: _four(given.seconds),
    }
    if given.gateway:
        options[ROUTER] = _four(given.gateway)
    if given.host_name:
        options[HOST_NAME] = given.host_name.encode()[:255]
    if given.dns:
        options[DNS_SERVERS] = b"".join(_four(one) for one in given.dns)
    if given.domain:
        options[DOMAIN_NAME] = given.domain.encode()[:255]
    if given.routes:
        options[CLASSLESS_ROUTES] = b"".join(_classless(network, hop) for network, hop in given.routes)[:255]
    options.update(extra)
    return _message(request, kind, given.address, server, tuple(options.items()))


def _message(request: Request, kind: int, address: int, server: int, options: tuple[tuple[int, bytes], ...]) -> bytes:
    client = request.client_address if kind == ACK else 0
    head = struct.pack("!BBBB4sHHIIII", 2, 1, 6, 0, request.transaction, 0, request.flags, client, address, server, 0)
    chaddr = request.raw[28:44]
    body = head + chaddr + bytes(192) + MAGIC + bytes((MESSAGE_TYPE, 1, kind))
    for code, value in options:
        body += bytes((code, len(value))) + value
    return (body + b"\xff").ljust(300, b"\0")


def _four(value: int) -> bytes:
    return value.to_bytes(4, "big")


def address_number(text: str) -> int:
    """An IPv4 address as an integer, 0 for anything else."""
    try:
        address = ip_address(text)
    except ValueError:
        return 0
    return int(address) if address.version == 4 else 0


def _classless(network: IPv4Network, hop: int) -> bytes:
    size = (network.prefixlen + 7) // 8
    return bytes((network.prefixlen,)) + network.network_address.packed[:size] + _four(hop)


def _routes(interface: VmInterface, subnet: Subnet) -> tuple[tuple[IPv4Network, int], ...]:
    """Host routes: the machine's own, else the subnet's; a route without a next hop goes to the gateway (RFC 3442)."""
    config = interface.config
    listed = (config.host_routes if config is not None else ()) or subnet.host_routes
    found = []
    for prefix, hop in listed:
        try:
            network = IPv4Network(prefix, strict=False)
        except ValueError:
            continue
        found.append((network, address_number(hop) or address_number(subnet.gateway)))
    return tuple(found)


def _options(interface: VmInterface, subnet: Subnet) -> dict[int, bytes]:
    """Options of the machine before the subnet's before the IPAM's; names or numbers."""
    found: dict[int, bytes] = {}
    own = interface.config.dhcp_options if interface.config is not None else ()
    for name, value in (*own, *subnet.dhcp_options, *subnet.ipam.dhcp_options):
        code = _BY_NAME.get(name) or (int(name) if name.isascii() and name.isdigit() else 0)
        if 0 < code < 255 and code not in found and (encoded := _encode(code, value)):
            found[code] = encoded
    return found


def _encode(code: int, value: str) -> bytes:
    if code in _ADDRESSES:
        try:
            return b"".join(IPv4Address(part).packed for part in value.replace(",", " ").split())[:252]
        except ValueError:
            return b""
    if code in _NUMBERS:
        number = int(value) if value.isascii() and value.isdigit() else -1
        return number.to_bytes(_NUMBERS[code], "big") if 0 <= number < 1 << 8 * _NUMBERS[code] else b""
    return value.encode()[:255]

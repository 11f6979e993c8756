"""Names: view names, the rule that makes a relative name absolute, reverse names and the reverse zones of a subnet.

Inside this room a name is bytes in lower case without the final dot; the root is ``b""``.
"""

from __future__ import annotations

import ipaddress
import re
from typing import Final

Address = ipaddress.IPv4Address | ipaddress.IPv6Address
Network = ipaddress.IPv4Network | ipaddress.IPv6Network

MAX_LABEL: Final = 63
MAX_NAME: Final = 253
"""Longest text form, final dot left out (RFC 1035 3.1: 255 bytes on the wire)."""

_SPECIAL = re.compile(r"[^A-Za-z0-9.-]")
_IN_ADDR = ".in-addr.arpa"
_IP6 = ".ip6.arpa"


def view_name(fq_name: str) -> str:
    """The view of a virtual DNS server: what stands in the TXT after ``view=`` (reference/dns.md 5.2)."""
    return _SPECIAL.sub("-", fq_name)


def has_special_characters(name: str) -> bool:
    """True when there is something else than letters, digits, dots and hyphens."""
    return _SPECIAL.search(name) is not None


def canonical(name: str | bytes) -> bytes:
    """Lower case, without the final dot."""
    raw = name.encode() if isinstance(name, str) else name
    return raw.removesuffix(b".").lower()


def is_name(name: bytes) -> bool:
    """True when the name fits on the wire: labels of 1 to 63 bytes, 253 in all; the root is a name."""
    if not name:
        return True
    return len(name) <= MAX_NAME and all(0 < len(label) <= MAX_LABEL for label in name.split(b"."))


def parent(name: bytes) -> bytes:
    """The name without its first label."""
    return name.partition(b".")[2]


def is_within(name: bytes, zone: bytes) -> bool:
    """True for the zone's own name and everything below it."""
    return name == zone or not zone or name.endswith(b"." + zone)


def qualify(name: str, domain: str) -> bytes:
    """The absolute name of a record.

    The domain is appended unless its text occurs anywhere in the name (reference/dns.md 6 and 13.5: ``example.com.au``
    counts as absolute in ``example.com``).
    """
    relative, zone = canonical(name), canonical(domain)
    if zone in relative:
        return relative
    return relative + b"." + zone if relative else zone


def qualify_data(data: str, domain: str) -> bytes:
    """The absolute form of a record's target: the domain is appended when there is no dot in it."""
    if "." in data:
        return canonical(data)
    return qualify(data, domain)


def is_reverse(name: bytes) -> bool:
    """True for names below in-addr.arpa and ip6.arpa."""
    return name.endswith((_IN_ADDR.encode(), _IP6.encode()))


def reverse_name(address: Address) -> bytes:
    """``3.0.0.10.in-addr.arpa`` and its IPv6 counterpart."""
    return address.reverse_pointer.encode()


def address_of(name: bytes) -> Address | None:
    """The address of a whole reverse name, or None."""
    text = name.decode("ascii", "replace")
    try:
        if text.endswith(_IN_ADDR):
            return ipaddress.IPv4Address(".".join(reversed(text.removesuffix(_IN_ADDR).split("."))))
        if text.endswith(_IP6):
            digits = text.removesuffix(_IP6).split(".")
            if len(digits) == 32 and all(len(digit) == 1 for digit in digits):
                return ipaddress.IPv6Address(int("".join(reversed(digits)), 16))
    except ValueError:
        return None
    return None


def reverse_zones(network: Network) -> tuple[bytes, ...]:
    """The reverse zones of a subnet (reference/dns.md 5.2).

    Whole octets (nibbles) of the prefix are kept; a prefix that ends inside one gives a zone per value of it: /22 gives
    4, /28 gives 16, an IPv6 /61 gives 8. A prefix of length 0 gives none.
    """
    bits = 8 if network.version == 4 else 4
    if network.prefixlen == 0:
        return ()
    unit = -(-network.prefixlen // bits)
    pieces = 4 if network.version == 4 else 32
    return tuple(
        reverse_name(subnet.network_address).split(b".", pieces - unit)[-1]
        for subnet in network.subnets(new_prefix=unit * bits)
    )

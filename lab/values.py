"""Values of a lab file that have a grammar of their own, each with a message that says what was expected."""

from __future__ import annotations

import re
from collections.abc import Callable
from ipaddress import AddressValueError, IPv4Address
from typing import Annotated

from pydantic import AfterValidator, Field

MAX_AS2, MAX_AS4 = 0xFFFF, 0xFFFFFFFF
MAX_MD5_BYTES = 80
MAX_DOMAIN = 253 - 64
"""What RFC 1035 leaves behind a label of 63 characters and its dot."""
MD5_REFUSED = frozenset(" \"'\\;{}#!`$")
"""What some router's configuration language gives a meaning to."""

_NAME = re.compile(r"[A-Za-z0-9]([A-Za-z0-9._-]{0,61}[A-Za-z0-9])?")
_DOMAIN = re.compile(r"([A-Za-z0-9]([A-Za-z0-9-]{0,61}[A-Za-z0-9])?\.)*[A-Za-z0-9]([A-Za-z0-9-]{0,61}[A-Za-z0-9])?")
_MAC = re.compile(r"[0-9a-f]{2}(:[0-9a-f]{2}){5}")


def _matches(pattern: re.Pattern[str], expected: str) -> Callable[[str], str]:
    def check(text: str) -> str:
        if pattern.fullmatch(text) is None:
            raise ValueError(f"expected {expected}")
        return text

    return check


def _pair(text: str, what: str) -> None:
    """`A:N`: a two-byte AS and 32 bits, or an IPv4 address or four-byte AS and 16 bits (RFC 4360, 4364, 5668)."""
    first, colon, second = text.rpartition(":")
    if not colon or not second.isascii() or not second.isdigit():
        raise ValueError(f"expected {what}")
    if first.isascii() and first.isdigit():
        limit = MAX_AS4 if int(first) <= MAX_AS2 else MAX_AS2
        valid = int(first) <= MAX_AS4 and int(second) <= limit
    else:
        try:
            IPv4Address(first)
        except AddressValueError as error:
            raise ValueError(f"expected {what}") from error
        valid = int(second) <= MAX_AS2
    if not valid:
        raise ValueError(f"a number is too large; expected {what}")


def route_target(text: str) -> str:
    """`target:64512:100`."""
    if not text.startswith("target:"):
        raise ValueError("expected a route target such as target:64512:100")
    _pair(text.removeprefix("target:"), "a route target such as target:64512:100")
    return text


def route_distinguisher(text: str) -> str:
    """`65001:1` or `10.255.1.1:1`."""
    _pair(text, "a route distinguisher such as 65001:1 or 10.255.1.1:1")
    return text


def md5_key(text: str) -> str:
    """A TCP MD5 key (RFC 2385) that means the same in every router's configuration language."""
    if not 1 <= len(text) <= MAX_MD5_BYTES or any(not "!" <= char <= "~" or char in MD5_REFUSED for char in text):
        refused = " ".join(sorted(MD5_REFUSED - {" "}))
        raise ValueError(f"expected 1 to {MAX_MD5_BYTES} printable ASCII characters without blanks and {refused}")
    return text


def domain(text: str) -> str:
    """A domain name, short enough for a machine's name in front of it."""
    if _DOMAIN.fullmatch(text) is None or len(text) > MAX_DOMAIN:
        raise ValueError(f"expected a domain name such as lab.example, of at most {MAX_DOMAIN} characters")
    return text


def mac_address(text: str) -> str:
    """A MAC that an interface can have."""
    if _MAC.fullmatch(text) is None:
        raise ValueError("expected a MAC such as 02:00:00:00:00:01, in lower case")
    first = int(text[:2], 16)
    if first & 1 or text == "00:00:00:00:00:00":
        raise ValueError("expected an interface's MAC: no group's, and not all zeros")
    return text


Integer = Annotated[int, Field(strict=True)]
Flag = Annotated[bool, Field(strict=True)]
Name = Annotated[str, AfterValidator(_matches(_NAME, "a name of letters, digits, '-', '_' and '.', at most 63"))]
Domain = Annotated[str, AfterValidator(domain)]
Mac = Annotated[str, AfterValidator(mac_address)]
RouteTarget = Annotated[str, AfterValidator(route_target)]
RouteDistinguisher = Annotated[str, AfterValidator(route_distinguisher)]
Md5Key = Annotated[str, AfterValidator(md5_key)]

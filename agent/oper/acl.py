"""Access lists: the rules configuration derives from policies and security groups, and the verdict on one packet.

reference/config.md 5.4, 5.5: an address is a subnet, a network's name, a security group's number or `any`.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from enum import Enum

from .prefix import Prefix

ANY_SECURITY_GROUP = -1


class Verdict(Enum):
    PASS = "pass"
    DENY = "deny"


@dataclass(frozen=True, slots=True)
class Endpoint:
    """One end of a packet as access lists see it."""

    version: int
    address: int
    port: int
    vns: tuple[str, ...] = ()
    security_groups: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True)
class AddressMatch:
    """Everything empty matches nothing in particular, that is: any address."""

    subnets: tuple[Prefix, ...] = ()
    vn: str = ""
    security_group: int | None = None

    def matches(self, end: Endpoint) -> bool:
        if self.subnets and not any(s.version == end.version and s.covers(end.address) for s in self.subnets):
            return False
        if self.vn and self.vn != "any" and self.vn not in end.vns:
            return False
        group = self.security_group
        return group is None or group == ANY_SECURITY_GROUP or group in end.security_groups


@dataclass(frozen=True, slots=True)
class Rule:
    """`protocol` -1 is any; ports are inclusive ranges, empty for any; `ethertype` 0 is both."""

    uuid: str
    protocol: int
    source: AddressMatch
    source_ports: tuple[tuple[int, int], ...]
    destination: AddressMatch
    destination_ports: tuple[tuple[int, int], ...]
    verdict: Verdict
    version: int = 0

    def matches(self, protocol: int, source: Endpoint, destination: Endpoint) -> bool:
        if self.version and self.version != source.version:
            return False
        if self.protocol not in (-1, protocol):
            return False
        if protocol in _WITH_PORTS and not (
            _in(source.port, self.source_ports) and _in(destination.port, self.destination_ports)
        ):
            return False
        return self.source.matches(source) and self.destination.matches(destination)


_WITH_PORTS = frozenset({6, 17, 132})


def _in(port: int, ranges: tuple[tuple[int, int], ...]) -> bool:
    return not ranges or any(low <= port <= high for low, high in ranges)


@dataclass(frozen=True, slots=True)
class AccessList:
    name: str
    uuid: str
    rules: tuple[Rule, ...]


@dataclass(frozen=True, slots=True)
class Judgement:
    """`rule` is the uuid that decided; empty for the implicit rules."""

    verdict: Verdict
    rule: str = ""


PASS = Judgement(Verdict.PASS)
IMPLICIT_DENY = Judgement(Verdict.DENY)


def judge(lists: Iterable[AccessList], protocol: int, source: Endpoint, destination: Endpoint) -> Judgement:
    """First matching rule of all lists in order. No list at all passes; lists without a match deny."""
    seen = False
    for access_list in lists:
        seen = True
        for rule in access_list.rules:
            if rule.matches(protocol, source, destination):
                return Judgement(rule.verdict, rule.uuid)
    return IMPLICIT_DENY if seen else PASS

"""Capabilities of OPEN: RFC 5492 and IANA's registry; what a control node sends is in reference/bgp.md 1.4.

Four are understood (multiprotocol, 4-octet AS, graceful restart, long-lived graceful restart); every other one is kept
as bytes and printed by name.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import IntEnum

from .family import Family, family_text


class CapabilityCode(IntEnum):
    """The understood ones and those with a printed name."""

    MULTIPROTOCOL = 1
    ROUTE_REFRESH = 2
    OUTBOUND_ROUTE_FILTERING = 3
    EXTENDED_NEXT_HOP = 5
    EXTENDED_MESSAGE = 6
    BGPSEC = 7
    MULTIPLE_LABELS = 8
    ROLE = 9
    GRACEFUL_RESTART = 64
    FOUR_OCTET_AS = 65
    DYNAMIC = 67
    MULTISESSION = 68
    ADD_PATH = 69
    ENHANCED_ROUTE_REFRESH = 70
    LONG_LIVED_GRACEFUL_RESTART = 71
    ROUTING_POLICY_DISTRIBUTION = 72
    FQDN = 73
    BFD_STRICT = 74
    SOFTWARE_VERSION = 75
    PATHS_LIMIT = 76
    ROUTE_REFRESH_CISCO = 128


NAMES: Mapping[int, str] = {code.value: code.name.lower().replace("_", "-") for code in CapabilityCode}


def _write(code: int, value: bytes) -> bytes:
    return bytes((code, len(value))) + value


@dataclass(frozen=True, slots=True)
class Multiprotocol:
    """RFC 4760 section 8: one AFI/SAFI, ours or not."""

    afi: int
    safi: int

    code = CapabilityCode.MULTIPROTOCOL

    @classmethod
    def of(cls, family: Family) -> Multiprotocol:
        return cls(family.afi, family.safi)

    @property
    def family(self) -> Family | None:
        return Family.from_wire(self.afi, self.safi)

    def encode(self) -> bytes:
        return _write(self.code, self.afi.to_bytes(2, "big") + bytes((0, self.safi)))

    @property
    def text(self) -> str:
        return f"multiprotocol {family_text(self.afi, self.safi)}"


@dataclass(frozen=True, slots=True)
class FourOctetAs:
    """RFC 6793 section 3."""

    asn: int

    code = CapabilityCode.FOUR_OCTET_AS

    def encode(self) -> bytes:
        return _write(self.code, self.asn.to_bytes(4, "big"))

    @property
    def text(self) -> str:
        return f"four-octet-as {self.asn}"


@dataclass(frozen=True, slots=True)
class RestartFamily:
    """One family of a graceful restart capability: was its forwarding state preserved (F bit)?"""

    afi: int
    safi: int
    forwarding: bool

    @classmethod
    def of(cls, family: Family, forwarding: bool = True) -> RestartFamily:
        return cls(family.afi, family.safi, forwarding)

    @property
    def family(self) -> Family | None:
        return Family.from_wire(self.afi, self.safi)

    @property
    def text(self) -> str:
        return f"{family_text(self.afi, self.safi)}{'+F' if self.forwarding else ''}"


@dataclass(frozen=True, slots=True)
class GracefulRestart:
    """RFC 4724 section 3, with the N bit of RFC 8538. `time` is in seconds, 12 bits."""

    time: int
    families: tuple[RestartFamily, ...] = ()
    restarting: bool = False
    notification: bool = False

    code = CapabilityCode.GRACEFUL_RESTART

    def encode(self) -> bytes:
        head = self.time | self.restarting << 15 | self.notification << 14
        families = b"".join(
            family.afi.to_bytes(2, "big") + bytes((family.safi, 0x80 if family.forwarding else 0))
            for family in self.families
        )
        return _write(self.code, head.to_bytes(2, "big") + families)

    @property
    def text(self) -> str:
        flags = f"{' R' if self.restarting else ''}{' N' if self.notification else ''}"
        return " ".join([f"graceful-restart{flags} {self.time} s", *(family.text for family in self.families)])


@dataclass(frozen=True, slots=True)
class LongLivedFamily:
    """One family of a long-lived graceful restart capability; `time` is in seconds, 24 bits."""

    afi: int
    safi: int
    forwarding: bool
    time: int

    @classmethod
    def of(cls, family: Family, time: int, forwarding: bool = True) -> LongLivedFamily:
        return cls(family.afi, family.safi, forwarding, time)

    @property
    def family(self) -> Family | None:
        return Family.from_wire(self.afi, self.safi)

    @property
    def text(self) -> str:
        return f"{family_text(self.afi, self.safi)}{'+F' if self.forwarding else ''} {self.time} s"


@dataclass(frozen=True, slots=True)
class LongLivedGracefulRestart:
    """RFC 9494 section 3.1."""

    families: tuple[LongLivedFamily, ...]

    code = CapabilityCode.LONG_LIVED_GRACEFUL_RESTART

    def encode(self) -> bytes:
        return _write(
            self.code,
            b"".join(
                family.afi.to_bytes(2, "big")
                + bytes((family.safi, 0x80 if family.forwarding else 0))
                + family.time.to_bytes(3, "big")
                for family in self.families
            ),
        )

    @property
    def text(self) -> str:
        return f"long-lived-graceful-restart {', '.join(family.text for family in self.families)}".rstrip()


@dataclass(frozen=True, slots=True)
class UnknownCapability:
    """Any other capability: its bytes, and its name where IANA gave it one."""

    code: int
    value: bytes = b""

    def encode(self) -> bytes:
        return _write(self.code, self.value)

    @property
    def text(self) -> str:
        name = NAMES.get(self.code, f"capability-{self.code}")
        detail = _DETAILS[self.code](self.value) if self.code in _DETAILS else self.value.hex()
        return f"{name} {detail}".rstrip()


Capability = Multiprotocol | FourOctetAs | GracefulRestart | LongLivedGracefulRestart | UnknownCapability


# --- printed details of capabilities that are only shown -----------------------------------------------------------


def _cut(value: bytes, size: int) -> Iterable[bytes]:
    return (value[i : i + size] for i in range(0, len(value) - size + 1, size))


def _extended_next_hop_text(value: bytes) -> str:
    """RFC 8950: AFI, SAFI (2 bytes), next-hop AFI."""
    return ", ".join(
        f"{family_text(int.from_bytes(e[:2], 'big'), int.from_bytes(e[2:4], 'big'))} via afi {e[4] << 8 | e[5]}"
        for e in _cut(value, 6)
    )


def _add_path_text(value: bytes) -> str:
    """RFC 7911: AFI, SAFI, 1 receive | 2 send."""
    modes = {1: "receive", 2: "send", 3: "both"}
    return ", ".join(f"{family_text(e[0] << 8 | e[1], e[2])} {modes.get(e[3], e[3])}" for e in _cut(value, 4))


def _role_text(value: bytes) -> str:
    """RFC 9234."""
    roles = ("provider", "route-server", "route-server-client", "customer", "peer")
    return roles[value[0]] if len(value) == 1 and value[0] < len(roles) else value.hex()


def _fqdn_text(value: bytes) -> str:
    """draft-walton-bgp-hostname-capability: two length-prefixed strings."""
    names: list[str] = []
    while value and len(names) < 2:
        names.append(value[1 : 1 + value[0]].decode("utf-8", "replace"))
        value = value[1 + value[0] :]
    return ".".join(name for name in names if name)


def _version_text(value: bytes) -> str:
    """draft-ietf-idr-bgp-version: one length-prefixed string."""
    return value[1 : 1 + value[0]].decode("utf-8", "replace") if value else ""


_DETAILS = {
    CapabilityCode.EXTENDED_NEXT_HOP.value: _extended_next_hop_text,
    CapabilityCode.ADD_PATH.value: _add_path_text,
    CapabilityCode.ROLE.value: _role_text,
    CapabilityCode.FQDN.value: _fqdn_text,
    CapabilityCode.SOFTWARE_VERSION.value: _version_text,
}


# --- reading -------------------------------------------------------------------------------------------------------


def _read_one(code: int, value: bytes) -> Capability:
    """A known code with a length it cannot have is kept as bytes, like an unknown one."""
    size = len(value)
    if code == CapabilityCode.MULTIPROTOCOL and size == 4:
        return Multiprotocol(value[0] << 8 | value[1], value[3])
    if code == CapabilityCode.FOUR_OCTET_AS and size == 4:
        return FourOctetAs(int.from_bytes(value, "big"))
    if code == CapabilityCode.GRACEFUL_RESTART and size >= 2 and size % 4 == 2:
        head = value[0] << 8 | value[1]
        families = tuple(RestartFamily(e[0] << 8 | e[1], e[2], bool(e[3] & 0x80)) for e in _cut(value[2:], 4))
        return GracefulRestart(head & 0xFFF, families, bool(head & 0x8000), bool(head & 0x4000))
    if code == CapabilityCode.LONG_LIVED_GRACEFUL_RESTART and size % 7 == 0:
        return LongLivedGracefulRestart(
            tuple(
                LongLivedFamily(e[0] << 8 | e[1], e[2], bool(e[3] & 0x80), int.from_bytes(e[4:7], "big"))
                for e in _cut(value, 7)
            )
        )
    return UnknownCapability(code, value)


def parse(data: bytes) -> list[Capability]:
    """The capabilities in the value of one optional parameter of type 2. ValueError when one overruns it."""
    capabilities: list[Capability] = []
    offset, end = 0, len(data)
    while offset < end:
        if offset + 2 > end or offset + 2 + data[offset + 1] > end:
            raise ValueError(f"the capability at byte {offset} needs more than the {end} bytes of its parameter")
        after = offset + 2 + data[offset + 1]
        capabilities.append(_read_one(data[offset], data[offset + 2 : after]))
        offset = after
    return capabilities


def text(capabilities: Iterable[Capability]) -> str:
    """All capabilities on one line."""
    return "; ".join(capability.text for capability in capabilities)

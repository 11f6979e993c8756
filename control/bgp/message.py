"""The five BGP messages: RFC 4271 section 4, RFC 2918; faults as in reference/bgp.md 1.6."""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum
from typing import Final

from contrail_emulator.base.behaviour import CONTRAIL, Behaviour

from . import capability
from .attributes.as_path import AS_TRANS
from .capability import Capability, FourOctetAs, GracefulRestart, LongLivedGracefulRestart, Multiprotocol
from .family import Family, family_text
from .notification import Cease, Code, Header, MessageError, OpenError, code_text

__all__ = [
    "HEADER_SIZE",
    "MARKER",
    "MAX_SIZE",
    "Keepalive",
    "Message",
    "MessageError",
    "MessageType",
    "Notification",
    "Open",
    "RouteRefresh",
    "Update",
    "decode",
    "frame",
    "read_header",
]

MARKER: Final = b"\xff" * 16
HEADER_SIZE: Final = 19
MAX_SIZE: Final = 4096
VERSION: Final = 4

_CAPABILITIES: Final = 2
"""The only optional parameter in use."""
_MAX_CAPABILITIES: Final = 253


class MessageType(IntEnum):
    OPEN = 1
    UPDATE = 2
    NOTIFICATION = 3
    KEEPALIVE = 4
    ROUTE_REFRESH = 5


_SMALLEST = {
    MessageType.OPEN: 29,
    MessageType.UPDATE: 23,
    MessageType.NOTIFICATION: 21,
    MessageType.KEEPALIVE: 19,
    MessageType.ROUTE_REFRESH: 23,
}


def frame(kind: int, body: bytes) -> bytes:
    """A whole message. ValueError above 4096 bytes."""
    size = HEADER_SIZE + len(body)
    if size > MAX_SIZE:
        raise ValueError(f"a message of {size} bytes, {MAX_SIZE} are allowed")
    return MARKER + bytes((size >> 8, size & 0xFF, kind)) + body


def read_header(data: bytes | bytearray | memoryview, behaviour: Behaviour = CONTRAIL) -> tuple[int, int]:
    """(length of the whole message, type) of its first 19 bytes. Raises MessageError 1/1, 1/2 or 1/3."""
    if data[:16] != MARKER:
        raise MessageError(Code.HEADER, Header.NOT_SYNCHRONIZED, b"", "the marker is not all ones")
    length, kind = data[16] << 8 | data[17], data[18]
    if not HEADER_SIZE <= length <= MAX_SIZE:
        raise MessageError(Code.HEADER, Header.BAD_LENGTH, bytes(data[16:18]), f"length {length}")
    if kind not in _SMALLEST or (kind == MessageType.ROUTE_REFRESH and behaviour.refuse_route_refresh):
        raise MessageError(Code.HEADER, Header.BAD_TYPE, bytes((kind,)), f"type {kind}")
    if length < _SMALLEST[MessageType(kind)] or (kind == MessageType.KEEPALIVE and length != HEADER_SIZE):
        raise MessageError(Code.HEADER, Header.BAD_LENGTH, bytes(data[16:18]), f"length {length} of type {kind}")
    return length, kind


@dataclass(frozen=True, slots=True)
class Open:
    """RFC 4271 4.2. `my_as` is the 2-byte field; `asn` the number that counts. Addresses are integers."""

    my_as: int
    hold_time: int
    identifier: int
    capabilities: tuple[Capability, ...] = ()
    version: int = VERSION

    type = MessageType.OPEN

    @classmethod
    def make(cls, asn: int, hold_time: int, identifier: int, capabilities: tuple[Capability, ...]) -> Open:
        """With AS_TRANS in the 2-byte field when the AS needs 4 bytes (RFC 6793 4.2.3)."""
        return cls(asn if asn <= 0xFFFF else AS_TRANS, hold_time, identifier, capabilities)

    @property
    def asn(self) -> int:
        """The AS number of capability 65, else the 2-byte field."""
        return next((c.asn for c in self.capabilities if isinstance(c, FourOctetAs)), self.my_as)

    @property
    def four_octet_as(self) -> int | None:
        """The value of capability 65, None when it was not sent."""
        return next((c.asn for c in self.capabilities if isinstance(c, FourOctetAs)), None)

    @property
    def families(self) -> tuple[Family, ...]:
        """The families of the multiprotocol capabilities that are ours, in their order."""
        found = (c.family for c in self.capabilities if isinstance(c, Multiprotocol))
        return tuple(dict.fromkeys(family for family in found if family is not None))

    @property
    def graceful_restart(self) -> GracefulRestart | None:
        """The last such capability: RFC 4724 3 ignores all but the last."""
        found = [c for c in self.capabilities if isinstance(c, GracefulRestart)]
        return found[-1] if found else None

    @property
    def long_lived_graceful_restart(self) -> LongLivedGracefulRestart | None:
        found = [c for c in self.capabilities if isinstance(c, LongLivedGracefulRestart)]
        return found[-1] if found else None

    def encode(self) -> bytes:
        """One optional parameter with all capabilities, or none. ValueError when they need more than 253 bytes."""
        capabilities = b"".join(c.encode() for c in self.capabilities)
        if len(capabilities) > _MAX_CAPABILITIES:
            raise ValueError(f"{len(capabilities)} bytes of capabilities, {_MAX_CAPABILITIES} are allowed")
        parameters = bytes((_CAPABILITIES, len(capabilities))) + capabilities if capabilities else b""
        fixed = bytes((self.version,)) + self.my_as.to_bytes(2, "big") + self.hold_time.to_bytes(2, "big")
        body = fixed + self.identifier.to_bytes(4, "big") + bytes((len(parameters),)) + parameters
        return frame(MessageType.OPEN, body)

    @classmethod
    def read(cls, body: bytes, behaviour: Behaviour = CONTRAIL) -> Open:
        """Raises MessageError: version 2/1, hold time of 1 or 2 s 2/6, other parameters 2/4, overruns 2/0."""
        version, my_as, hold_time = body[0], body[1] << 8 | body[2], body[3] << 8 | body[4]
        if version != VERSION:
            ours = VERSION.to_bytes(1 if behaviour.short_open_fault_data else 2, "big")
            raise MessageError(Code.OPEN, OpenError.UNSUPPORTED_VERSION, ours, f"version {version}")
        if hold_time in (1, 2):
            raise MessageError(Code.OPEN, OpenError.UNACCEPTABLE_HOLD_TIME, b"", f"hold time {hold_time}")
        if len(body) != 10 + body[9]:
            raise MessageError(Code.OPEN, OpenError.UNSPECIFIC, b"", f"{body[9]} bytes of parameters announced")
        capabilities: list[Capability] = []
        offset, end = 10, len(body)
        while offset < end:
            after = offset + 2 + body[offset + 1] if offset + 1 < end else end + 1
            if after > end:
                raise MessageError(Code.OPEN, OpenError.UNSPECIFIC, b"", "an optional parameter overruns the message")
            if body[offset] != _CAPABILITIES:
                raise MessageError(
                    Code.OPEN, OpenError.UNSUPPORTED_PARAMETER, b"", f"optional parameter of type {body[offset]}"
                )
            try:
                capabilities += capability.parse(body[offset + 2 : after])
            except ValueError as fault:
                raise MessageError(Code.OPEN, OpenError.UNSPECIFIC, b"", str(fault)) from None
            offset = after
        return cls(my_as, hold_time, int.from_bytes(body[5:9], "big"), tuple(capabilities), version)


@dataclass(frozen=True, slots=True)
class Update:
    """An UPDATE whose body stays bytes: `update.read` understands it."""

    body: bytes

    type = MessageType.UPDATE

    def encode(self) -> bytes:
        return frame(MessageType.UPDATE, self.body)


@dataclass(frozen=True, slots=True)
class Notification:
    """RFC 4271 4.5."""

    code: int
    subcode: int
    data: bytes = b""

    type = MessageType.NOTIFICATION

    @classmethod
    def of(cls, error: MessageError) -> Notification:
        """What to answer a fault with."""
        return cls(error.code, error.subcode, error.data)

    def encode(self) -> bytes:
        return frame(MessageType.NOTIFICATION, bytes((self.code, self.subcode)) + self.data)

    @property
    def communication(self) -> str:
        """RFC 9003: the operator's text in Cease/2 and Cease/4, empty when there is none."""
        if self.code != Code.CEASE or self.subcode not in (Cease.ADMIN_SHUTDOWN, Cease.ADMIN_RESET) or not self.data:
            return ""
        return self.data[1 : 1 + self.data[0]].decode("utf-8", "replace")

    @property
    def inner(self) -> Notification | None:
        """RFC 8538 section 3.1: the NOTIFICATION inside a hard reset."""
        if self.code == Code.CEASE and self.subcode == Cease.HARD_RESET and len(self.data) >= 2:
            return Notification(self.data[0], self.data[1], self.data[2:])
        return None

    @property
    def text(self) -> str:
        detail = self.communication or self.data.hex()
        return f"{code_text(self.code, self.subcode)}{f' ({detail})' if detail else ''}"


@dataclass(frozen=True, slots=True)
class Keepalive:
    type = MessageType.KEEPALIVE

    def encode(self) -> bytes:
        return frame(MessageType.KEEPALIVE, b"")


@dataclass(frozen=True, slots=True)
class RouteRefresh:
    """RFC 2918; `subtype` is 0, or 1 and 2 for begin and end of RFC 7313. ORF entries behind it are kept as bytes."""

    afi: int
    safi: int
    subtype: int = 0
    rest: bytes = b""

    type = MessageType.ROUTE_REFRESH

    @property
    def family(self) -> Family | None:
        return Family.from_wire(self.afi, self.safi)

    def encode(self) -> bytes:
        body = self.afi.to_bytes(2, "big") + bytes((self.subtype, self.safi)) + self.rest
        return frame(MessageType.ROUTE_REFRESH, body)

    @property
    def text(self) -> str:
        return f"route-refresh {family_text(self.afi, self.safi)} {self.subtype}"


Message = Open | Update | Notification | Keepalive | RouteRefresh


def decode(type: int, body: bytes, behaviour: Behaviour = CONTRAIL) -> Message:
    """The message of a type and of what follows the header. Raises MessageError."""
    header = MARKER + (HEADER_SIZE + len(body)).to_bytes(2, "big") + bytes((type & 0xFF,))
    read_header(header, behaviour)
    if type == MessageType.UPDATE:
        return Update(body)
    if type == MessageType.KEEPALIVE:
        return Keepalive()
    if type == MessageType.OPEN:
        return Open.read(body, behaviour)
    if type == MessageType.NOTIFICATION:
        return Notification(body[0], body[1], body[2:])
    return RouteRefresh(body[0] << 8 | body[1], body[3], body[2], body[4:])

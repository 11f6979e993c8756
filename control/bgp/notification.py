"""NOTIFICATION codes and the error that carries one: RFC 4271 section 6, reference/bgp.md 1.6."""

from __future__ import annotations

from collections.abc import Mapping
from enum import IntEnum

MAX_DATA = 4096 - 21
"""How many data bytes a NOTIFICATION has room for."""


class Code(IntEnum):
    """Error codes."""

    HEADER = 1
    OPEN = 2
    UPDATE = 3
    HOLD_TIMER = 4
    STATE_MACHINE = 5
    CEASE = 6
    ROUTE_REFRESH = 7
    SEND_HOLD_TIMER = 8


class Header(IntEnum):
    """Subcodes of code 1."""

    NOT_SYNCHRONIZED = 1
    BAD_LENGTH = 2
    BAD_TYPE = 3


class OpenError(IntEnum):
    """Subcodes of code 2."""

    UNSPECIFIC = 0
    UNSUPPORTED_VERSION = 1
    BAD_PEER_AS = 2
    BAD_IDENTIFIER = 3
    UNSUPPORTED_PARAMETER = 4
    UNACCEPTABLE_HOLD_TIME = 6
    UNSUPPORTED_CAPABILITY = 7


class UpdateError(IntEnum):
    """Subcodes of code 3."""

    MALFORMED_ATTRIBUTES = 1
    UNKNOWN_WELL_KNOWN = 2
    MISSING_WELL_KNOWN = 3
    ATTRIBUTE_FLAGS = 4
    ATTRIBUTE_LENGTH = 5
    INVALID_ORIGIN = 6
    INVALID_NEXT_HOP = 8
    OPTIONAL_ATTRIBUTE = 9
    INVALID_NETWORK = 10
    MALFORMED_AS_PATH = 11


class Cease(IntEnum):
    """Subcodes of code 6 (RFC 4486, RFC 8538)."""

    UNSPECIFIC = 0
    MAX_PREFIXES = 1
    ADMIN_SHUTDOWN = 2
    DECONFIGURED = 3
    ADMIN_RESET = 4
    REJECTED = 5
    CONFIG_CHANGE = 6
    COLLISION = 7
    OUT_OF_RESOURCES = 8
    HARD_RESET = 9
    BFD_DOWN = 10


CODE_TEXT: Mapping[int, str] = {
    Code.HEADER: "message header error",
    Code.OPEN: "OPEN message error",
    Code.UPDATE: "UPDATE message error",
    Code.HOLD_TIMER: "hold timer expired",
    Code.STATE_MACHINE: "finite state machine error",
    Code.CEASE: "cease",
    Code.ROUTE_REFRESH: "ROUTE-REFRESH message error",
    Code.SEND_HOLD_TIMER: "send hold timer expired",
}

SUBCODE_TEXT: Mapping[tuple[int, int], str] = {
    (1, 1): "connection not synchronized",
    (1, 2): "bad message length",
    (1, 3): "bad message type",
    (2, 1): "unsupported version number",
    (2, 2): "bad peer AS",
    (2, 3): "bad BGP identifier",
    (2, 4): "unsupported optional parameter",
    (2, 6): "unacceptable hold time",
    (2, 7): "unsupported capability",
    (3, 1): "malformed attribute list",
    (3, 2): "unrecognized well-known attribute",
    (3, 3): "missing well-known attribute",
    (3, 4): "attribute flags error",
    (3, 5): "attribute length error",
    (3, 6): "invalid ORIGIN attribute",
    (3, 8): "invalid NEXT_HOP attribute",
    (3, 9): "optional attribute error",
    (3, 10): "invalid network field",
    (3, 11): "malformed AS_PATH",
    (5, 1): "unexpected message in OpenSent",
    (5, 2): "unexpected message in OpenConfirm",
    (5, 3): "unexpected message in Established",
    (6, 1): "maximum number of prefixes reached",
    (6, 2): "administrative shutdown",
    (6, 3): "peer de-configured",
    (6, 4): "administrative reset",
    (6, 5): "connection rejected",
    (6, 6): "other configuration change",
    (6, 7): "connection collision resolution",
    (6, 8): "out of resources",
    (6, 9): "hard reset",
    (6, 10): "BFD down",
    (7, 1): "invalid message length",
}


def code_text(code: int, subcode: int) -> str:
    """`3/5 UPDATE message error: attribute length error`."""
    name = CODE_TEXT.get(code, "unknown error")
    detail = SUBCODE_TEXT.get((code, subcode))
    return f"{code}/{subcode} {name}: {detail}" if detail else f"{code}/{subcode} {name}"


class MessageError(Exception):
    """What a peer sent ends the session. Code, subcode and data are those of the NOTIFICATION to answer with."""

    def __init__(self, code: int, subcode: int, data: bytes = b"", reason: str = "") -> None:
        super().__init__(f"{code_text(code, subcode)}{': ' if reason else ''}{reason}")
        self.code = int(code)
        self.subcode = int(subcode)
        self.data = data[:MAX_DATA]
        self.reason = reason

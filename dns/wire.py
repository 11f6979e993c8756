"""DNS messages: what a query may look like, and how a reply is written (RFC 1035, RFC 2136, RFC 6891).

twisted.names does the coding; what it lets pass (cut-off sections, labels and names too long to write again) is refused
here, and compression never points beyond the 14 bits a pointer has.
"""

from __future__ import annotations

import struct
from collections.abc import Sequence
from dataclasses import dataclass
from io import BytesIO
from typing import Any, Final

from twisted.names import dns

from .names import is_name
from .resolver import Reply, Served

HEADER: Final = struct.Struct("!H2B4H")
UDP_LIMIT: Final = 512
EDNS_LIMIT: Final = 1232
"""What we say we take over UDP, and the most we send (DNS flag day 2020)."""
TCP_LIMIT: Final = 0xFFFF
BAD_VERSION: Final = 16

_POINTER_LIMIT = 0x3FFF
_DECODE_ERRORS = (EOFError, ValueError, struct.error, IndexError, KeyError, TypeError, AssertionError, OverflowError)


@dataclass(slots=True)
class Request:
    """A message that deserves an answer. ``fault`` is the rcode of what makes no sense, 0 for a good one.

    ``view`` is the text after ``view=`` in the last TXT of the additional section, empty when that TXT says something
    else, None without a TXT. ``limit`` is what the sender takes over UDP.
    """

    id: int
    opcode: int = dns.OP_QUERY
    recursion: bool = False
    checking_disabled: bool = False
    question: Any = None
    view: str | None = None
    edns: bool = False
    limit: int = UDP_LIMIT
    fault: int = dns.OK


def read(data: bytes) -> Request | None:
    """The request in a message; None for what must not be answered: less than a header, or a response."""
    if len(data) < HEADER.size:
        return None
    number, flags, _, *counts = HEADER.unpack_from(data)
    if flags & 0x80:
        return None
    request = Request(number, opcode=flags >> 3 & 0xF, recursion=bool(flags & 1))
    try:
        if counts[0] == 1:
            request.question = _question(data)
        if request.opcode == dns.OP_UPDATE and request.question is not None and request.question.type != dns.SOA:
            request.question = None  # RFC 2136 3.1.1: the zone section names a zone by its SOA
        if request.question is None:
            request.fault = dns.EFORMAT
        elif request.opcode == dns.OP_QUERY:
            _read_query(request, data, counts)
    except _DECODE_ERRORS:
        request.fault = dns.EFORMAT
    return request


def _question(data: bytes) -> Any:
    """The question, or the zone of an UPDATE; None when we would write it otherwise than it came.

    That is so for labels with a dot inside, for what is too long, and for pointers, which have nothing to point to yet.
    """
    stream = BytesIO(data)
    stream.seek(HEADER.size)
    question: Any = dns.Query()
    question.decode(stream)
    if not is_name(question.name.name):
        return None
    again = BytesIO()
    question.encode(again)
    return question if again.getvalue() == data[HEADER.size : stream.tell()] else None


def _read_query(request: Request, data: bytes, counts: list[int]) -> None:
    message: Any = dns.Message()
    message.fromStr(data)
    request.checking_disabled = bool(message.checkingDisabled)
    found = (message.queries, message.answers, message.authority, message.additional)
    if [len(section) for section in found] != counts:  # it ends in the middle of a section
        request.fault = dns.EFORMAT
        return
    for record in message.additional:
        if record.type == dns.OPT:
            if request.edns or record.name.name:
                request.fault = dns.EFORMAT
                return
            request.edns = True
            request.limit = max(UDP_LIMIT, min(record.cls, EDNS_LIMIT))
            if record.ttl >> 16 & 0xFF:
                request.fault = BAD_VERSION
        elif record.type == dns.TXT:
            request.view = _view(record.payload.data)


def _view(strings: Sequence[bytes]) -> str:
    """The view a TXT names: one string ``view=<name>``; what is anything else matches no view."""
    if len(strings) != 1 or not strings[0].startswith(b"view="):
        return ""
    return strings[0][5:].decode("utf-8", "replace")


def write(request: Request, reply: Reply, limit: int) -> bytes:
    """The response, of ``limit`` bytes at most: what does not fit goes as TC with the question alone.

    The additional section is left out first, silently: it is a courtesy.
    """
    for additional in (reply.additional, []):
        data = _encode(request, reply, reply.answers, reply.authority, additional)
        if len(data) <= limit:
            return data
    return _encode(request, reply, [], [], [], truncated=True)


def _encode(
    request: Request,
    reply: Reply,
    answers: Sequence[Served],
    authority: Sequence[Served],
    additional: Sequence[Served],
    truncated: bool = False,
) -> bytes:
    body = BytesIO()
    compression = _Compression()
    if request.question is not None:
        request.question.encode(body, compression)
    for owner, record in (*answers, *authority, *additional):
        header = _header(owner, record.type, dns.IN, record.ttl, record.payload)
        header.encode(body, compression)
    if request.edns:
        _header(b"", dns.OPT, EDNS_LIMIT, reply.rcode >> 4 << 24, _unknown(b"")).encode(body, None)
    flags = 0x80 | (request.opcode & 0xF) << 3 | reply.authoritative << 2 | truncated << 1 | request.recursion
    more = 0x80 | request.checking_disabled << 4 | reply.rcode & 0xF
    counts = (
        int(request.question is not None),
        len(answers),
        len(authority),
        len(additional) + request.edns,
    )
    return HEADER.pack(request.id, flags, more, *counts) + body.getvalue()


class _Compression(dict[bytes, int]):
    """Names already written, by their offset; none beyond what a pointer can reach."""

    def __setitem__(self, name: bytes, offset: int) -> None:
        if offset <= _POINTER_LIMIT:
            super().__setitem__(name, offset)


_header: Any = dns.RRHeader
_unknown: Any = dns.UnknownRecord

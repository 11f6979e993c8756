"""DNS messages as bytes, as far as a relay must look into them (RFC 1035 4.1). Never raises anything but DnsError."""

from __future__ import annotations

import re
from typing import NamedTuple

HEADER = 12
QR, AA, TC, RD, RA, AD, CD = 0x8000, 0x0400, 0x0200, 0x0100, 0x0080, 0x0020, 0x0010
QUERY, UPDATE = 0, 5
NOERROR, FORMERR, SERVFAIL, NXDOMAIN, NOTIMP, REFUSED, NOTAUTH = 0, 1, 2, 3, 4, 5, 9
TYPE_NS, TYPE_TXT, CLASS_IN = 2, 16, 1
_MAX_JUMPS = 32
_UNSAFE = re.compile(r"[^A-Za-z0-9.-]")
_NAMES_IN_DATA = {2: 0, 5: 0, 12: 0, 15: 2, 39: 0}
_SOA = 6


class DnsError(ValueError):
    """The bytes are no DNS message."""


class Question(NamedTuple):
    name: tuple[bytes, ...]
    type: int
    dns_class: int


class Message(NamedTuple):
    """The header and the questions; `end` is where the questions end."""

    id: int
    flags: int
    questions: tuple[Question, ...]
    counts: tuple[int, int, int]
    end: int

    @property
    def opcode(self) -> int:
        return self.flags >> 11 & 15

    @property
    def rcode(self) -> int:
        return self.flags & 15

    @property
    def is_response(self) -> bool:
        return bool(self.flags & QR)


def view_name(virtual_dns: str) -> str:
    """The name of a virtual DNS server as its view is called.

    What is neither letter, digit, dot nor dash becomes `-`.
    """
    return _UNSAFE.sub("-", virtual_dns)


def read_name(data: bytes, offset: int) -> tuple[tuple[bytes, ...], int]:
    """The labels at `offset`, pointers followed, and where the name ends. Raises DnsError."""
    labels: list[bytes] = []
    end, jumps, total = -1, 0, 0
    while True:
        if offset >= len(data):
            raise DnsError("a name runs past the end")
        size = data[offset]
        if size >= 0xC0:
            if offset + 2 > len(data):
                raise DnsError("half a pointer")
            if end < 0:
                end = offset + 2
            jumps += 1
            if jumps > _MAX_JUMPS:
                raise DnsError("pointers in a circle")
            offset = int.from_bytes(data[offset : offset + 2], "big") & 0x3FFF
            continue
        if size >= 64:
            raise DnsError("an unknown kind of label")
        if size == 0:
            return tuple(labels), end if end >= 0 else offset + 1
        label = data[offset + 1 : offset + 1 + size]
        total += size + 1
        if len(label) != size or total > 255:
            raise DnsError("a bad label")
        labels.append(label)
        offset += 1 + size


def write_name(labels: tuple[bytes, ...]) -> bytes:
    return b"".join(bytes((len(label),)) + label for label in labels) + b"\0"


def labels(text: str) -> tuple[bytes, ...]:
    """The labels of a dotted name."""
    return tuple(part.encode()[:63] for part in text.split(".") if part)


def read(data: bytes) -> Message:
    """Raises DnsError."""
    if len(data) < HEADER:
        raise DnsError("shorter than a header")
    ident, flags, questions, answers, authority, additional = (
        int.from_bytes(data[at : at + 2], "big") for at in range(0, HEADER, 2)
    )
    found = []
    offset = HEADER
    for _ in range(questions):
        name, offset = read_name(data, offset)
        if offset + 4 > len(data):
            raise DnsError("half a question")
        kind, dns_class = (int.from_bytes(data[at : at + 2], "big") for at in (offset, offset + 2))
        found.append(Question(name, kind, dns_class))
        offset += 4
    return Message(ident, flags, tuple(found), (answers, authority, additional), offset)


def _header(ident: int, flags: int, counts: tuple[int, int, int, int]) -> bytes:
    return b"".join(value.to_bytes(2, "big") for value in (ident, flags, *counts))


def _questions(questions: tuple[Question, ...]) -> bytes:
    return b"".join(write_name(q.name) + q.type.to_bytes(2, "big") + q.dns_class.to_bytes(2, "big") for q in questions)


def query(ident: int, questions: tuple[Question, ...], view: str) -> bytes:
    """A query with RD, and the record that names the view; nothing is compressed (reference/dns.md 8.5)."""
    text = f"view={view}".encode()[:255] if view else b""
    additional = b""
    if text:
        head = write_name((b"view",)) + TYPE_TXT.to_bytes(2, "big") + CLASS_IN.to_bytes(2, "big") + bytes(4)
        additional = head + (len(text) + 1).to_bytes(2, "big") + bytes((len(text),)) + text
    return _header(ident, RD, (len(questions), 0, 0, 1 if text else 0)) + _questions(questions) + additional


def failure(asked: Message, rcode: int) -> bytes:
    """The answer that only carries a code."""
    flags = QR | asked.flags & (0x7800 | RD | CD) | RA | rcode
    return _header(asked.id, flags, (len(asked.questions), 0, 0, 0)) + _questions(asked.questions)


def with_id(data: bytes, ident: int) -> bytes:
    return ident.to_bytes(2, "big") + data[2:]


def renamed(data: bytes, asked: Message, full: tuple[tuple[bytes, ...], ...]) -> bytes:
    """A response to `asked`, written anew with the names the asker used.

    `full` names become the short ones of its questions. Names in the data of NS, CNAME, PTR, MX, DNAME and SOA
    records are uncompressed on the way. Raises DnsError.
    """
    answer = read(data)
    short = {tuple(part.lower() for part in long): q.name for long, q in zip(full, asked.questions, strict=False)}

    def own(name: tuple[bytes, ...]) -> tuple[bytes, ...]:
        return short.get(tuple(part.lower() for part in name), name)

    records = b""
    offset = answer.end
    for _ in range(sum(answer.counts)):
        name, offset = read_name(data, offset)
        if offset + 10 > len(data):
            raise DnsError("half a record")
        head, size = data[offset : offset + 8], int.from_bytes(data[offset + 8 : offset + 10], "big")
        kind = int.from_bytes(head[:2], "big")
        offset += 10
        if offset + size > len(data):
            raise DnsError("half a record's data")
        content = _data(data, offset, size, kind)
        records += write_name(own(name)) + head + len(content).to_bytes(2, "big") + content
        offset += size
    counts = (len(asked.questions), *answer.counts)
    return _header(asked.id, answer.flags, counts) + _questions(asked.questions) + records


def _data(data: bytes, offset: int, size: int, kind: int) -> bytes:
    if kind in _NAMES_IN_DATA:
        skip = _NAMES_IN_DATA[kind]
        name, _ = read_name(data, offset + skip)
        return data[offset : offset + skip] + write_name(name)
    if kind == _SOA:
        first, after = read_name(data, offset)
        second, after = read_name(data, after)
        return write_name(first) + write_name(second) + data[after : offset + size]
    return data[offset : offset + size]

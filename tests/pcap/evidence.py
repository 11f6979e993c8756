"""Readers that judge a capture: strict about every header, sceptical about every number.

`scapy` and `dpkt` read the frames, `tshark` dissects them. Nothing here uses the code that wrote the capture.
"""

from __future__ import annotations

import shutil
import struct
import subprocess
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from scapy.layers.inet import IP, TCP, UDP
from scapy.packet import NoPayload
from scapy.utils import PcapNgReader, PcapReader

Socket = tuple[str, int]
"""IPv4 address as text, and port."""

WRAP = 2**32


@dataclass(slots=True)
class Stream:
    """One TCP connection: who opened it to whom, what each said, and the flags of its segments in order."""

    client: Socket
    server: Socket
    sent: bytes = b""
    answered: bytes = b""
    flags: list[tuple[str, str]] = field(default_factory=list)
    """("client" or "server", flags as scapy writes them: S, SA, A, PA, FA, R ...)."""


@dataclass(frozen=True, slots=True)
class Segment:
    """What a TCP segment says: flags as scapy prints them."""

    source: Socket
    destination: Socket
    flags: str
    sequence: int
    acknowledgement: int
    data: bytes


def frames(path: Path) -> Iterator[Any]:
    """The frames of a pcap or pcapng file as scapy reads them."""
    reader = PcapNgReader if path.read_bytes()[:4] == b"\x0a\x0d\x0d\x0a" else PcapReader
    with reader(str(path)) as opened:
        yield from opened


def segments(path: Path) -> Iterator[Segment]:
    """The TCP segments over IPv4."""
    for frame in frames(path):
        if IP in frame and TCP in frame[IP]:
            ip, tcp = frame[IP], frame[TCP]
            length = ip.len - ip.ihl * 4 - tcp.dataofs * 4
            data = b"" if isinstance(tcp.payload, NoPayload) else bytes(tcp.payload)[:length]
            yield Segment((ip.src, tcp.sport), (ip.dst, tcp.dport), str(tcp.flags), tcp.seq, tcp.ack, data)


def streams(path: Path) -> list[Stream]:
    """Every connection that was opened in this capture, put together by sequence number, whatever its order."""
    found: list[Stream] = []
    live: dict[frozenset[Socket], Stream] = {}
    first: dict[tuple[int, Socket], int] = {}
    pieces: dict[tuple[int, Socket], dict[int, bytes]] = defaultdict(dict)
    for segment in segments(path):
        pair = frozenset((segment.source, segment.destination))
        if segment.flags == "S":
            live[pair] = Stream(segment.source, segment.destination)
            found.append(live[pair])
        stream = live.get(pair)
        if stream is None:
            continue
        end = id(stream), segment.source
        stream.flags.append(("client" if segment.source == stream.client else "server", segment.flags))
        if "S" in segment.flags:
            first[end] = segment.sequence + 1
        elif segment.data:
            offset = (segment.sequence - first[end]) % WRAP
            assert pieces[end].get(offset, b"") in segment.data, "a retransmission that says something else"
            pieces[end][offset] = segment.data
    for stream in found:
        stream.sent = _joined(pieces[id(stream), stream.client])
        stream.answered = _joined(pieces[id(stream), stream.server])
    return found


def _joined(pieces: dict[int, bytes]) -> bytes:
    """The bytes without overlaps; what comes after a gap would be no evidence, so a gap is an error."""
    whole = bytearray()
    for offset in sorted(pieces):
        assert offset <= len(whole), f"{offset - len(whole)} bytes are missing at {len(whole)}"
        whole[offset : offset + len(pieces[offset])] = pieces[offset]
    return bytes(whole)


def datagrams(path: Path) -> Counter[tuple[Socket, Socket, bytes]]:
    """Every UDP payload with its source and destination, and how often it was seen."""
    found: Counter[tuple[Socket, Socket, bytes]] = Counter()
    for frame in frames(path):
        if IP in frame and UDP in frame[IP]:
            ip, udp = frame[IP], frame[UDP]
            found[(ip.src, udp.sport), (ip.dst, udp.dport), bytes(udp.payload)[: udp.len - 8]] += 1
    return found


def ones_complement_sum(data: bytes) -> int:
    """RFC 1071, word by word; 0xFFFF over data that carries its own right checksum."""
    total: int = sum(struct.unpack(f"!{(len(data) + 1) // 2}H", data + b"\0" * (len(data) % 2)))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return total


@dataclass(frozen=True, slots=True)
class Tshark:
    """tshark with checksum validation on, and told which port is what."""

    program: str
    options: tuple[str, ...] = ()

    def run(self, path: Path, *arguments: str) -> str:
        checks = [word for name in ("ip", "tcp", "udp") for word in ("-o", f"{name}.check_checksum:TRUE")]
        command = [self.program, "-n", "-r", str(path), *checks, *self.options, *arguments]
        done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
        assert done.returncode == 0, done.stderr
        return done.stdout

    def fields(self, path: Path, display: str, *names: str) -> list[tuple[list[str], ...]]:
        """One tuple for each frame that passes the display filter: for each field, all of its values."""
        words = [word for name in names for word in ("-e", name)]
        text = self.run(path, "-Y", display, "-T", "fields", "-E", "separator=/t", "-E", "aggregator=|", *words)
        return [tuple(cell.split("|") if cell else [] for cell in line.split("\t")) for line in text.splitlines()]

    def told(self, options: Iterable[str]) -> Tshark:
        return Tshark(self.program, tuple(options))


def find_tshark() -> Tshark:
    """Skips the test when tshark is not installed."""
    program = shutil.which("tshark")
    if program is None:
        pytest.skip("tshark is not installed")
    return Tshark(program)

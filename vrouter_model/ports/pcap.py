"""Capture files as ports: play one into a vif, write down what passes a vif."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from contrail_emulator.base.pcap import Capture

from ..vrouter import VRouter

_PCAP_MAGIC: Final = {
    b"\xd4\xc3\xb2\xa1": "<",
    b"\xa1\xb2\xc3\xd4": ">",
    b"\x4d\x3c\xb2\xa1": "<",
    b"\xa1\xb2\x3c\x4d": ">",
}
_SECTION: Final = b"\x0a\x0d\x0d\x0a"
_BYTE_ORDERS: Final = {b"\x4d\x3c\x2b\x1a": "<", b"\x1a\x2b\x3c\x4d": ">"}
_ENHANCED_PACKET: Final = 6
_SIMPLE_PACKET: Final = 3


class CaptureFormatError(ValueError):
    """The file is neither pcap nor pcapng, or is damaged."""


def read_frames(path: str | Path) -> Iterator[bytes]:
    """The packets of a pcap or pcapng file, in its order, without link types being looked at.

    Raises OSError, and CaptureFormatError with the offset of the fault.
    """
    data = Path(path).read_bytes()
    if data[:4] == _SECTION:
        yield from _read_pcapng(data)
    elif data[:4] in _PCAP_MAGIC:
        yield from _read_pcap(data, _PCAP_MAGIC[data[:4]])
    else:
        raise CaptureFormatError(f"{path}: neither pcap nor pcapng")


def _read_pcap(data: bytes, order: str) -> Iterator[bytes]:
    at = 24
    while at < len(data):
        if len(data) < at + 16:
            raise CaptureFormatError(f"a packet header is cut short at offset {at}")
        length = struct.unpack_from(order + "I", data, at + 8)[0]
        if len(data) < at + 16 + length:
            raise CaptureFormatError(f"a packet is cut short at offset {at}")
        yield data[at + 16 : at + 16 + length]
        at += 16 + length


def _read_pcapng(data: bytes) -> Iterator[bytes]:
    at, order = 0, "<"
    while at < len(data):
        if data[at : at + 4] == _SECTION:
            order = _BYTE_ORDERS.get(data[at + 8 : at + 12], "")
        if not order or len(data) < at + 12:
            raise CaptureFormatError(f"a block is damaged at offset {at}")
        kind, length = struct.unpack_from(order + "II", data, at)
        if length < 12 or length % 4 or len(data) < at + length:
            raise CaptureFormatError(f"a block is damaged at offset {at}")
        if kind == _ENHANCED_PACKET and length >= 32:
            captured = struct.unpack_from(order + "I", data, at + 20)[0]
            yield data[at + 28 : at + 28 + min(captured, length - 32)]
        elif kind == _SIMPLE_PACKET and length >= 16:
            original = struct.unpack_from(order + "I", data, at + 8)[0]
            yield data[at + 12 : at + 12 + min(original, length - 16)]
        at += length


def replay(vrouter: VRouter, vif_index: int, path: str | Path) -> int:
    """Send every packet of a file into a vif, without pauses. Returns how many."""
    count = 0
    for count, frame in enumerate(read_frames(path), 1):  # noqa: B007
        vrouter.receive(vif_index, frame)
    return count


class RecordingPort:
    """A memory port that writes down both directions, as `vifdump` shows them, under the vif's name."""

    def __init__(self, vrouter: VRouter, vif_index: int, capture: Capture) -> None:
        self.frames = 0
        self._vrouter = vrouter
        self._vif_index = vif_index
        self._capture = capture
        vif = vrouter.interface(vif_index)
        self._name = vif.row.name if vif is not None and vif.row.name else f"vif0/{vif_index}"
        vrouter.connect(vif_index, self._write)

    def send(self, frame: bytes) -> None:
        """One frame into the vRouter."""
        self._write(frame)
        self._vrouter.receive(self._vif_index, frame)

    def _write(self, frame: bytes) -> None:
        self.frames += 1
        self._capture.frame(frame, self._name)

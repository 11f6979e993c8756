"""The pcapng file format: section header, interface and packet blocks (draft-ietf-opsawg-pcapng)."""

from __future__ import annotations

import struct
from typing import BinaryIO, Final

LINKTYPE_ETHERNET: Final = 1

_SECTION_HEADER = 0x0A0D0D0A
_INTERFACE_DESCRIPTION = 1
_ENHANCED_PACKET = 6
_BYTE_ORDER_MAGIC = 0x1A2B3C4D
_LENGTH_UNKNOWN = 0xFFFFFFFFFFFFFFFF

_OPT_COMMENT = 1
_OPT_IF_NAME = 2
_OPT_IF_TSRESOL = 9
_OPT_USERAPPL = 4
_NANOSECONDS = 9

_MAX_COMMENT = 0xFFFF


class PcapngWriter:
    """Writes blocks to a binary stream: little endian, nanosecond time stamps, Ethernet. Raises OSError as it does."""

    def __init__(self, stream: BinaryIO, application: str = "contrail-emulator") -> None:
        self._stream = stream
        self._interfaces: dict[str, int] = {}
        body = struct.pack("<IHHQ", _BYTE_ORDER_MAGIC, 1, 0, _LENGTH_UNKNOWN)
        stream.write(_block(_SECTION_HEADER, body + _options((_OPT_USERAPPL, application.encode()))))

    def interface(self, name: str) -> int:
        """The number of that interface; its description is written when the name is new."""
        number = self._interfaces.get(name)
        if number is None:
            number = self._interfaces[name] = len(self._interfaces)
            options = _options((_OPT_IF_NAME, name.encode()), (_OPT_IF_TSRESOL, bytes([_NANOSECONDS])))
            self._stream.write(_block(_INTERFACE_DESCRIPTION, struct.pack("<HHI", LINKTYPE_ETHERNET, 0, 0) + options))
        return number

    def packet(self, interface: int, nanoseconds: int, frame: bytes, comment: str | None = None) -> None:
        """One frame at a time given in nanoseconds since the epoch."""
        head = struct.pack(
            "<IIIII", interface, nanoseconds >> 32, nanoseconds & 0xFFFFFFFF, len(frame), len(frame)
        )
        body = head + _padded(frame)
        if comment:
            text = comment.encode("utf-8", "replace")[:_MAX_COMMENT].decode("utf-8", "ignore").encode()
            body += _options((_OPT_COMMENT, text))
        self._stream.write(_block(_ENHANCED_PACKET, body))


def _padded(data: bytes) -> bytes:
    return data + bytes(-len(data) % 4)


def _options(*options: tuple[int, bytes]) -> bytes:
    return b"".join(struct.pack("<HH", code, len(value)) + _padded(value) for code, value in options) + bytes(4)


def _block(kind: int, body: bytes) -> bytes:
    length = len(body) + 12
    return struct.pack("<II", kind, length) + body + struct.pack("<I", length)

"""A TAP device as the port of a vif: a machine's kernel, or this host's, on the other side. Needs CAP_NET_ADMIN."""

from __future__ import annotations

import fcntl
import os
import socket
import struct
from typing import Any, Final

from twisted.internet.interfaces import IReactorFDSet, IReadDescriptor
from twisted.internet.main import CONNECTION_LOST
from twisted.logger import Logger
from twisted.python.failure import Failure
from zope.interface import implementer

from ..vrouter import VRouter

_DEVICE: Final = "/dev/net/tun"
_TUNSETIFF: Final = 0x400454CA
_IFF_TAP: Final = 0x0002
_IFF_NO_PI: Final = 0x1000
_SIOCGIFFLAGS: Final = 0x8913
_SIOCSIFFLAGS: Final = 0x8914
_SIOCSIFMTU: Final = 0x8922
_IFF_UP: Final = 0x1
_FRAMES_PER_TURN: Final = 64
_MAX_FRAME: Final = 65535


class TapError(Exception):
    """The device cannot be had; the text says what is missing."""


@implementer(IReadDescriptor)
class TapPort:
    """One TAP device named `name`, made when it does not exist, gone when the port stops.

    No virtio header is asked for, so the kernel fills in checksums before a frame comes here.
    """

    log = Logger()

    def __init__(self, reactor: IReactorFDSet, name: str, vrouter: VRouter, vif_index: int, mtu: int = 1500) -> None:
        self.name = name
        self.mtu = mtu
        self.write_errors = 0
        self._reactor = reactor
        self._vrouter = vrouter
        self._vif_index = vif_index
        self._fd = -1

    def start(self) -> None:
        """Open the device, set it up and become the vif's port. Raises TapError."""
        try:
            self._fd = os.open(_DEVICE, os.O_RDWR | os.O_NONBLOCK)
            fcntl.ioctl(self._fd, _TUNSETIFF, struct.pack("16sH22x", self._name(), _IFF_TAP | _IFF_NO_PI))
            self._set_up()
        except OSError as error:
            self._close()
            raise TapError(
                f"cannot make TAP device {self.name}: {error.strerror} (root or CAP_NET_ADMIN is needed)"
            ) from error
        self._reactor.addReader(self)
        self._vrouter.connect(self._vif_index, self.transmit)

    def stop(self) -> None:
        if self._fd >= 0:
            self._vrouter.connect(self._vif_index, None)
            self._reactor.removeReader(self)
            self._close()

    def transmit(self, frame: bytes) -> None:
        """One frame to the kernel. A device that is down or full loses it, as a wire would."""
        try:
            os.write(self._fd, frame)
        except OSError as error:
            if not self.write_errors:
                self.log.warn("TAP {name}: {error}", name=self.name, error=error.strerror)
            self.write_errors += 1

    def _name(self) -> bytes:
        name = self.name.encode()
        if not 0 < len(name) < 16:
            raise TapError(f"{self.name!r} cannot name a device: 1 to 15 bytes")
        return name

    def _set_up(self) -> None:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as control:
            fcntl.ioctl(control, _SIOCSIFMTU, struct.pack("16si12x", self._name(), self.mtu))
            answer = fcntl.ioctl(control, _SIOCGIFFLAGS, struct.pack("16s16x", self._name()))
            flags = struct.unpack_from("H", answer, 16)[0]
            fcntl.ioctl(control, _SIOCSIFFLAGS, struct.pack("16sH14x", self._name(), flags | _IFF_UP))

    def _close(self) -> None:
        if self._fd >= 0:
            os.close(self._fd)
        self._fd = -1

    # IReadDescriptor

    def fileno(self) -> int:
        return self._fd

    def doRead(self) -> Any:  # noqa: N802
        """Take what is there, in portions so that other readers get their turn. CONNECTION_LOST ends the port."""
        for _ in range(_FRAMES_PER_TURN):
            try:
                frame = os.read(self._fd, _MAX_FRAME)
            except BlockingIOError:
                return None
            except OSError:
                return CONNECTION_LOST
            self._vrouter.receive(self._vif_index, frame)
            if self._fd < 0:
                return None
        return None

    def connectionLost(self, reason: Failure) -> None:  # noqa: N802
        self.log.warn("TAP {name} is gone", name=self.name)
        self._vrouter.connect(self._vif_index, None)
        self._close()

    def logPrefix(self) -> str:  # noqa: N802
        return f"TAP {self.name}"

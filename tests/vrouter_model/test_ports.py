"""Ports in memory, in capture files, and on TAP devices (where this user may make them)."""

from __future__ import annotations

import fcntl
import os
import random
import socket
import struct
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import pytest
from scapy.all import IP, UDP, Ether, rdpcap, wrpcap, wrpcapng
from twisted.internet.interfaces import IReactorFDSet
from twisted.internet.main import CONNECTION_LOST
from twisted.python.failure import Failure

from contrail_emulator.base.pcap import Capture
from contrail_emulator.vrouter_model import Drop, VRouter
from contrail_emulator.vrouter_model.ports import tap
from contrail_emulator.vrouter_model.ports.memory import MemoryPort
from contrail_emulator.vrouter_model.ports.pcap import CaptureFormatError, RecordingPort, read_frames, replay
from contrail_emulator.vrouter_model.ports.tap import TapError, TapPort
from contrail_emulator.vrouter_model.rows import Vif, VifType

if TYPE_CHECKING:
    from vrouter_model.conftest import Lab

A_MAC, B_MAC = "02:88:67:0c:2e:11", "02:e7:03:ea:67:f1"


def frame(number: int = 0) -> bytes:
    return bytes(Ether(dst=B_MAC, src=A_MAC) / IP(src="1.1.1.4", dst="1.1.1.5") / UDP() / bytes((number,)))


def plain_vrouter() -> VRouter:
    vr = VRouter(lambda: 0.0, random.Random(1))
    assert vr.add(Vif(3, VifType.VIRTUAL, name="tap3")) == 0
    return vr


def test_a_port_in_memory_sends_receives_and_unplugs(lab: Lab) -> None:
    host = lab.Host()
    host.network(2)
    host.machine(3, 2, lab.mac(A_MAC), "1.1.1.4")
    host.machine(4, 2, lab.mac(B_MAC), "1.1.1.5")
    host.auto_flows()
    received: list[bytes] = []
    sender, receiver = MemoryPort(host.vr, 3, received.append), MemoryPort(host.vr, 4, received.append)
    sender.send(frame())
    receiver.close()
    sender.send(frame(1))
    assert received == [frame()] and host.reasons() == [Drop.INTERFACE_TX_DISCARD]


@pytest.mark.parametrize("write", [wrpcap, wrpcapng])
def test_a_capture_is_played_into_an_interface(tmp_path: Path, write: Any) -> None:
    path = tmp_path / "in.pcap"
    write(str(path), [Ether(frame(number)) for number in range(3)])
    vr = plain_vrouter()
    seen: list[bytes] = []
    vr.on_drop = lambda reason, vif, data, detail: seen.append(data)
    assert replay(vr, 3, path) == 3
    assert seen == [frame(number) for number in range(3)]


@pytest.mark.parametrize("data", [b"", b"junk", b"\x0a\x0d\x0d\x0a" + bytes(20), b"\xd4\xc3\xb2\xa1" + bytes(21)])
def test_what_is_no_capture_is_refused(tmp_path: Path, data: bytes) -> None:
    path = tmp_path / "bad.pcap"
    path.write_bytes(data)
    with pytest.raises(CaptureFormatError):
        list(read_frames(path))


def test_a_capture_cut_anywhere_gives_frames_or_a_clear_error(tmp_path: Path) -> None:
    path = tmp_path / "in.pcap"
    for write in (wrpcap, wrpcapng):
        write(str(path), [Ether(frame()), Ether(frame(1))])
        whole = path.read_bytes()
        for length in range(len(whole)):
            path.write_bytes(whole[:length])
            try:
                assert len(list(read_frames(path))) <= 2
            except CaptureFormatError as error:
                assert str(error)


def test_both_directions_are_written_down(tmp_path: Path, lab: Lab) -> None:
    host = lab.Host()
    host.network(2)
    host.machine(3, 2, lab.mac(A_MAC), "1.1.1.4")
    host.machine(4, 2, lab.mac(B_MAC), "1.1.1.5")
    host.auto_flows()
    capture = Capture(tmp_path / "vifs.pcapng")
    sender, receiver = RecordingPort(host.vr, 3, capture), RecordingPort(host.vr, 4, capture)
    sender.send(frame())
    capture.close()
    assert (sender.frames, receiver.frames) == (1, 1)
    assert [bytes(packet) for packet in rdpcap(str(capture.path))] == [frame(), frame()]


class FakeReactor:
    def __init__(self) -> None:
        self.readers: list[Any] = []
        self.addReader, self.removeReader = self.readers.append, self.readers.remove


def test_a_tap_that_cannot_be_made_says_what_is_needed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tap, "_DEVICE", "/dev/no/such/device")
    port = TapPort(cast(IReactorFDSet, FakeReactor()), "cetest0", plain_vrouter(), 3)
    with pytest.raises(TapError, match="CAP_NET_ADMIN"):
        port.start()
    assert port.fileno() == -1


def test_frames_pass_a_descriptor_in_both_directions(monkeypatch: pytest.MonkeyPatch) -> None:
    """The device replaced by a packet socket pair: reading in portions, writing, and losing the device."""
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    ours.setblocking(False)
    reactor = FakeReactor()
    vr = plain_vrouter()
    monkeypatch.setattr(os, "open", lambda path, flags: os.dup(ours.fileno()))
    monkeypatch.setattr(fcntl, "ioctl", lambda fd, request, argument: struct.pack("16sH14x", b"t", 0))
    port = TapPort(cast(IReactorFDSet, reactor), "cetest0", vr, 3)
    port.start()
    assert reactor.readers == [port]
    theirs.send(frame())
    theirs.send(frame(1))
    assert port.doRead() is None and vr.totals.received == 2
    vif = vr.interface(3)
    assert vif is not None and vif.transmit is not None
    vif.transmit(b"to the kernel")
    assert theirs.recv(100) == b"to the kernel"
    theirs.close()
    ours.close()
    port.transmit(b"lost")
    assert port.write_errors == 1
    port.stop()
    assert not reactor.readers and port.fileno() == -1 and vif.transmit is None


def test_a_device_that_goes_away_unplugs_the_interface() -> None:
    vr = plain_vrouter()
    port = TapPort(cast(IReactorFDSet, FakeReactor()), "cetest0", vr, 3)
    assert port.doRead() is CONNECTION_LOST
    vr.connect(3, port.transmit)
    port.connectionLost(cast(Any, Failure)(CONNECTION_LOST))
    vif = vr.interface(3)
    assert vif is not None and vif.transmit is None and port.logPrefix() == "TAP cetest0"


@pytest.mark.skipif(
    os.geteuid() != 0 or not os.access("/dev/net/tun", os.W_OK),
    reason="making a TAP device needs root and /dev/net/tun",
)
def test_a_real_device_shows_what_the_vrouter_sends() -> None:
    name = f"ce{os.getpid() % 100000}"
    vr = plain_vrouter()
    port = TapPort(cast(IReactorFDSet, FakeReactor()), name, vr, 3)
    port.start()
    try:
        with socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(0x88B5)) as kernel:
            kernel.bind((name, 0x88B5))
            kernel.settimeout(5)
            body = bytes.fromhex("ffffffffffff02000000000188b5") + bytes(46)
            port.transmit(body)
            assert kernel.recv(2000) == body
            kernel.send(body[:6] + b"\x02other" + body[12:])
            port.doRead()
            assert vr.totals.received >= 1
    finally:
        port.stop()

"""The demo's capture as a stranger reads it: tshark, scapy and dpkt find nothing wrong with any frame."""

from __future__ import annotations

from collections import defaultdict
from pathlib import Path

import dpkt
import pytest
from pcap.conftest import DemoRun
from pcap.evidence import WRAP, Socket, Tshark, frames, ones_complement_sum, segments, streams
from scapy.layers.inet import IP, TCP, UDP

FAULTS = {
    "malformed": "_ws.malformed",
    "TCP analysis": "tcp.analysis.flags",
    "IP checksum": 'ip.checksum.status == "Bad" && !icmp',
    "inner IP checksum": 'ip.checksum.status == "Bad"',
    "TCP checksum": 'tcp.checksum.status == "Bad"',
    "UDP checksum": 'udp.checksum.status == "Bad"',
    "ICMP checksum": 'icmp.checksum.status == "Bad"',
    "an error in any protocol": '_ws.expert.severity == "Error"',
    "a BGP, DNS, MPLS or UDP warning": '_ws.expert.severity == "Warning" && (bgp || udp)',
}


def test_the_checks_of_the_run_held(demo: DemoRun) -> None:
    assert len(demo.results) == 5
    assert [result for result in demo.results if not result.passed] == []


@pytest.mark.parametrize("what", FAULTS)
def test_tshark_finds_no_fault(demo: DemoRun, tshark: Tshark, what: str) -> None:
    assert tshark.run(demo.path, "-Y", FAULTS[what]) == ""


def test_tshark_did_look_at_every_checksum(demo: DemoRun, tshark: Tshark) -> None:
    unseen = '(tcp && tcp.checksum.status != "Good") || (udp && udp.checksum.status != "Good")'
    assert tshark.run(demo.path, "-Y", unseen) == ""
    assert len(tshark.run(demo.path, "-Y", 'ip.checksum.status == "Good"').splitlines()) == len(list(frames(demo.path)))


def test_the_judge_finds_a_fault_when_there_is_one(demo: DemoRun, tshark: Tshark, tmp_path: Path) -> None:
    """A payload byte changed, a segment left out: if this passed unseen, the tests above would prove nothing."""
    raw = bytearray(demo.path.read_bytes())
    at = raw.index(b"network-dns@")
    raw[at] ^= 1
    broken = tmp_path / "broken.pcapng"
    broken.write_bytes(raw)
    assert tshark.run(broken, "-Y", FAULTS["TCP checksum"]) != ""
    seen = list(frames(demo.path))
    number = next(at for at, frame in enumerate(seen) if TCP in frame and len(frame[TCP].payload) > 100)
    lossy = tmp_path / "lossy.pcap"
    with lossy.open("wb") as stream:
        writer = dpkt.pcap.Writer(stream)
        for frame in seen[:number] + seen[number + 1 :]:
            writer.writepkt(bytes(frame), float(frame.time))
    assert tshark.run(lossy, "-Y", FAULTS["TCP analysis"]) != ""


def test_time_never_runs_back(demo: DemoRun) -> None:
    times = [frame.time for frame in frames(demo.path)]
    assert times == sorted(times)
    assert 0 < times[-1] - times[0] < 60
    with demo.path.open("rb") as stream:
        assert [round(time, 3) for time, _ in dpkt.pcapng.Reader(stream)] == [round(float(time), 3) for time in times]


def test_every_checksum_by_hand(demo: DemoRun) -> None:
    counted = 0
    for frame in frames(demo.path):
        ip = frame[IP]
        raw = bytes(ip)
        assert ones_complement_sum(raw[:20]) == 0xFFFF
        assert len(raw) == ip.len and ip.version == 4 and ip.ihl == 5
        assert TCP in frame or UDP in frame
        pseudo = raw[12:20] + bytes([0, raw[9]]) + (ip.len - 20).to_bytes(2, "big")
        assert ones_complement_sum(pseudo + raw[20:]) == 0xFFFF
        counted += 1
    assert counted > 60


def test_dpkt_reads_the_same_frames(demo: DemoRun) -> None:
    with demo.path.open("rb") as stream:
        read = [dpkt.ethernet.Ethernet(raw) for _, raw in dpkt.pcapng.Reader(stream)]
    seen = list(frames(demo.path))
    assert len(read) == len(seen)
    for ours, theirs in zip(seen, read, strict=True):
        assert isinstance(theirs.data, dpkt.ip.IP) and isinstance(theirs.data.data, (dpkt.tcp.TCP, dpkt.udp.UDP))
        assert bytes(theirs) == bytes(ours)
        if UDP in ours:
            assert theirs.data.data.ulen == len(bytes(ours[UDP]))


def test_every_number_of_every_segment(demo: DemoRun) -> None:
    """In order: each segment starts where the last ended, and acknowledges all that was sent, and no more."""
    following: dict[tuple[Socket, Socket], int] = {}
    unacknowledged: dict[tuple[Socket, Socket], int] = defaultdict(int)
    for segment in segments(demo.path):
        way, back = (segment.source, segment.destination), (segment.destination, segment.source)
        if "S" in segment.flags:
            assert way not in following, "these addresses are used once"
            following[way] = segment.sequence
        assert segment.sequence == following[way]
        if "A" in segment.flags:
            assert segment.acknowledgement == following[back]
            unacknowledged[back] = 0
        else:
            assert segment.flags in ("S", "R")
        length = len(segment.data) + ("S" in segment.flags) + ("F" in segment.flags)
        following[way] = (following[way] + length) % WRAP
        unacknowledged[way] += length
        assert unacknowledged[way] < 65535
    assert len(following) == 10, "both ways of two XMPP, two DNS-XMPP and one BGP connection"


def test_every_connection_opens_and_closes_as_tcp_does(demo: DemoRun) -> None:
    """FIN both ways; or RST, after the FIN, from an agent that left while something was on its way to it."""
    found = streams(demo.path)
    node = demo.file.control_nodes[0]
    assert demo.file.dns is not None
    ports = [stream.server[1] for stream in found]
    assert ports.count(node.xmpp_port) == ports.count(demo.file.dns.xmpp_port) == 2
    assert ports.count(node.bgp_port) + ports.count(demo.file.bgp_peers[0].port) == 1, "whoever was first"
    for stream in found:
        assert stream.flags[:3] == [("client", "S"), ("server", "SA"), ("client", "A")]
        assert stream.sent and stream.answered
        end = [entry for entry in stream.flags if set(entry[1]) & {"F", "R"}]
        fins = {("client", "FA"), ("server", "FA")}
        if stream.server[1] == node.xmpp_port and end[-1][1].startswith("R"):
            assert [who for who, _ in end] == ["client", "client"] and end[0][1] == "FA"
        else:
            assert set(end) == fins and len(end) == 2
            assert stream.flags[-1] == (end[0][0], "A"), "the last FIN is acknowledged"


def test_no_secret_and_no_foreign_byte(demo: DemoRun) -> None:
    """Only the lab's own addresses talk, each in the lab's slice of 127.0.0.0/8."""
    node = demo.file.control_nodes[0]
    prefix = ".".join(str(node.address).split(".")[:2]) + "."
    assert all(frame[IP].src.startswith(prefix) and frame[IP].dst.startswith(prefix) for frame in frames(demo.path))

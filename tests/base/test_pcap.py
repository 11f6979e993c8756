"""Captures, judged by scapy and tshark: what they reassemble is what was sent, and nothing looks like loss."""

import errno
import random
from collections import defaultdict
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from scapy.layers.inet import IP, TCP, UDP
from scapy.layers.inet6 import IPv6
from scapy.layers.l2 import Ether
from scapy.packet import NoPayload
from scapy.utils import RawPcapNgReader, rdpcap

from contrail_emulator.base import packets
from contrail_emulator.base.pcap import Capture
from contrail_emulator.base.tcp_trace import SEGMENT

CLIENT = ("127.0.0.1", 40001)
SERVER = ("127.0.0.2", 52690)


@pytest.fixture
def ticks() -> Callable[[], float]:
    """A clock that stands still half of the time and once jumps back."""
    times = iter([100.0, 100.0, 50.0])
    return lambda: next(times, 200.0)


def frames(path: Path) -> list[Any]:
    return list(rdpcap(str(path)))


def payload(segment: Any) -> bytes:
    return b"" if isinstance(segment.payload, NoPayload) else bytes(segment.payload)


def reassemble(path: Path) -> list[tuple[bytes, bytes]]:
    """(from the initiator, to the initiator) per connection, checking each segment's numbers as a strict receiver."""
    streams: list[tuple[bytearray, bytearray]] = []
    live: dict[frozenset[tuple[str, int]], tuple[int, tuple[str, int]]] = {}
    expected: dict[tuple[int, tuple[str, int]], int] = {}
    for frame in frames(path):
        if TCP not in frame:
            continue
        segment, ip = frame[TCP], frame[IP] if IP in frame else frame[IPv6]
        source, destination = (ip.src, segment.sport), (ip.dst, segment.dport)
        pair = frozenset((source, destination))
        flags = str(segment.flags)
        if flags == "S":
            streams.append((bytearray(), bytearray()))
            live[pair] = (len(streams) - 1, source)
            expected[len(streams) - 1, source] = (segment.seq + 1) % 2**32
            continue
        number, initiator = live[pair]
        if flags == "SA":
            expected[number, source] = (segment.seq + 1) % 2**32
        else:
            assert segment.seq == expected[number, source]
            data = payload(segment)
            assert len(data) <= SEGMENT
            expected[number, source] = (segment.seq + len(data) + ("F" in flags)) % 2**32
            streams[number][0 if source == initiator else 1].extend(data)
        assert segment.ack == expected[number, destination], "acknowledges what was not sent, or too late"
        if flags.startswith("R"):
            del live[pair]
    return [(bytes(there), bytes(back)) for there, back in streams]


def ends(path: Path) -> list[tuple[int, str]]:
    """What comes after the handshake and the data before the first FIN or RST: who, and its flags."""
    seen = [(frame[TCP].sport, str(frame[TCP].flags)) for frame in frames(path)]
    first = next(at for at, (_, flags) in enumerate(seen) if set(flags) & {"F", "R"})
    return seen[first:]


def test_a_connection_begins_with_a_handshake_and_ends_with_the_closers_fin(tmp_path: Path) -> None:
    capture = Capture(tmp_path / "one.pcapng")
    trace = capture.tcp(CLIENT, SERVER, initiator=True)
    trace.sent(b"hello")
    trace.received(b"good day")
    trace.closed(by_us=False)
    capture.close()
    seen = [(frame[TCP].sport, str(frame[TCP].flags), payload(frame[TCP])) for frame in frames(capture.path)]
    assert seen == [
        (40001, "S", b""),
        (52690, "SA", b""),
        (40001, "A", b""),
        (40001, "PA", b"hello"),
        (52690, "PA", b"good day"),
        (52690, "FA", b""),
        (40001, "FA", b""),
        (52690, "A", b""),
    ]
    syn = frames(capture.path)[0][TCP]
    assert dict(syn.options)["MSS"] == 65495 and dict(syn.options)["WScale"] == 7


def test_a_reset_comes_from_the_end_that_aborts(tmp_path: Path) -> None:
    capture = Capture(tmp_path / "one.pcapng")
    trace = capture.tcp(SERVER, CLIENT, initiator=False)
    trace.received(b"x")
    trace.closed(by_us=True, reset=True)
    trace.sent(b"too late")
    trace.closed(by_us=False)
    capture.close()
    *_, last = frames(capture.path)
    assert (last[TCP].sport, str(last[TCP].flags)) == (52690, "RA")
    assert len(frames(capture.path)) == 5


def test_two_ends_here_write_one_record_of_what_each_sent(tmp_path: Path) -> None:
    capture = Capture(tmp_path / "one.pcapng")
    client = capture.tcp(CLIENT, SERVER, initiator=True)
    server = capture.tcp(SERVER, CLIENT, initiator=False)
    client.sent(b"abc")
    server.sent(b"not read yet")
    server.received(b"abc")
    client.received(b"not read yet")
    server.closed(by_us=True)
    client.closed(by_us=False)
    assert client.silent and server.silent
    capture.close()
    assert reassemble(capture.path) == [(b"abc", b"not read yet")]
    assert ends(capture.path) == [(52690, "FA"), (40001, "FA"), (52690, "A")]


def test_what_the_closing_end_never_read_is_there_and_reset(tmp_path: Path) -> None:
    capture = Capture(tmp_path / "one.pcapng")
    client = capture.tcp(CLIENT, SERVER, initiator=True)
    server = capture.tcp(SERVER, CLIENT, initiator=False)
    server.sent(b"in the client's buffer")
    client.closed(by_us=True)
    server.closed(by_us=False, reset=True)
    capture.close()
    assert reassemble(capture.path) == [(b"", b"in the client's buffer")]
    assert ends(capture.path) == [(40001, "FA"), (40001, "RA")]


def test_what_comes_after_the_close_is_there_and_reset(tmp_path: Path) -> None:
    capture = Capture(tmp_path / "one.pcapng")
    client = capture.tcp(CLIENT, SERVER, initiator=True)
    server = capture.tcp(SERVER, CLIENT, initiator=False)
    client.closed(by_us=True)
    server.sent(b"on its way")
    server.sent(b"too late")
    server.closed(by_us=False)
    capture.close()
    assert ends(capture.path) == [(40001, "FA"), (52690, "PA"), (40001, "R")]
    assert payload(frames(capture.path)[-2][TCP]) == b"on its way"


@pytest.mark.parametrize("order", ["ours first", "theirs first"])
def test_a_half_close_is_the_fin_of_one_end(tmp_path: Path, order: str) -> None:
    capture = Capture(tmp_path / "one.pcapng")
    trace = capture.tcp(SERVER, CLIENT, initiator=False)
    trace.half_closed(by_us=order == "ours first")
    trace.half_closed(by_us=order == "ours first")
    if order == "ours first":
        trace.received(b"still here")
        trace.sent(b"impossible")
    else:
        trace.sent(b"still here")
    trace.closed(by_us=order != "ours first")
    capture.close()
    first, second = (52690, 40001) if order == "ours first" else (40001, 52690)
    assert ends(capture.path) == [(first, "FA"), (second, "PA"), (second, "FA"), (first, "A")]
    (stream,) = reassemble(capture.path)
    assert b"".join(stream) == b"still here"


def test_a_close_that_has_begun_is_ended_with_the_capture(tmp_path: Path) -> None:
    capture = Capture(tmp_path / "one.pcapng")
    client = capture.tcp(CLIENT, SERVER, initiator=True)
    capture.tcp(SERVER, CLIENT, initiator=False)
    client.closed(by_us=True)
    capture.close()
    assert ends(capture.path) == [(40001, "FA"), (52690, "FA"), (40001, "A")]


def test_the_other_end_stays_silent_when_it_opens_after_the_owner_has_closed(tmp_path: Path) -> None:
    capture = Capture(tmp_path / "one.pcapng")
    client = capture.tcp(CLIENT, SERVER, initiator=True)
    client.sent(b"abc")
    client.closed(by_us=True)
    server = capture.tcp(SERVER, CLIENT, initiator=False)
    server.received(b"abc")
    server.closed(by_us=False)
    capture.close()
    assert reassemble(capture.path) == [(b"abc", b"")]


def test_addresses_may_be_used_again_after_the_end(tmp_path: Path) -> None:
    capture = Capture(tmp_path / "one.pcapng")
    for text in (b"first", b"second"):
        client = capture.tcp(CLIENT, SERVER, initiator=True)
        server = capture.tcp(SERVER, CLIENT, initiator=False)
        client.sent(text)
        client.closed(by_us=True)
        server.closed(by_us=False)
    capture.close()
    assert reassemble(capture.path) == [(b"first", b""), (b"second", b"")]


def test_an_end_that_opens_twice_begins_a_new_connection(tmp_path: Path) -> None:
    capture = Capture(tmp_path / "one.pcapng")
    stale = capture.tcp(CLIENT, SERVER, initiator=True)
    fresh = capture.tcp(CLIENT, SERVER, initiator=True)
    stale.sent(b"lost")
    stale.closed(by_us=True)
    fresh.sent(b"kept")
    capture.close()
    assert reassemble(capture.path) == [(b"", b""), (b"kept", b"")]


def test_a_lost_other_end_is_forgotten_in_the_end(tmp_path: Path) -> None:
    capture = Capture(tmp_path / "one.pcapng")
    for port in range(1, 5000):
        capture.tcp(("127.0.0.1", port), SERVER, initiator=True).closed(by_us=True)
    assert len(capture._ended) <= 4096
    capture.close()


Event = tuple[int, str, bytes]

events = st.lists(
    st.tuples(
        st.integers(0, 3),
        st.sampled_from(["sent", "received", "close", "closed", "abort", "reset"]),
        st.one_of(st.binary(max_size=8), st.integers(1, 3 * SEGMENT).map(lambda size: bytes([size % 251]) * size)),
    ),
    max_size=30,
)


def play(capture: Capture, script: list[Event]) -> list[tuple[bytes, bytes]]:
    """Run the script over four pairs of addresses, one of them IPv6; gives what a reader must find.

    Both ends of the odd pairs live here, the client of pair 0 and the server of pair 2.
    """
    live: dict[int, tuple[Any, Any, bytearray, bytearray]] = {}
    expected: list[tuple[bytearray, bytearray]] = []
    for number, action, data in script:
        if number not in live:
            host = "::1" if number == 3 else f"127.0.0.{number + 1}"
            mine, theirs = (host, 50000 + number), (host, 52690)
            opens = [(mine, theirs, True), (theirs, mine, False)]
            first, second = opens if (len(data) if number % 2 else number == 0) % 2 else opens[::-1]
            trace = capture.tcp(*first)
            other = capture.tcp(*second) if number % 2 else None
            there, back = bytearray(), bytearray()
            expected.append((there, back))
            live[number] = (trace, other, there, back) if first[2] else (trace, other, back, there)
        trace, other, sent, received = live[number]
        if action == "sent":
            trace.sent(data)
            if other is not None:
                other.received(data)
            sent += data
        elif action == "received":
            if other is not None:
                other.sent(data)
            trace.received(data)
            received += data
        else:
            trace.closed(by_us=action in ("close", "abort"), reset=action in ("abort", "reset"))
            if other is not None:
                other.closed(by_us=action in ("closed", "reset"), reset=action in ("abort", "reset"))
            del live[number]
    return [(bytes(there), bytes(back)) for there, back in expected]


@given(events)
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_any_interleaving_reads_back_as_what_was_sent(tmp_path: Path, script: list[Event]) -> None:
    capture = Capture(tmp_path / "many.pcapng")
    expected = play(capture, script)
    capture.close()
    assert reassemble(capture.path) == expected


def long_script(seed: int) -> Iterator[Event]:
    rng = random.Random(seed)
    for _ in range(400):
        action = rng.choices(["sent", "received", "close", "closed", "abort", "reset"], [40, 40, 3, 3, 1, 1])[0]
        yield rng.randrange(4), action, rng.randbytes(rng.choice([0, 1, 2, 19, 300, SEGMENT, SEGMENT + 1, 70000]))


def test_tshark_finds_no_fault(tmp_path: Path, tshark: Callable[..., str]) -> None:
    capture = Capture(tmp_path / "many.pcapng")
    expected = play(capture, list(long_script(1)))
    for size in (0, 1, 511, 60000):
        capture.udp(CLIENT, ("127.0.0.2", 52691), b"u" * size)
        capture.udp(("::1", 1), ("::1", 52691), b"u" * size)
    capture.close()
    faults = "tcp.analysis.flags && !tcp.analysis.reused_ports"
    bad = " || ".join(f'{name}.checksum.status == "Bad"' for name in ("tcp", "ip", "udp"))
    assert tshark(capture.path, "-Y", f"({faults}) || {bad} || _ws.malformed") == ""
    good = tshark(capture.path, "-Y", 'tcp.checksum.status == "Good" || udp.checksum.status == "Good"')
    assert len(good.splitlines()) == capture.frames > 500
    lines = tshark(capture.path, "-T", "fields", "-e", "tcp.stream", "-e", "tcp.dstport", "-e", "tcp.payload")
    streams: dict[int, tuple[bytearray, bytearray]] = defaultdict(lambda: (bytearray(), bytearray()))
    for stream, port, data in (line.split("\t") for line in lines.splitlines() if not line.startswith("\t")):
        streams[int(stream)][0 if port == "52690" else 1].extend(bytes.fromhex(data))
    assert [(bytes(there), bytes(back)) for _, (there, back) in sorted(streams.items())] == expected


def test_tshark_follows_a_stream(tmp_path: Path, tshark: Callable[..., str]) -> None:
    capture = Capture(tmp_path / "one.pcapng")
    trace = capture.tcp(CLIENT, SERVER, initiator=True, comment="agent compute-1 to control-1")
    trace.sent(b"GET\n")
    trace.received(b"200\n")
    trace.closed(by_us=True)
    capture.close()
    followed = tshark(capture.path, "-q", "-z", "follow,tcp,ascii,0")
    assert "Node 0: 127.0.0.1:40001" in followed and "GET" in followed and "\t4\n200" in followed
    assert tshark(capture.path, "-T", "fields", "-e", "frame.comment").split("\n")[0] == "agent compute-1 to control-1"


def test_time_stamps_grow_even_when_the_clock_does_not(tmp_path: Path, ticks: Callable[[], float]) -> None:
    capture = Capture(tmp_path / "one.pcapng", clock=ticks)
    capture.tcp(CLIENT, SERVER, initiator=True).closed(by_us=True)
    capture.close()
    times = [float(packet.time) for packet in frames(capture.path)]
    assert times == sorted(set(times)) and int(times[0]) == 100 and int(times[-1]) == 200


def test_udp_checksums_and_frames_of_other_interfaces(tmp_path: Path) -> None:
    capture = Capture(tmp_path / "one.pcapng")
    capture.udp(("10.0.0.1", 6635), ("10.0.0.2", 6635), b"label")
    capture.frame(bytes(Ether(dst="02:00:00:00:00:01") / IP(dst="10.1.0.3")), "tap0", "ping")
    capture.frame(b"\x00" * 14, "tap1")
    capture.close()
    datagram = frames(capture.path)[0]
    assert payload(datagram[UDP]) == b"label"
    found = datagram[UDP].chksum
    del datagram[UDP].chksum
    assert Ether(bytes(datagram))[UDP].chksum == found
    reader = RawPcapNgReader(str(capture.path))
    metadata = [entry[1] for entry in reader]
    reader.close()
    assert [entry.ifname for entry in metadata] == [b"lo", b"tap0", b"tap1"]
    assert metadata[1].comments == [b"ping"]


def test_a_datagram_between_two_sockets_of_ours_is_written_once(tmp_path: Path) -> None:
    capture = Capture(tmp_path / "one.pcapng")
    one, other = capture.udp_socket(("127.0.0.1", 1000)), capture.udp_socket(("127.0.0.1", 2000))
    one.sent(("127.0.0.1", 2000), b"ours")
    other.received(("127.0.0.1", 1000), b"ours")
    other.received(("127.0.0.9", 9), b"theirs")
    one.closed()
    one.closed()
    one.sent(("127.0.0.1", 2000), b"after the end")
    other.received(("127.0.0.1", 1000), b"somebody else's now")
    capture.close()
    assert [payload(frame[UDP]) for frame in frames(capture.path)] == [b"ours", b"theirs", b"somebody else's now"]


def test_what_is_no_ip_address_is_refused(tmp_path: Path) -> None:
    capture = Capture(tmp_path / "one.pcapng")
    for local, remote in ((("localhost", 1), SERVER), (("::1", 1), SERVER), (("127.0.0.1", 70000), SERVER)):
        with pytest.raises(ValueError):
            capture.tcp(local, remote, initiator=True)
    with pytest.raises(ValueError):
        capture.udp(CLIENT, SERVER, bytes(65535))
    mapped = capture.tcp(("::ffff:127.0.0.1", 40001), ("::ffff:127.0.0.2", 52690), initiator=True)
    capture.tcp(SERVER, CLIENT, initiator=False).sent(b"the same connection")
    mapped.closed(by_us=True)
    capture.close()
    assert [str(frame[TCP].flags) for frame in frames(capture.path)].count("S") == 1
    assert all(IP in frame for frame in frames(capture.path))


def test_a_full_disk_ends_the_capture_and_nothing_else(tmp_path: Path) -> None:
    capture = Capture(tmp_path / "one.pcapng")
    trace = capture.tcp(CLIENT, SERVER, initiator=True)
    writes: list[bytes] = []

    class FullDisk:
        def write(self, data: bytes) -> int:
            writes.append(data)
            raise OSError(errno.ENOSPC, "No space left on device")

        def close(self) -> None:
            raise OSError(errno.ENOSPC, "No space left on device")

    assert capture._writer is not None
    capture._writer._stream = FullDisk()  # type: ignore[assignment]  # a disk that is full from now on
    trace.sent(b"x" * 40000)
    trace.closed(by_us=True)
    capture.udp(CLIENT, SERVER, b"more")
    capture.flush()
    capture.close()
    assert len(writes) == 1 and capture.closed
    assert capture.error is not None and capture.error.errno == errno.ENOSPC


def test_dev_full_is_reported_by_flush() -> None:
    capture = Capture("/dev/full")
    capture.udp(CLIENT, SERVER, b"more")
    assert capture.error is None
    capture.flush()
    assert capture.error is not None and capture.closed


def test_flush_makes_everything_readable(tmp_path: Path) -> None:
    capture = Capture(tmp_path / "one.pcapng")
    capture.udp(CLIENT, SERVER, b"more")
    capture.flush()
    assert len(frames(capture.path)) == 1
    capture.close()
    capture.close()


@given(st.binary(min_size=1, max_size=64).filter(any))
def test_checksum_is_that_of_rfc_1071(data: bytes) -> None:
    padded = data + b"\x00" * (len(data) % 2)
    total = sum(int.from_bytes(padded[at : at + 2], "big") for at in range(0, len(padded), 2))
    while total > 0xFFFF:
        total = (total & 0xFFFF) + (total >> 16)
    assert packets.checksum(data) == total ^ 0xFFFF

"""Two of our own speakers over real sockets on loopback: what memory transports cannot show."""

from __future__ import annotations

import shutil
import socket
import subprocess
from dataclasses import replace
from typing import Any

import pytest
from interop.bench import OURS, THEIRS, Bench

from contrail_emulator.base.pcap import Capture
from contrail_emulator.control.bgp.family import Family
from contrail_emulator.control.bgp.fsm import State
from contrail_emulator.control.bgp.md5 import Md5Error, set_md5
from contrail_emulator.control.bgp.neighbour import Peer
from contrail_emulator.control.bgp.settings import PeerSettings
from contrail_emulator.control.bgp.speaker import Speaker


def pair(bench: Bench, left: dict[str, Any], right: dict[str, Any]) -> tuple[Speaker, Speaker, Peer, Peer]:
    """Speakers on 127.0.1.1 and 127.0.1.2, the second one passive unless it says otherwise."""
    first = bench.speaker()
    second = bench.speaker(address=THEIRS, router_id="10.255.0.2")
    to_second = first.add_peer(
        PeerSettings(**{"name": "second", "address": THEIRS, "port": second.port, "autonomous_system": 64512, **left})
    )
    to_first = second.add_peer(
        PeerSettings(
            **{
                "name": "first",
                "address": OURS,
                "port": first.port,
                "autonomous_system": 64512,
                "passive": True,
                **right,
            }
        )
    )
    return first, second, to_second, to_first


def is_up(*peers: Peer) -> bool:
    return all(peer.state is State.ESTABLISHED for peer in peers)


@pytest.mark.parametrize("right_passive", [True, False])
def test_md5_with_the_same_key(bench: Bench, right_passive: bool) -> None:
    _, _, left, right = pair(bench, {"md5": "sesame"}, {"md5": "sesame", "passive": right_passive})
    bench.until(lambda: is_up(left, right), "session")


@pytest.mark.parametrize("keys", [("one", "two"), ("one", None), (None, "two")])
def test_md5_with_different_keys(bench: Bench, keys: tuple[str | None, str | None]) -> None:
    _, _, left, right = pair(bench, {"md5": keys[0]}, {"md5": keys[1], "passive": False})
    bench.turn(1.5)
    assert left.counters.established == right.counters.established == 0


def test_md5_key_change_clears_the_session_and_takes_effect(bench: Bench) -> None:
    first, second, left, right = pair(bench, {"md5": "old"}, {"md5": "old"})
    bench.until(lambda: is_up(left, right), "session with the old key")
    second.update_peer(replace(right.settings, md5="new"))
    bench.turn(2.5)
    assert left.state is not State.ESTABLISHED
    first.update_peer(replace(left.settings, md5="new"))
    bench.until(lambda: is_up(left, right), "session with the new key")
    first.update_peer(replace(left.settings, md5=None))
    second.update_peer(replace(right.settings, md5=None))
    bench.until(lambda: is_up(left, right), "session without a key")


def test_md5_key_goes_with_its_peer(bench: Bench) -> None:
    _, second, left, right = pair(bench, {}, {"md5": "sesame"})
    bench.turn(1)
    assert not is_up(left)
    second.remove_peer("first")
    second.add_peer(replace(right.settings, md5=None))
    bench.until(lambda: is_up(left), "session without a key")


@pytest.mark.parametrize("key", [None, "sesame"])
def test_ipv4_peer_behind_a_socket_on_the_ipv6_wildcard(bench: Bench, key: str | None) -> None:
    """Its key and its traffic class are those of IPv4, although the socket is one of IPv6."""
    if not has_ipv6():
        return
    first = bench.speaker(address="::", router_id="10.255.0.3", dscp=48)
    second = bench.speaker(address=THEIRS, router_id="10.255.0.2")
    here = first.add_peer(PeerSettings(name="r", address=THEIRS, passive=True, autonomous_system=64512, md5=key))
    there = second.add_peer(
        PeerSettings(name="l", address=OURS, port=first.port or 0, autonomous_system=64512, md5=key)
    )
    bench.until(lambda: is_up(here, there), "session")
    transport = here.session_transport
    assert transport is not None and transport.socket is not None
    assert transport.socket.family == socket.AF_INET6
    assert transport.socket.getsockopt(socket.IPPROTO_IP, socket.IP_TOS) >> 2 == 48
    if key is not None:
        first.update_peer(replace(here.settings, md5="other"))
        bench.turn(2.5)
        assert not is_up(here)


def test_ipv6_session_with_key_and_traffic_class(bench: Bench) -> None:
    if not has_ipv6():
        return
    first = bench.speaker(address="::1", dscp=34)
    settings = PeerSettings(name="them", address="::1", passive=True, autonomous_system=64513, md5="sesame")
    here = first.add_peer(settings)
    second = bench.speaker(address="::1", router_id="10.255.0.2", autonomous_system=64513)
    there = second.add_peer(replace(settings, passive=False, port=first.port or 0, autonomous_system=64512))
    bench.until(lambda: is_up(here, there), "session")
    transport = here.session_transport
    assert transport is not None and transport.socket is not None
    assert transport.socket.getsockopt(socket.IPPROTO_IPV6, socket.IPV6_TCLASS) >> 2 == 34


def test_key_of_an_ipv6_peer_does_not_trouble_an_ipv4_listener(bench: Bench) -> None:
    """Nobody of that address can come in there."""
    speaker = bench.speaker()
    peer = speaker.add_peer(
        PeerSettings(name="p", address="2001:db8::1", passive=True, autonomous_system=64512, md5="sesame")
    )
    speaker.update_peer(replace(peer.settings, md5="other"))
    speaker.remove_peer("p")


def has_ipv6() -> bool:
    """Some machines have it switched off. There is nothing to test then, and CI would take a skip for a failure."""
    try:
        with socket.socket(socket.AF_INET6) as sock:
            sock.bind(("::1", 0))
    except OSError:
        return False
    return True


def test_md5_key_too_long_and_bad_socket() -> None:
    with pytest.raises(ValueError, match="1 to 80"):
        PeerSettings(name="x", address=OURS, autonomous_system=1, md5="k" * 81)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock, pytest.raises(Md5Error, match="TCP MD5"):
        set_md5(sock, OURS, "key")


def test_dscp_on_both_ends(bench: Bench) -> None:
    first = bench.speaker(dscp=48)
    second = bench.speaker(address=THEIRS, router_id="10.255.0.2", dscp=34)
    families = (Family.INET,)
    left = first.add_peer(
        PeerSettings(name="l", address=THEIRS, port=second.port or 0, autonomous_system=64512, families=families)
    )
    right = second.add_peer(
        PeerSettings(name="r", address=OURS, passive=True, autonomous_system=64512, families=families)
    )
    bench.until(lambda: is_up(left, right), "session")
    marks = []
    for peer in (left, right):
        transport = peer.session_transport
        assert transport is not None and transport.socket is not None
        marks.append(transport.socket.getsockopt(socket.IPPROTO_IP, socket.IP_TOS) >> 2)
        assert transport.socket.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)
    assert marks == [48, 34]
    transport = left.session_transport
    assert transport is not None and transport.socket is not None
    for dscp in (10, 0):
        first.update(replace(first.settings, dscp=dscp))
        assert transport.socket.getsockopt(socket.IPPROTO_IP, socket.IP_TOS) >> 2 == dscp
    bench.turn(0.2)
    assert is_up(left, right), "a live session takes another traffic class"
    assert left.counters.flaps == 0


def test_both_connect_and_one_session_results(bench: Bench) -> None:
    _, _, left, right = pair(bench, {}, {"passive": False})
    bench.until(lambda: is_up(left, right), "session")
    bench.turn(1)
    assert is_up(left, right)
    assert left.local_address == right.remote_address
    assert left.remote_address == right.local_address


def test_refused_client_reads_the_reason(bench: Bench) -> None:
    """Although it spoke first: its bytes are read away, so that closing does not reset the connection."""
    speaker = bench.speaker()
    with socket.socket() as client:
        client.bind(("127.0.1.9", 0))
        client.connect((OURS, speaker.port or 0))
        client.sendall(b"\xff" * 2000)
        client.setblocking(False)
        heard = b""

        def read() -> bool:
            nonlocal heard
            try:
                data = client.recv(4096)
            except BlockingIOError:
                return False
            heard += data
            return not data

        bench.until(read, "end of the connection")
    assert heard.hex() == "ff" * 16 + "0015030603"


def test_peer_that_stops_reading_over_tcp(bench: Bench) -> None:
    """Both kernels' buffers fill, then 64 KB of ours, then `send` says stop; nothing is lost."""
    _, second, left, right = pair(bench, {}, {})
    bench.until(lambda: is_up(left, right), "session")
    right.pause_reading()
    message = b"\xff" * 16 + bytes.fromhex("0017 02 0000 0000")
    sent = 0
    stuck = False
    while not stuck:
        while left.send(message * 100):
            sent += 2300
        bench.turn(0.05)
        stuck = left.blocked
        assert sent < 20_000_000, "buffers without end"
    right.resume_reading()
    bench.until(lambda: not left.blocked, "room again")
    bench.until(lambda: right.counters.rx.update == left.counters.tx.update, "every message over there")
    assert is_up(left, right)
    assert second.refused == 0


def test_capture_of_a_session(bench: Bench) -> None:
    """tshark finds the same messages in our capture and nothing malformed."""
    tshark = shutil.which("tshark")
    if tshark is None:
        pytest.skip("tshark is not installed")
    path = bench.directory / "bgp.pcapng"
    capture = Capture(path, clock=bench.reactor.seconds)
    first = bench.speaker(capture=capture)
    second = bench.speaker(address=THEIRS, router_id="10.255.0.2")
    right = second.add_peer(PeerSettings(name="r", address=OURS, passive=True, autonomous_system=64512))
    left = first.add_peer(PeerSettings(name="l", address=THEIRS, port=second.port or 0, autonomous_system=64512))
    bench.until(lambda: is_up(left, right), "session")
    port = second.port
    left.send_end_of_rib(Family.INET_VPN)
    bench.turn(0.2)
    left.clear()
    bench.until(lambda: not is_up(left), "the end")
    bench.turn(0.3)
    bench.close()
    capture.close()
    decode_as = f"tcp.port=={port},bgp"
    arguments = [tshark, "-r", str(path), "-d", decode_as, "-T", "fields", "-e", "bgp.type", "-Y", "bgp"]
    shown = subprocess.run(arguments, capture_output=True, text=True, check=True, timeout=60).stdout
    types = [int(number) for line in shown.split() for number in line.split(",")]
    assert sorted(types)[:2] == [1, 1]
    assert {1, 2, 3, 4} == set(types)
    wrong = [tshark, "-r", str(path), "-d", decode_as, "-Y", "_ws.malformed || _ws.expert.severity >= 0x800000"]
    assert subprocess.run(wrong, capture_output=True, text=True, check=True, timeout=60).stdout == ""

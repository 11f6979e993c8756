"""What the kernel saw of the same run: our capture is drawn from sockets, and must tell the same story."""

from __future__ import annotations

from pathlib import Path

import pytest
from pcap.conftest import LAST, DemoRun
from pcap.evidence import Socket, Stream, datagrams, streams


@pytest.fixture
def kernel(demo: DemoRun) -> Path:
    if demo.kernel is None:
        pytest.skip(demo.why_no_kernel)
    return demo.kernel


def by_addresses(path: Path) -> dict[tuple[Socket, Socket], Stream]:
    """The connections on which something was said; what was refused (ExaBGP's early attempts) says nothing."""
    return {(each.client, each.server): each for each in streams(path) if each.sent or each.answered}


def test_every_stream_byte_for_byte(demo: DemoRun, kernel: Path) -> None:
    ours, theirs = by_addresses(demo.path), by_addresses(kernel)
    assert ours.keys() == theirs.keys() and len(ours) == 5
    for pair, stream in ours.items():
        assert stream.sent == theirs[pair].sent, pair
        assert stream.answered == theirs[pair].answered, pair


def test_every_stream_ends_the_same_way(demo: DemoRun, kernel: Path) -> None:
    """Who sent FIN and who sent RST; two FINs at the same moment may be written in either order."""

    def ends(stream: Stream) -> set[tuple[str, str]]:
        return {(who, letter) for who, flags in stream.flags for letter in flags if letter in "FR"}

    ours, theirs = by_addresses(demo.path), by_addresses(kernel)
    assert {pair: ends(stream) for pair, stream in ours.items()} == {
        pair: ends(stream) for pair, stream in theirs.items()
    }


def test_every_datagram(demo: DemoRun, kernel: Path) -> None:
    seen = datagrams(kernel)
    (marker,) = [key for key in seen if key[2] == LAST]
    del seen[marker]
    assert datagrams(demo.path) == seen
    assert len(seen) == 5, "echo request, echo reply, the packet to the gateway, the DNS query and its answer"

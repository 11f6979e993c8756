"""A floor under the speed of the plain paths, in processor time so that a busy machine does not matter."""

from __future__ import annotations

import sys
import time
from typing import TYPE_CHECKING

import pytest
from scapy.all import IP, UDP, Ether

if TYPE_CHECKING:
    from vrouter_model.conftest import Lab

A_MAC, B_MAC, GATEWAY_MAC = "02:88:67:0c:2e:11", "02:e7:03:ea:67:f1", "00:00:5e:00:01:00"
PACKETS_PER_SECOND = 20_000
COUNT = 1000


@pytest.mark.skipif(sys.gettrace() is not None, reason="a tracer is measuring something else")
@pytest.mark.parametrize(
    ("mac", "destination"), [(B_MAC, "1.1.1.5"), (GATEWAY_MAC, "1.1.1.5"), (GATEWAY_MAC, "1.1.1.6")]
)
def test_twenty_thousand_packets_a_second(lab: Lab, mac: str, destination: str) -> None:
    """Bridged, routed, and routed into a tunnel, each through an established flow. The best of six rounds counts."""
    host = lab.Host()
    host.network(2)
    host.machine(3, 2, lab.mac(A_MAC), "1.1.1.4")
    host.machine(4, 2, lab.mac(B_MAC), "1.1.1.5")
    host.tunnel(21, "8.0.0.3")
    host.remote(2, "1.1.1.6", 21, 20)
    host.auto_flows()
    frame = bytes(Ether(dst=mac, src=A_MAC) / IP(src="1.1.1.4", dst=destination) / UDP(sport=5, dport=6) / bytes(100))
    best = 0.0
    for _ in range(6):
        start = time.process_time()
        for _ in range(COUNT):
            host.vr.receive(3, frame)
        best = max(best, COUNT / (time.process_time() - start))
    assert len(host.sent[0]) + len(host.sent[4]) == 6 * COUNT
    assert best > PACKETS_PER_SECOND

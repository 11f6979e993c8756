"""A second judge for the bytes on the fabric: tshark's own dissectors."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from scapy.all import ICMP, IP, Ether, wrpcap

from contrail_emulator.vrouter_model.rows import NhFlag

if TYPE_CHECKING:
    from vrouter_model.conftest import Lab

A_MAC, B_MAC, GATEWAY_MAC = "02:88:67:0c:2e:11", "02:e7:03:ea:67:f1", "00:00:5e:00:01:00"


@pytest.mark.skipif(shutil.which("tshark") is None, reason="tshark is not installed")
def test_tshark_reads_every_encapsulation_without_complaint(lab: Lab, tmp_path: Path) -> None:
    host = lab.Host()
    host.network(2)
    host.machine(3, 2, lab.mac(A_MAC), "1.1.1.4")
    host.auto_flows()
    kinds = ((21, NhFlag.TUNNEL_UDP_MPLS), (22, NhFlag.TUNNEL_GRE), (23, NhFlag.TUNNEL_VXLAN))
    for nh_id, kind in kinds:
        host.tunnel(nh_id, f"8.0.0.{nh_id}", kind)
        host.remote(2, f"1.1.2.{nh_id}", nh_id, 1000 + nh_id, hardware=bytes((2, 0, 0, 0, 0, nh_id)), l2_label=5)
    for number in (21, 22):
        frame = Ether(dst=GATEWAY_MAC, src=A_MAC) / IP(src="1.1.1.4", dst=f"1.1.2.{number}") / ICMP(id=7)
        host.receive(3, frame)
    bridged = Ether(dst="02:00:00:00:00:17", src=A_MAC) / IP(src="1.1.1.4", dst="1.1.2.23") / ICMP(id=7)
    host.receive(3, bridged)
    path = tmp_path / "fabric.pcap"
    wrpcap(str(path), [Ether(frame) for frame in host.sent[0]])
    fields = (
        "frame.protocols",
        "ip.dst",
        "mpls.label",
        "mpls.bottom",
        "vxlan.vni",
        "ip.checksum.status",
        "_ws.malformed",
    )
    command = ["tshark", "-r", str(path), "-o", "ip.check_checksum:TRUE", "-T", "fields", "-E", "separator=/s"]
    for field in fields:
        command += ["-e", field]
    result = subprocess.run(command, capture_output=True, text=True, timeout=30, check=True)
    lines = [line.split(" ") for line in result.stdout.splitlines()]
    assert [line[1] for line in lines] == ["8.0.0.21,1.1.2.21", "8.0.0.22,1.1.2.22", "8.0.0.23,1.1.2.23"]
    assert [line[2] for line in lines] == ["1021", "1022", ""]
    assert [line[4] for line in lines] == ["", "", "5"]
    assert all(line[5] == "1,1" for line in lines), "outer and inner header checksums are good"
    assert all(not line[6] for line in lines)
    assert lines[0][0].startswith("eth:ethertype:ip:udp:mpls:") and lines[0][0].endswith("ip:icmp")
    assert lines[1][0].startswith("eth:ethertype:ip:gre:mpls:") and lines[2][0].endswith("vxlan:eth:ethertype:ip:icmp")

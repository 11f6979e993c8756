"""The tables as the real utilities show them (reference 12)."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest
from scapy.all import IP, UDP, Ether

from contrail_emulator.vrouter_model import views
from contrail_emulator.vrouter_model.rows import (
    Family,
    Flow,
    FlowAction,
    FlowDrop,
    FlowFlag,
    FlowKey,
    NextHop,
    NhFlag,
    NhType,
)

if TYPE_CHECKING:
    from vrouter_model.conftest import Host, Lab

A_MAC, B_MAC = "02:88:67:0c:2e:11", "02:e7:03:ea:67:f1"
A, B = "1.1.1.4", "1.1.1.5"


@pytest.fixture
def host(lab: Lab) -> Host:
    host = lab.Host()
    host.network(2)
    host.machine(3, 2, lab.mac(A_MAC), A, address6="fd00::4")
    host.machine(4, 2, lab.mac(B_MAC), B)
    host.tunnel(21, "8.0.0.3")
    host.remote(2, "1.1.1.6", 21, 20, hardware=bytes.fromhex("020000000016"), l2_label=120)
    host.vxlan(5, 95, 2)
    host.add(
        NextHop(
            80,
            NhType.COMPOSITE,
            Family.INET,
            NhFlag.VALID | NhFlag.COMPOSITE_ECMP,
            2,
            nh_list=(21, 999),
            label_list=(20, 7),
        )
    )
    host.auto_flows()
    host.receive(3, Ether(dst=B_MAC, src=A_MAC) / IP(src=A, dst=B) / UDP(sport=5, dport=6))
    host.receive(3, Ether(dst="02:00:00:00:00:99", src=A_MAC) / IP(src=A, dst=B) / UDP(sport=5, dport=6))
    return host


def test_everything_goes_into_json(host: Host) -> None:
    pages = (
        views.interfaces,
        views.next_hops,
        views.routes,
        views.bridge,
        views.labels,
        views.vxlans,
        views.flows,
        views.drop_statistics,
        views.vrf_statistics,
        views.totals,
    )
    for page in pages:
        shown = json.loads(json.dumps(page(host.vr)))
        assert shown, page.__name__


def test_an_interface(host: Host) -> None:
    row = next(row for row in views.interfaces(host.vr) if row["vif"] == "vif0/3")
    assert (row["Type"], row["Flags"], row["Vrf"], row["NH"]) == ("Virtual", "PL3L2D", 2, 30)
    assert row["RX"]["packets"] == 2 and row["Drops"] == 1 and row["connected"]


def test_next_hops_and_components(host: Host) -> None:
    rows = {row["Id"]: row for row in views.next_hops(host.vr)}
    assert rows[0]["Type"] == "Drop" and rows[1]["Type"] == "L2 Receive"
    assert (rows[21]["Sip"], rows[21]["Dip"], rows[21]["Oif"]) == ("8.0.0.2", "8.0.0.3", [0])
    assert rows[80]["Sub NH(label)"] == [{"nh": 21, "label": 20}, {"nh": None, "label": 7}]
    assert rows[30]["Encap Data"].startswith("02 88 67")


def test_routes(host: Host) -> None:
    rows = {row["Destination"]: row for row in views.routes(host.vr, 2)}
    assert set(rows) == {f"{A}/32", f"{B}/32", "1.1.1.6/32", "fd00::4/128"}
    assert (rows["1.1.1.6/32"]["Flags"], rows["1.1.1.6/32"]["Label"]) == ("LP", 20)
    assert rows[f"{A}/32"]["Stitched MAC"] == A_MAC and rows[f"{A}/32"]["Label"] is None
    assert {row["DestMac"] for row in views.bridge(host.vr, 2)} >= {A_MAC, B_MAC, "00:00:5e:00:01:00"}
    assert views.bridge(host.vr, 9) == []


def test_flows(host: Host, lab: Lab) -> None:
    rows = {row["Source"]: row for row in views.flows(host.vr)}
    there, back = rows[f"{A}:5"], rows[f"{B}:6"]
    assert (there["Rindex"], back["Rindex"]) == (back["Index"], there["Index"])
    assert (there["Action"], there["K(nh)"], there["Stats"]["packets"]) == ("F", 30, 2)
    key = FlowKey(30, lab.ip(A), lab.ip("9.9.9.9"), 17, 7, 8)
    host.vr.flow_set(
        Flow(
            key,
            action=FlowAction.DROP,
            flags=FlowFlag.ACTIVE | FlowFlag.VRFT,
            vrf=2,
            dvrf=3,
            drop_reason=FlowDrop.SG,
            ecmp_nh_index=1,
        )
    )
    row = next(row for row in views.flows(host.vr) if row["Action"] == "D")
    assert (row["Drop reason"], row["Dvrf"], row["E"]) == ("SG", 3, 1)


def test_a_held_flow_says_how_many_packets_wait(host: Host) -> None:
    host.on_trap = None
    host.receive(3, Ether(dst=B_MAC, src=A_MAC) / IP(src=A, dst=B) / UDP(sport=50, dport=60))
    row = next(row for row in views.flows(host.vr) if row["Action"] == "H")
    assert row["Held"] == 1


def test_counters(host: Host) -> None:
    shown = views.drop_statistics(host.vr)
    assert shown["No L2 Route"] == 1 and sum(shown.values()) == 1
    assert next(iter(shown)) == "Invalid IF"
    assert views.vrf_statistics(host.vr) == [{"Vrf": 2, "l2_encaps": 1}]
    assert views.totals(host.vr)["sent"] == 1

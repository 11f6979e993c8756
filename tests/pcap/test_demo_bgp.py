"""BGP in the demo's capture, as tshark dissects it: every message the exchange needs, with the content it must have."""

from __future__ import annotations

import re
from ipaddress import IPv4Address

import pytest
from pcap.conftest import DemoRun
from pcap.evidence import Tshark

OPEN, UPDATE, NOTIFICATION, KEEPALIVE = "1", "2", "3", "4"
GATEWAY_NLRI = ("203.0.113.0", "65001:1", 1000)
Announced = tuple[str, str, int]
"""Prefix (its address), route distinguisher, label."""


@pytest.fixture
def us(demo: DemoRun) -> str:
    return str(demo.file.control_nodes[0].address)


@pytest.fixture
def gateway(demo: DemoRun) -> str:
    return str(demo.file.bgp_peers[0].address)


def messages(demo: DemoRun, tshark: Tshark, source: str) -> list[str]:
    """The message types one side sent, in order."""
    rows = tshark.fields(demo.path, f"bgp && ip.src == {source}", "bgp.type")
    return [kind for (kinds,) in rows for kind in kinds]


def updates(demo: DemoRun, tshark: Tshark, source: str) -> list[str]:
    """The UPDATEs of one side as tshark explains them, in order."""
    text = tshark.run(demo.path, "-Y", f"bgp.type == 2 && ip.src == {source}", "-O", "bgp")
    parts = re.split(r"(?m)^Border Gateway Protocol - (\w+) Message$", text)
    return [body for kind, body in zip(parts[1::2], parts[2::2], strict=True) if kind == "UPDATE"]


def nlri(update: str, kind: str) -> list[Announced]:
    """The VPN prefixes of an UPDATE; `kind` is Reach or Unreach."""
    pattern = rf"Label Stack: (\d+) \S*\s+Route Distinguisher: (\S+)\s+MP {kind} NLRI IPv4 prefix: (\S+)"
    return [(prefix, distinguisher, int(label)) for label, distinguisher, prefix in re.findall(pattern, update)]


def targets(update: str) -> set[str]:
    return {f"target:{value}" for value in re.findall(r"Route Target: (\S+)", update)}


def test_each_side_opens_once_and_agrees(demo: DemoRun, tshark: Tshark, us: str, gateway: str) -> None:
    ours, theirs = messages(demo, tshark, us), messages(demo, tshark, gateway)
    assert ours.count(OPEN) == 1 and theirs.count(OPEN) == 1
    assert ours[:2] == [OPEN, KEEPALIVE] and theirs[:2] == [OPEN, KEEPALIVE]
    assert {OPEN, UPDATE, KEEPALIVE, NOTIFICATION} >= set(ours + theirs)
    names = ("ip.src", "bgp.open.myas", "bgp.open.identifier", "bgp.cap.mp.safi")
    rows = tshark.fields(demo.path, "bgp.type == 1", *names)
    assert {(source, number, name, tuple(sorted(safis))) for (source,), (number,), (name,), safis in rows} == {
        (us, "64512", "10.255.0.1", ("1", "128")),
        (gateway, "65001", "10.255.1.1", ("1", "128")),
    }


def test_as_many_updates_as_there_is_to_say(demo: DemoRun, tshark: Tshark, us: str, gateway: str) -> None:
    """The gateway: its route, its withdrawal, the route again, and End-of-RIB of two families. We: three routes, and
    their withdrawal as their agents leave; an agent's machines may share a withdrawal, and a route may be sent again
    when traffic moves its MAC's sequence number."""
    assert len(updates(demo, tshark, gateway)) == 5
    assert 3 + 2 <= len(updates(demo, tshark, us)) <= 3 + 3 + 3


def test_our_routes(demo: DemoRun, tshark: Tshark, us: str) -> None:
    said = updates(demo, tshark, us)
    first: dict[str, tuple[str, int, str]] = {}
    for update in said:
        for prefix, distinguisher, label in nlri(update, "Reach"):
            first.setdefault(prefix, (distinguisher, label, update))
    assert set(first) == {"10.1.0.3", "10.1.0.4", "10.2.0.3"}
    where = {"10.1.0.3": "10.255.2.1", "10.1.0.4": "10.255.2.2", "10.2.0.3": "10.255.2.1"}
    for prefix, (distinguisher, label, update) in first.items():
        address, _, number = distinguisher.partition(":")
        assert address == where[prefix] and int(number) > 0, "RD: the vRouter's tunnel address and its instance id"
        assert label >= 16, "labels below 16 are reserved"
        assert f"IPv4 Address: {where[prefix]}" in update, "the next hop is the vRouter's tunnel address"
        assert ("target:64512:100" if prefix.startswith("10.1.") else "target:64512:200") in targets(update)
        assert "MPLS in UDP Encapsulation" in update
        assert "AS_PATH: 64512" in update and "ORIGIN: IGP" in update
        assert "LOCAL_PREF" not in update, "an external peer gets none"
    distinguishers = {prefix: distinguisher for prefix, (distinguisher, _, _) in first.items()}
    assert distinguishers["10.1.0.3"] != distinguishers["10.2.0.3"], "blue and red are different instances"


def test_the_gateways_route_comes_goes_and_comes_back(demo: DemoRun, tshark: Tshark, gateway: str) -> None:
    said = updates(demo, tshark, gateway)
    story = [(kind, entry) for update in said for kind in ("Reach", "Unreach") for entry in nlri(update, kind)]
    assert story == [("Reach", GATEWAY_NLRI), ("Unreach", GATEWAY_NLRI), ("Reach", GATEWAY_NLRI)]
    (first, _) = [update for update in said if nlri(update, "Reach")]
    assert targets(first) == {"target:64512:100"}
    assert "IPv4 Address: 10.255.1.1" in first and "Prefix Length: 112" in first, "label, RD and 24 bits of prefix"


def test_end_of_rib(demo: DemoRun, tshark: Tshark, us: str, gateway: str) -> None:
    """RFC 4724: an UPDATE that withdraws nothing, 23 bytes for IPv4 unicast and an empty MP_UNREACH for the rest. Ours
    is held back in the first minute (reference/bgp.md 1.9), which the R bit of our OPEN announces."""
    theirs = updates(demo, tshark, gateway)
    assert [update for update in theirs if "Length: 23\n" in update and "Total Path Attribute Length: 0" in update]
    (vpn,) = [update for update in theirs if "MP_UNREACH_NLRI" in update and not nlri(update, "Unreach")]
    assert "Labeled VPN Unicast (128)" in vpn and "Length: 30\n" in vpn
    for update in updates(demo, tshark, us):
        assert nlri(update, "Reach") or nlri(update, "Unreach")
    flag = tshark.fields(demo.path, f"bgp.type == 1 && ip.src == {us}", "bgp.cap.gr.timers.restart_flag")
    assert flag == [(["1"],)]


def test_at_the_end_routes_are_withdrawn_and_the_session_ceases(
    demo: DemoRun, tshark: Tshark, us: str, gateway: str
) -> None:
    withdrawn = [entry[:2] for update in updates(demo, tshark, us) for entry in nlri(update, "Unreach")]
    announced = {entry[:2] for update in updates(demo, tshark, us) for entry in nlri(update, "Reach")}
    assert sorted(withdrawn, key=lambda entry: IPv4Address(entry[0])) == sorted(announced)
    assert messages(demo, tshark, us)[-1] == NOTIFICATION
    assert NOTIFICATION not in messages(demo, tshark, gateway)
    names = ("bgp.notify.major_error", "bgp.notify.minor_error_cease")
    assert tshark.fields(demo.path, "bgp.type == 3", *names) == [(["6"], ["2"])], "Cease, Administrative Shutdown"

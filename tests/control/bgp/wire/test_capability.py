"""Capabilities, and what two OPENs agree on."""

import pytest
from control.bgp.wire import strategies as s
from hypothesis import given
from hypothesis import strategies as st

from contrail_emulator.base.behaviour import CONTRAIL, RFC
from contrail_emulator.control.bgp import capability
from contrail_emulator.control.bgp.capability import (
    Capability,
    FourOctetAs,
    GracefulRestart,
    LongLivedFamily,
    LongLivedGracefulRestart,
    Multiprotocol,
    RestartFamily,
    UnknownCapability,
)
from contrail_emulator.control.bgp.family import Family
from contrail_emulator.control.bgp.message import Open
from contrail_emulator.control.bgp.negotiation import negotiate

PRINTED = [
    ("010400010001", Multiprotocol(1, 1), "multiprotocol inet"),
    ("010400190046", Multiprotocol.of(Family.E_VPN), "multiprotocol e-vpn"),
    ("010440040047", Multiprotocol(16388, 71), "multiprotocol 16388/71"),
    ("4104fa56ea00", FourOctetAs(4200000000), "four-octet-as 4200000000"),
    ("40020000", GracefulRestart(0), "graceful-restart 0 s"),
    ("40028000", GracefulRestart(0, (), True), "graceful-restart R 0 s"),
    (
        "400a412c0001018000018080",
        GracefulRestart(300, (RestartFamily.of(Family.INET), RestartFamily.of(Family.INET_VPN)), False, True),
        "graceful-restart N 300 s inet+F inet-vpn+F",
    ),
    ("4706000100", UnknownCapability(71, b"\0\1\0"), "long-lived-graceful-restart 000100"),
    (
        "47070001808000012c",
        LongLivedGracefulRestart((LongLivedFamily.of(Family.INET_VPN, 300),)),
        "long-lived-graceful-restart inet-vpn+F 300 s",
    ),
    ("0200", UnknownCapability(2), "route-refresh"),
    ("8000", UnknownCapability(128), "route-refresh-cisco"),
    ("0600", UnknownCapability(6), "extended-message"),
    ("4600", UnknownCapability(70), "enhanced-route-refresh"),
    ("0506000100800002", UnknownCapability(5, bytes.fromhex("000100800002")), "extended-next-hop inet-vpn via afi 2"),
    (
        "45080001010300020102",
        UnknownCapability(69, bytes.fromhex("0001010300020102")),
        "add-path inet both, inet6 send",
    ),
    ("090104", UnknownCapability(9, b"\x04"), "role peer"),
    ("090109", UnknownCapability(9, b"\x09"), "role 09"),
    ("490703667272026576", UnknownCapability(73, bytes.fromhex("03667272026576")), "fqdn frr.ev"),
    ("4b0403312e30", UnknownCapability(75, bytes.fromhex("03312e30")), "software-version 1.0"),
    ("ef01ab", UnknownCapability(239, b"\xab"), "capability-239 ab"),
]


@pytest.mark.parametrize(("wire", "value", "text"), PRINTED, ids=[case[2] for case in PRINTED])
def test_capability(wire: str, value: Capability, text: str) -> None:
    raw = bytes.fromhex(wire)
    raw = raw[:1] + bytes((len(raw) - 2,)) + raw[2:]
    assert value.encode() == raw
    assert capability.parse(raw) == [value]
    assert value.text == text


@given(st.lists(s.capabilities, max_size=6))
def test_round_trip(values: list[Capability]) -> None:
    assert capability.parse(b"".join(value.encode() for value in values)) == values


@given(st.binary(max_size=60))
def test_any_bytes_are_capabilities_or_a_value_error(data: bytes) -> None:
    try:
        values = capability.parse(data)
    except ValueError:
        return
    assert len(b"".join(value.encode() for value in values)) == len(data)
    assert capability.parse(b"".join(value.encode() for value in values)) == values
    assert capability.text(values).count(";") >= len(values) - 1


def test_a_length_that_cannot_be_is_kept_as_bytes() -> None:
    for wire in ("010300010001", "410300000000", "400100", "4003000000"):
        raw = bytes.fromhex(wire)[: 2 + bytes.fromhex(wire)[1]]
        (value,) = capability.parse(raw)
        assert isinstance(value, UnknownCapability)
        assert value.encode() == raw


LOCAL = Open.make(
    64512, 90, 1, (*map(Multiprotocol.of, (Family.INET, Family.INET_VPN, Family.E_VPN)), FourOctetAs(64512))
)


def test_negotiate() -> None:
    remote = Open.make(
        4200000000,
        30,
        7,
        (
            Multiprotocol.of(Family.E_VPN),
            Multiprotocol.of(Family.INET),
            FourOctetAs(4200000000),
            GracefulRestart(5),
            UnknownCapability(2),
        ),
    )
    agreed = negotiate(LOCAL, remote)
    assert agreed.families == (Family.INET, Family.E_VPN)
    assert (agreed.as4, agreed.ibgp, agreed.hold_time, agreed.peer_as) == (True, False, 30, 4200000000)
    assert agreed.peer_identifier == 7
    assert agreed.graceful_restart == GracefulRestart(5)
    assert agreed.route_refresh


def test_negotiate_with_an_old_speaker() -> None:
    agreed = negotiate(LOCAL, Open.make(64512, 0, 7, (Multiprotocol.of(Family.INET),)))
    assert (agreed.as4, agreed.ibgp, agreed.hold_time, agreed.route_refresh) == (False, True, 0, False)
    assert negotiate(LOCAL, Open(23456, 90, 7), peer_as=70000).peer_as == 70000


def test_no_multiprotocol_capability() -> None:
    """reference/bgp.md 1.5: a control node then has no family at all."""
    remote = Open.make(64512, 90, 7, (FourOctetAs(64512),))
    assert negotiate(LOCAL, remote, CONTRAIL).families == ()
    assert negotiate(LOCAL, remote, RFC).families == (Family.INET,)


@pytest.mark.parametrize("family", list(Family))
def test_family_names(family: Family) -> None:
    assert Family.from_name(family.config_name) is family
    assert Family.from_wire(family.afi, family.safi) is family
    assert family.wire == family.afi.to_bytes(2, "big") + bytes((family.safi,))


def test_families_in_the_order_of_an_open() -> None:
    """reference/bgp.md 1.4."""
    assert [family.config_name for family in Family] == [
        "inet",
        "inet6",
        "inet-vpn",
        "inet6-vpn",
        "route-target",
        "e-vpn",
        "erm-vpn",
        "inet-mvpn",
        "inet-labeled",
    ]
    assert Family.from_wire(1, 2) is None
    with pytest.raises(ValueError, match="no-such"):
        Family.from_name("no-such")

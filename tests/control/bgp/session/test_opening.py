"""The OPEN we send, byte by byte, and the order in which the peer's is judged (reference/bgp.md 1.4, 1.5, 1.13)."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from control.bgp.session.core import Driver, an_open

from contrail_emulator.base.behaviour import CONTRAIL, RFC, Behaviour
from contrail_emulator.control.bgp import opening
from contrail_emulator.control.bgp.capability import FourOctetAs, GracefulRestart, Multiprotocol, UnknownCapability
from contrail_emulator.control.bgp.family import Family
from contrail_emulator.control.bgp.fsm import State
from contrail_emulator.control.bgp.message import HEADER_SIZE, Open
from contrail_emulator.control.bgp.notification import MessageError
from contrail_emulator.control.bgp.outputs import Write
from contrail_emulator.control.bgp.settings import GracefulRestartSettings, PeerSettings, SpeakerSettings

SPEAKER = SpeakerSettings(autonomous_system=64512, router_id="10.0.0.5")
PEER = PeerSettings(name="peer", address="10.1.1.1", autonomous_system=64513)


def sent(speaker: SpeakerSettings = SPEAKER, behaviour: Behaviour = CONTRAIL, up: bool = False, **peer: Any) -> Open:
    return opening.local_open(speaker, replace(PEER, **peer), behaviour, up)


def capability_bytes(message: Open) -> str:
    return b"".join(capability.encode() for capability in message.capabilities).hex(" ")


def test_open_as_sent_by_default() -> None:
    message = sent()
    assert (message.my_as, message.hold_time, message.identifier) == (64512, 90, 0x0A000005)
    assert capability_bytes(message) == "01 04 00 01 00 01 01 04 00 01 00 80 41 04 00 00 fc 00 40 02 00 00"


def test_r_bit_in_the_startup_phase() -> None:
    assert capability_bytes(sent(up=True)).endswith("40 02 80 00")


def test_graceful_restart_of_300_seconds_and_two_families() -> None:
    speaker = replace(SPEAKER, graceful_restart=GracefulRestartSettings(enabled=True, time=300, long_lived_time=0))
    assert capability_bytes(sent(speaker)).endswith("40 0a 41 2c 00 01 01 80 00 01 80 80")


def test_long_lived_graceful_restart() -> None:
    speaker = replace(SPEAKER, graceful_restart=GracefulRestartSettings(enabled=True, long_lived_time=0x010203))
    assert capability_bytes(sent(speaker)).endswith("47 0e 00 01 01 80 01 02 03 00 01 80 80 01 02 03")


def test_families_in_the_internal_order() -> None:
    message = sent(families=(Family.INET_LABELED, Family.E_VPN, Family.INET, Family.ROUTE_TARGET))
    assert message.families == (Family.INET, Family.ROUTE_TARGET, Family.E_VPN, Family.INET_LABELED)


def test_without_four_byte_as() -> None:
    message = sent(replace(SPEAKER, four_byte_as=False))
    assert message.four_octet_as is None


def test_local_as_overrides_and_large_as_is_as_trans() -> None:
    message = sent(local_as=4200000000)
    assert (message.my_as, message.four_octet_as) == (23456, 4200000000)


def test_hold_time_of_the_peer() -> None:
    assert sent(hold_time=0).hold_time == 0


def test_profile_rfc_offers_route_refresh_and_no_empty_graceful_restart() -> None:
    message = sent(behaviour=RFC)
    assert any(capability.code == 2 for capability in message.capabilities)
    assert message.graceful_restart is None


@pytest.mark.parametrize("at", [0.0, 59.9, 60.1])
def test_startup_phase_is_a_fifth_of_the_end_of_rib_time(at: float) -> None:
    driver = Driver()
    driver.now = at
    driver.reach(State.CONNECT)
    driver.core.connected(at, driver.outbound)
    (written,) = [output for output in driver.core.outputs if isinstance(output, Write)]
    restart = Open.read(written.data[HEADER_SIZE:]).graceful_restart
    assert restart is not None
    assert restart.restarting is (at < 60)


def refused(message: Open, behaviour: Behaviour, **peer: Any) -> MessageError:
    with pytest.raises(MessageError) as caught:
        opening.check(message, SPEAKER, replace(PEER, **peer), behaviour)
    return caught.value


def judged(message: Open, behaviour: Behaviour = CONTRAIL, speaker: SpeakerSettings = SPEAKER, **peer: Any) -> str:
    try:
        opening.check(message, speaker, replace(PEER, **peer), behaviour)
    except MessageError as error:
        return f"{error.code}/{error.subcode}"
    return "ok"


GOOD = Open.make(64513, 90, 0x0A000001, (Multiprotocol.of(Family.INET), FourOctetAs(64513)))
ONLY_MP = (Multiprotocol.of(Family.INET),)


@pytest.mark.parametrize(
    ("message", "contrail", "rfc"),
    [
        (GOOD, "ok", "ok"),
        (replace(GOOD, identifier=0), "2/3", "2/3"),
        (replace(GOOD, identifier=0x0A000005), "2/3", "ok"),
        (replace(GOOD, identifier=0, my_as=1, capabilities=()), "2/3", "2/3"),
        (replace(GOOD, my_as=1), "2/2", "2/2"),
        (replace(GOOD, my_as=1, capabilities=()), "2/2", "2/2"),
        (replace(GOOD, capabilities=(*ONLY_MP, FourOctetAs(7))), "2/2", "2/2"),
        (replace(GOOD, capabilities=(FourOctetAs(7),)), "2/2", "2/2"),
        (replace(GOOD, my_as=23456, capabilities=ONLY_MP), "ok", "2/2"),
        (replace(GOOD, my_as=23456, capabilities=(*ONLY_MP, FourOctetAs(64513))), "ok", "ok"),
        (replace(GOOD, capabilities=()), "2/7", "ok"),
        (replace(GOOD, capabilities=(Multiprotocol.of(Family.E_VPN),)), "2/7", "2/7"),
        (replace(GOOD, capabilities=(Multiprotocol(1, 2),)), "2/7", "2/7"),
        (replace(GOOD, capabilities=(*ONLY_MP, UnknownCapability(99, b"x"))), "ok", "ok"),
    ],
    ids=lambda value: value if isinstance(value, str) else f"as{value.my_as}-{len(value.capabilities)}",
)
def test_open_validation(message: Open, contrail: str, rfc: str) -> None:
    assert judged(message) == contrail
    assert judged(message, RFC) == rfc


def test_our_own_identifier_from_an_internal_peer() -> None:
    """RFC 6286 2.1: only inside the AS are identifiers unique."""
    message = Open.make(64512, 90, 0x0A000005, (Multiprotocol.of(Family.INET), FourOctetAs(64512)))
    assert judged(message, RFC, autonomous_system=64512) == "2/3"
    message = Open.make(64513, 90, 0x0A000005, (Multiprotocol.of(Family.INET), FourOctetAs(64513)))
    assert judged(message, RFC, local_as=64513) == "2/3"


def test_no_common_family_names_those_we_want_in_profile_rfc() -> None:
    """RFC 5492 5: the NOTIFICATION MUST contain the capabilities that caused it."""
    message = replace(GOOD, capabilities=(Multiprotocol.of(Family.E_VPN),))
    assert refused(message, RFC).data.hex() == "010400010001" + "010400010080"
    assert refused(message, CONTRAIL).data == b""


def test_capability_65_is_not_looked_at_without_four_byte_as() -> None:
    message = replace(GOOD, capabilities=(*ONLY_MP, FourOctetAs(7)))
    assert judged(message, speaker=replace(SPEAKER, four_byte_as=False)) == "ok"


def test_as_trans_as_a_configured_as() -> None:
    assert judged(replace(GOOD, my_as=23456, capabilities=ONLY_MP), RFC, autonomous_system=23456) == "ok"


@pytest.mark.parametrize(
    ("patch", "expected"),
    [
        ({19: 3}, "NOTIFICATION 2/1"),
        ({22: 0, 23: 2}, "NOTIFICATION 2/6"),
        ({29: 1}, "NOTIFICATION 2/4"),
        ({0: 0}, "NOTIFICATION 1/1"),
        ({16: 0xFF}, "NOTIFICATION 1/2"),
        ({18: 5}, "NOTIFICATION 1/3"),
        ({18: 9}, "NOTIFICATION 1/3"),
        ({18: 4}, "NOTIFICATION 1/2"),
    ],
)
def test_faulty_open_on_the_wire(patch: dict[int, int], expected: str) -> None:
    message = bytearray(an_open())
    for offset, value in patch.items():
        message[offset] = value
    driver = Driver().reach(State.OPEN_SENT)
    driver.take()
    driver.say(1, bytes(message))
    assert driver.take() == [f"1: {expected}", "close 1"]


def test_version_fault_names_our_version() -> None:
    driver = Driver().reach(State.OPEN_SENT)
    message = bytearray(an_open())
    message[19] = 3
    driver.core.feed(1, bytes(message))
    driver.core.process(0, 1, 1)
    assert Write(1, bytes.fromhex("ff" * 16 + "0016 03 02 01 04")) in driver.core.outputs
    driver = Driver(RFC).reach(State.OPEN_SENT)
    driver.core.feed(1, bytes(message))
    driver.core.process(0, 1, 1)
    assert Write(1, bytes.fromhex("ff" * 16 + "0017 03 02 01 0004")) in driver.core.outputs


def test_as4_needs_both_sides() -> None:
    assert opening.agreed(GOOD, SPEAKER, PEER, CONTRAIL).as4
    assert not opening.agreed(replace(GOOD, capabilities=ONLY_MP), SPEAKER, PEER, CONTRAIL).as4
    assert not opening.agreed(GOOD, replace(SPEAKER, four_byte_as=False), PEER, CONTRAIL).as4


@pytest.mark.parametrize(
    ("ours", "theirs", "agreed"),
    [
        ("inet", "inet", "inet"),
        ("inet inet-vpn", "inet", "inet"),
        ("inet", "inet inet-vpn", "inet"),
        ("inet inet-vpn e-vpn", "inet-vpn e-vpn", "inet-vpn e-vpn"),
        ("inet-vpn", "inet", ""),
    ],
)
def test_address_family_negotiation(ours: str, theirs: str, agreed: str) -> None:
    """AddressFamilyNegotiation: the intersection; none in common is 2/7."""
    driver = Driver(families=tuple(Family.from_name(name) for name in ours.split())).reach(State.OPEN_SENT)
    driver.say(1, an_open(families=tuple(Family.from_name(name) for name in theirs.split())))
    if not agreed:
        assert "1: NOTIFICATION 2/7" in driver.take()
        assert driver.core.counters.errors.open_error == 1
        return
    assert driver.core.negotiated is not None
    assert driver.core.negotiated.families == tuple(Family.from_name(name) for name in agreed.split())


def test_announced_keeps_the_greatest_long_lived_time() -> None:
    announced = opening.announced(Open.read(an_open(long_lived=77)[HEADER_SIZE:]))
    assert announced.long_lived_time == 0, "long-lived without plain graceful restart is not used (RFC 9494 4.1)"
    message = Open.read(an_open(long_lived=77, restart=GracefulRestart(5))[HEADER_SIZE:])
    assert opening.announced(message).long_lived_time == 77

"""Connection collision: every case of reference/bgp.md 1.2 and of its scenario list 7.1, and who may connect when."""

from __future__ import annotations

import pytest
from control.bgp.session.core import (
    FAMILIES,
    HELPER,
    HIGHER_ID,
    KEEPALIVE,
    LOWER_ID,
    Driver,
    an_open,
    notification,
    restart,
)

from contrail_emulator.base.behaviour import RFC
from contrail_emulator.control.bgp import update
from contrail_emulator.control.bgp.family import Family
from contrail_emulator.control.bgp.fsm import State
from contrail_emulator.control.bgp.graceful_restart import Phase
from contrail_emulator.control.bgp.message import Notification
from contrail_emulator.control.bgp.outputs import Write
from contrail_emulator.control.bgp.timers import Timer, TimerSettings

OURS_ID = 0x0A000005


def both(open_delay_over: bool = False) -> Driver:
    """OpenSent with an outbound connection (1) and an inbound one (2)."""
    driver = Driver().reach(State.OPEN_SENT)
    driver.accept()
    if open_delay_over:
        driver.wait(15)
        assert "2: OPEN" in driver.take()
    driver.take()
    return driver


def test_collision_1a_higher_identifier_on_the_active_connection() -> None:
    driver = both()
    driver.say(1, an_open(HIGHER_ID))
    assert driver.take() == ["1: NOTIFICATION 6/7", "close 1", "2: OPEN"]
    assert driver.at(State.OPEN_SENT)
    assert not driver.core.timers.running(Timer.OPEN_DELAY)
    driver.say(2, an_open(HIGHER_ID))
    driver.say(2, KEEPALIVE)
    assert driver.at(State.ESTABLISHED)


def test_collision_1b_higher_identifier_on_the_passive_connection() -> None:
    driver = both()
    driver.say(2, an_open(HIGHER_ID))
    assert driver.take() == ["1: NOTIFICATION 6/7", "close 1", "2: OPEN", "2: KEEPALIVE"]
    assert driver.at(State.OPEN_CONFIRM)


def test_collision_1c_our_open_is_not_sent_twice() -> None:
    driver = both(open_delay_over=True)
    driver.say(2, an_open(HIGHER_ID))
    assert driver.take() == ["1: NOTIFICATION 6/7", "close 1", "2: KEEPALIVE"]


def test_collision_2a_lower_identifier_on_the_passive_connection() -> None:
    driver = both()
    driver.say(2, an_open(LOWER_ID))
    assert driver.take() == ["2: NOTIFICATION 6/7", "close 2"]
    assert driver.at(State.OPEN_SENT)
    assert not driver.core.timers.running(Timer.OPEN_DELAY)


def test_collision_2b_lower_identifier_on_the_active_connection() -> None:
    driver = both()
    driver.say(1, an_open(LOWER_ID))
    assert driver.take() == ["2: NOTIFICATION 6/7", "close 2", "1: KEEPALIVE"]
    assert driver.at(State.OPEN_CONFIRM)


def test_collision_2c_lower_identifier_after_the_open_delay() -> None:
    driver = both(open_delay_over=True)
    driver.say(1, an_open(LOWER_ID))
    assert driver.take() == ["2: NOTIFICATION 6/7", "close 2", "1: KEEPALIVE"]


def test_collision_3a_duplicate_identifier() -> None:
    driver = both()
    driver.say(2, an_open(OURS_ID))
    assert driver.take() == ["2: NOTIFICATION 2/3", "close 2", "close 1"]
    assert driver.at(State.IDLE)


@pytest.mark.parametrize("asn", [64511, 64513])
@pytest.mark.parametrize("heard_on", [1, 2])
def test_collision_of_equal_identifiers_is_decided_by_the_as(asn: int, heard_on: int) -> None:
    """RFC 6286 2.3: the connection of the speaker with the larger AS number stays."""
    driver = Driver(RFC, autonomous_system=asn).reach(State.OPEN_SENT)
    driver.accept()
    driver.take()
    driver.say(heard_on, an_open(OURS_ID, asn=asn))
    lost, kept = (1, 2) if asn > 64512 else (2, 1)
    assert driver.take()[:2] == [f"{lost}: NOTIFICATION 6/7", f"close {lost}"]
    if heard_on != kept:
        driver.say(kept, an_open(OURS_ID, asn=asn))
    driver.say(kept, KEEPALIVE)
    assert driver.at(State.ESTABLISHED)


@pytest.mark.parametrize("profile_rfc", [False, True])
def test_collision_says_why_in_profile_contrail(profile_rfc: bool) -> None:
    driver = Driver(RFC) if profile_rfc else Driver()
    driver.reach(State.OPEN_SENT)
    driver.core.accepted(driver.now)
    driver.core.feed(1, an_open(HIGHER_ID))
    driver.core.process(driver.now, 1, 1)
    notes = [
        Notification(output.data[19], output.data[20], output.data[21:])
        for output in driver.core.outputs
        if isinstance(output, Write) and output.data[18] == 3
    ]
    assert [(note.code, note.subcode) for note in notes] == [(6, 7)]
    assert notes[0].data == (b"" if profile_rfc else b"Connection collision: the connection you opened stays")


def test_open_on_passive_while_connecting_drops_the_outbound() -> None:
    driver = Driver().reach(State.CONNECT)
    driver.take()
    driver.accept()
    driver.say(2, an_open())
    assert driver.take() == ["close 1", "2: OPEN", "2: KEEPALIVE"]
    assert driver.at(State.OPEN_CONFIRM)


def test_open_delay_over_while_connecting_drops_the_outbound() -> None:
    """The connect time must be longer than the open delay for this."""
    driver = Driver(speaker={"timers": TimerSettings(connect=(0.05, 60))}).reach(State.CONNECT)
    driver.take()
    driver.accept()
    driver.wait(15)
    assert driver.take() == ["2: OPEN", "close 1"]
    assert driver.at(State.OPEN_SENT)


def test_connected_while_an_inbound_waits_stays_with_both() -> None:
    driver = Driver().reach(State.CONNECT)
    driver.accept()
    driver.take()
    driver.connect()
    assert driver.take() == ["1: OPEN"]
    assert driver.at(State.OPEN_SENT)
    assert driver.core.connections.collide


def test_active_lost_while_the_inbound_waits_goes_back_to_active() -> None:
    driver = both()
    driver.lose(1)
    assert driver.at(State.ACTIVE)
    driver.wait(15)
    assert driver.take() == ["close 1", "2: OPEN"]
    assert driver.at(State.OPEN_SENT)


def test_active_lost_after_our_open_went_out_on_the_inbound() -> None:
    driver = both(open_delay_over=True)
    driver.lose(1)
    assert driver.at(State.OPEN_SENT)
    driver.say(2, an_open())
    assert driver.at(State.OPEN_CONFIRM)


def test_inbound_lost_beside_the_active() -> None:
    driver = both()
    driver.lose(2)
    assert driver.at(State.OPEN_SENT)
    assert not driver.core.timers.running(Timer.OPEN_DELAY)


def test_only_inbound_lost_goes_back_to_active() -> None:
    driver = Driver(passive=True).reach(State.ACTIVE)
    driver.accept()
    driver.wait(15)
    driver.lose(1)
    assert driver.at(State.ACTIVE)


def test_new_inbound_without_active_goes_back_to_active() -> None:
    driver = Driver(passive=True).reach(State.ACTIVE)
    driver.accept()
    driver.wait(15)
    driver.take()
    driver.accept()
    assert driver.take() == ["close 1"]
    assert driver.at(State.ACTIVE)
    assert driver.core.timers.remaining(Timer.OPEN_DELAY, driver.now) == 15


def test_notification_on_the_inbound_leaves_the_active() -> None:
    driver = both()
    driver.say(2, notification(6, 7))
    assert driver.take() == ["close 2"]
    assert driver.at(State.OPEN_SENT)
    assert not driver.core.timers.running(Timer.OPEN_DELAY)
    assert driver.core.history.notification_in.startswith("6/7")


def test_notification_on_the_active_leaves_a_waiting_inbound() -> None:
    driver = both()
    driver.say(1, notification(6, 7))
    assert driver.take() == ["close 1"]
    assert driver.at(State.ACTIVE)


def test_notification_on_the_active_leaves_an_opened_inbound() -> None:
    driver = both(open_delay_over=True)
    driver.say(1, notification(6, 7))
    assert driver.take() == ["close 1"]
    assert driver.at(State.OPEN_SENT)


def test_notification_on_the_only_connection_ends_the_attempt() -> None:
    driver = Driver().reach(State.OPEN_SENT)
    driver.take()
    driver.say(1, notification(2, 2))
    assert driver.take() == ["close 1"]
    assert driver.at(State.IDLE)


def test_inbound_in_open_confirm_is_rejected() -> None:
    driver = Driver().reach(State.OPEN_CONFIRM)
    driver.take()
    driver.accept()
    assert driver.take() == ["2: NOTIFICATION 6/5", "close 2"]
    assert driver.at(State.OPEN_CONFIRM)


def test_inbound_in_established_is_closed_silently() -> None:
    driver = Driver().reach(State.ESTABLISHED)
    driver.take()
    driver.accept()
    assert driver.take() == ["close 2"]
    assert driver.at(State.ESTABLISHED)


def test_inbound_in_established_is_refused_aloud_in_profile_rfc() -> None:
    driver = Driver(RFC).reach(State.ESTABLISHED)
    driver.take()
    driver.accept()
    assert driver.take() == ["2: NOTIFICATION 6/5", "close 2"]
    assert driver.at(State.ESTABLISHED)


@pytest.mark.parametrize(("n_bit", "down"), [(True, "down gracefully 6/0"), (False, "down 6/0")])
def test_inbound_in_established_means_restart_when_helping(n_bit: bool, down: str) -> None:
    driver = Driver(speaker={"graceful_restart": HELPER})
    driver.reach(State.ESTABLISHED, restart=restart(notification=n_bit))
    driver.take()
    driver.accept()
    assert driver.take() == ["close 2", "1: NOTIFICATION 6/0", down, "close 1"]
    assert driver.at(State.IDLE)


@pytest.mark.parametrize("n_bit", [True, False])
def test_inbound_in_established_replaces_the_session_in_profile_rfc(n_bit: bool) -> None:
    """RFC 4724 section 5: the old connection counts as lost, without a NOTIFICATION; the new one is taken at once."""
    driver = Driver(RFC, speaker={"graceful_restart": HELPER})
    driver.reach(State.ESTABLISHED, restart=restart(notification=n_bit))
    driver.take()
    driver.accept()
    assert driver.take() == ["down gracefully 0/0", "close 1"]
    driver.wait(0)
    assert driver.take() == ["2: OPEN"]
    assert driver.at(State.OPEN_SENT)
    assert driver.core.timers.remaining(Timer.HOLD, driver.now) == 240
    assert driver.waits_in(Phase.GR_TIMER)
    driver.say(2, an_open(restart=restart(notification=n_bit)) + KEEPALIVE)
    assert driver.take() == ["2: KEEPALIVE", "up 2"]
    driver.say(2, b"".join(update.end_of_rib(family) for family in FAMILIES))
    assert driver.take() == ["end-of-rib inet", "end-of-rib inet-vpn", "sweep"]
    assert driver.core.counters.flaps == 1


def test_replaced_session_and_the_peer_goes_away_again_in_profile_rfc() -> None:
    """The restart goes on with the time that is left; we connect ourselves."""
    driver = Driver(RFC, speaker={"graceful_restart": HELPER})
    driver.reach(State.ESTABLISHED, restart=restart())
    driver.accept()
    driver.lose(2)
    driver.take()
    assert driver.at(State.ACTIVE)
    assert driver.core.negotiated is None
    driver.wait(0.1)
    assert driver.take() == ["connect 3"]
    driver.wait(118)
    assert "sweep" not in driver.take()
    driver.wait(2)
    assert "sweep" in driver.take()


def test_replaced_session_is_replaced_again_in_profile_rfc() -> None:
    driver = Driver(RFC, speaker={"graceful_restart": HELPER})
    driver.reach(State.ESTABLISHED, restart=restart())
    driver.accept()
    driver.accept()
    driver.take()
    driver.wait(0)
    driver.say(3, an_open(restart=restart()) + KEEPALIVE)
    assert driver.at(State.ESTABLISHED)
    driver.accept()
    assert "down gracefully 0/0" in driver.take()
    driver.wait(0)
    driver.say(4, an_open(restart=restart()) + KEEPALIVE)
    assert driver.at(State.ESTABLISHED)


def test_inbound_in_established_means_restart_for_bgpaas() -> None:
    driver = Driver(bgpaas=True, passive=True, families=(Family.INET,), port=0).reach(State.ACTIVE)
    driver.accept()
    driver.say(1, an_open(families=(Family.INET,)))
    driver.say(1, KEEPALIVE)
    driver.take()
    driver.accept()
    assert driver.take() == ["close 2", "1: NOTIFICATION 6/0", "down 6/0", "close 1"]


def test_inbound_in_established_says_nothing_of_a_bgpaas_client_in_profile_rfc() -> None:
    """Without graceful restart the session stays up (RFC 4271 6.8), and a stranger's connection harms nobody."""
    driver = Driver(RFC, bgpaas=True, passive=True, families=(Family.INET,), port=0).reach(State.ACTIVE)
    driver.accept()
    driver.say(1, an_open(families=(Family.INET,)) + KEEPALIVE)
    driver.take()
    driver.accept()
    assert driver.take() == ["2: NOTIFICATION 6/5", "close 2"] and driver.at(State.ESTABLISHED)


def test_words_of_a_dead_connection_are_not_heard() -> None:
    driver = both()
    driver.say(2, an_open(LOWER_ID))
    driver.say(2, an_open(HIGHER_ID))
    driver.lose(2)
    driver.take()
    assert driver.at(State.OPEN_SENT)

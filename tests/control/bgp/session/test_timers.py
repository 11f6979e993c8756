"""Timers of the reference by name (reference/bgp.md 1.1)."""

from __future__ import annotations

from random import Random

import pytest
from control.bgp.session.core import HIGHER_ID, KEEPALIVE, Driver, an_open
from hypothesis import given
from hypothesis import strategies as st

from contrail_emulator.base.behaviour import RFC
from contrail_emulator.control.bgp.fsm import State
from contrail_emulator.control.bgp.timers import Timer, Timers, TimerSettings


@pytest.mark.parametrize(("attempts", "nominal"), list(enumerate((0.05, 1, 2, 4, 8, 16, 30, 30, 30))))
@given(seed=st.integers(0, 2**32))
def test_connect_backoff_and_jitter(attempts: int, nominal: float, seed: int) -> None:
    """ConnectTimerBackoff: 90 % of nominal plus 0 to 19 % of that."""
    seconds = TimerSettings().connect_time(attempts, Random(seed))
    assert nominal * 0.9 <= seconds <= nominal * 0.9 * 1.19 + 1e-9


def test_connect_times_are_spread() -> None:
    rng = Random(3)
    assert len({TimerSettings().connect_time(3, rng) for _ in range(200)}) == 20


def test_first_start_connects_at_once_then_backs_off() -> None:
    driver = Driver()
    driver.start()
    assert driver.at(State.ACTIVE)
    times: list[float] = []
    for _ in range(8):
        began = driver.now
        while not any(line.startswith("connect") for line in driver.take()):
            assert driver.core.next_deadline is not None
            driver.wait(max(0.0, driver.core.next_deadline - driver.now))
        times.append(driver.now - began)
        driver.core.connect_failed(driver.now, driver.outbound)
        driver.drain()
    nominal = [0.05, 1, 2, 4, 8, 16, 30, 30]
    assert all(0.9 * n <= t <= 0.9 * 1.19 * n + 1e-9 for n, t in zip(nominal, times, strict=True)), times
    assert driver.core.counters.errors.connect_error == 8


def test_connect_timeout_is_the_connect_time() -> None:
    """The first attempt times out after about a second; the next one after about two."""
    driver = Driver().reach(State.CONNECT)
    driver.take()
    driver.wait(0.85)
    assert driver.at(State.CONNECT)
    driver.wait(0.3)
    assert driver.at(State.ACTIVE)
    assert driver.take() == ["close 1"]
    assert driver.core.counters.errors.connect_timer == 1


def test_attempts_are_cleared_by_a_session() -> None:
    driver = Driver().reach(State.ESTABLISHED)
    assert driver.core.attempts == 0


def test_open_delay_of_an_inbound_connection() -> None:
    driver = Driver(passive=True).reach(State.ACTIVE)
    driver.accept()
    driver.wait(14.9)
    assert driver.take() == []
    driver.wait(0.2)
    assert driver.take() == ["1: OPEN"]
    assert driver.at(State.OPEN_SENT)


def test_open_delay_ends_with_the_peers_open() -> None:
    driver = Driver(passive=True).reach(State.ACTIVE)
    driver.accept()
    driver.say(1, an_open())
    assert driver.take() == ["1: OPEN", "1: KEEPALIVE"]
    assert driver.at(State.OPEN_CONFIRM)
    assert not driver.core.timers.running(Timer.OPEN_DELAY)


def test_no_open_delay_in_profile_rfc() -> None:
    driver = Driver(RFC, passive=True).reach(State.ACTIVE)
    driver.accept()
    driver.wait(0)
    assert driver.take() == ["1: OPEN"]


def test_second_inbound_replaces_the_first() -> None:
    driver = Driver(passive=True).reach(State.ACTIVE)
    first, second = driver.accept(), driver.accept()
    assert driver.take() == [f"close {first}"]
    driver.say(first, an_open())
    assert driver.at(State.ACTIVE)
    driver.say(second, an_open())
    assert driver.at(State.OPEN_CONFIRM)


def test_idle_hold_after_every_close() -> None:
    """First start: none. After a close 5 s, constant; connections that come meanwhile are closed without a word."""
    driver = Driver().reach(State.ESTABLISHED)
    for _ in range(3):
        driver.lose(driver.outbound)
        driver.take()
        assert driver.at(State.IDLE)
        number = driver.accept()
        assert driver.take() == [f"close {number}"]
        driver.wait(4.9)
        assert driver.at(State.IDLE)
        driver.wait(0.2)
        assert driver.state in (State.ACTIVE, State.CONNECT)
        driver.wait(0.1)
        driver.connect()
        driver.say(driver.outbound, an_open())
        driver.say(driver.outbound, KEEPALIVE)
        assert driver.at(State.ESTABLISHED)
    assert driver.core.counters.flaps == 3


def test_idle_connection_is_refused_aloud_in_profile_rfc() -> None:
    driver = Driver(RFC).reach(State.ESTABLISHED)
    driver.lose(1)
    driver.take()
    number = driver.accept()
    assert driver.take() == [f"{number}: NOTIFICATION 6/5", f"close {number}"]


def test_hold_time_in_open_sent() -> None:
    driver = Driver().reach(State.OPEN_SENT)
    driver.take()
    driver.wait(239)
    assert driver.at(State.OPEN_SENT)
    driver.wait(2)
    assert driver.take()[:2] == ["1: NOTIFICATION 4/0", "close 1"]


@pytest.mark.parametrize(
    ("ours", "theirs", "agreed"), [(90, 30, 30), (30, 90, 30), (9, 9, 9), (0, 90, 0), (90, 0, 0), (90, 65535, 90)]
)
def test_hold_time_negotiation(ours: int, theirs: int, agreed: int) -> None:
    """BgpHoldtimeNegotiation: the lesser one; 0 from either side switches both timers off."""
    driver = Driver(hold_time=ours).reach(State.ESTABLISHED, hold_time=theirs)
    assert driver.core.negotiated is not None
    assert driver.core.negotiated.hold_time == agreed
    driver.take()
    if agreed == 0:
        driver.wait(1000)
        assert not driver.core.timers.running(Timer.HOLD)
        assert "1: KEEPALIVE" not in driver.take()
        assert driver.at(State.ESTABLISHED)
        return
    driver.wait(agreed - 0.1)
    assert driver.at(State.ESTABLISHED)
    assert driver.take() == ["1: KEEPALIVE"] * 2
    driver.wait(0.2)
    assert driver.at(State.IDLE)
    assert "1: NOTIFICATION 4/0" in driver.take()
    assert driver.core.counters.errors.hold_timer == 1


def test_speakers_hold_time_unless_the_peer_has_its_own() -> None:
    assert Driver(speaker={"hold_time": 33}).core.hold_time == 33
    assert Driver(speaker={"hold_time": 33}, hold_time=12).core.hold_time == 12
    assert Driver().core.hold_time == 90


def test_messages_restart_the_hold_timer() -> None:
    driver = Driver().reach(State.ESTABLISHED, hold_time=30)
    for _ in range(5):
        driver.wait(25)
        driver.say(1, KEEPALIVE)
    assert driver.at(State.ESTABLISHED)


def test_unread_bytes_put_off_hold_expiry() -> None:
    driver = Driver().reach(State.ESTABLISHED, hold_time=30)
    driver.core.tick(driver.now + 31, unread=True)
    assert driver.at(State.ESTABLISHED)
    assert driver.core.timers.remaining(Timer.HOLD, driver.now + 31) == 30
    driver.core.tick(driver.now + 62, unread=False)
    assert driver.at(State.IDLE)


def test_updates_put_off_keepalives() -> None:
    """A flushed update buffer restarts the keepalive timer."""
    driver = Driver().reach(State.ESTABLISHED, hold_time=30)
    driver.take()
    for _ in range(4):
        driver.wait(9)
        driver.core.sent(driver.now, 100, 1)
        driver.say(1, KEEPALIVE)
    assert driver.take() == []
    driver.wait(10.1)
    assert driver.take() == ["1: KEEPALIVE"]


def test_keepalive_waits_for_a_blocked_transport() -> None:
    driver = Driver().reach(State.ESTABLISHED, hold_time=30)
    driver.take()
    driver.core.block(driver.now)
    driver.wait(25)
    assert driver.take() == []
    driver.core.unblock(driver.now)
    driver.drain()
    assert driver.take() == ["1: KEEPALIVE"]


def test_send_hold_timer_in_profile_rfc() -> None:
    """RFC 9687: 8 minutes or twice the hold time without room to send end the session."""
    for hold_time, wait in ((30, 480), (600, 1200)):
        driver = Driver(RFC, hold_time=hold_time).reach(State.ESTABLISHED, hold_time=hold_time)
        driver.core.block(driver.now)
        end = driver.now + wait
        while driver.now < end - hold_time / 2:
            driver.wait(hold_time / 2)
            driver.say(1, KEEPALIVE)
        driver.take()
        driver.wait(end - driver.now)
        assert "1: NOTIFICATION 8/0" in driver.take()


def test_no_send_hold_timer_in_profile_contrail() -> None:
    driver = Driver().reach(State.ESTABLISHED)
    driver.core.block(driver.now)
    assert not driver.core.timers.running(Timer.SEND_HOLD)


def test_unblocked_in_time_ends_the_send_hold_timer() -> None:
    driver = Driver(RFC).reach(State.ESTABLISHED)
    driver.core.block(driver.now)
    assert driver.core.timers.running(Timer.SEND_HOLD)
    driver.core.unblock(driver.now)
    assert not driver.core.timers.running(Timer.SEND_HOLD)


def test_both_passive_never_connect() -> None:
    driver = Driver(passive=True)
    driver.start()
    driver.wait(1000)
    assert driver.take() == []
    assert driver.at(State.ACTIVE)


def test_inbound_stops_our_own_attempts() -> None:
    driver = Driver().reach(State.ACTIVE)
    driver.accept()
    driver.wait(14)
    assert driver.take() == []
    driver.lose(driver.inbound)
    assert driver.take() == ["close 1"]
    driver.wait(1)
    assert driver.take() == ["connect 2"]


def test_due_timers_come_in_order() -> None:
    timers = Timers()
    timers.start(Timer.KEEPALIVE, 5)
    timers.start(Timer.HOLD, 5)
    timers.start(Timer.CONNECT, 4)
    timers.start(Timer.RESTART, 9)
    assert timers.next_deadline == 4
    found = []
    while (key := timers.pop_due(6)) is not None:
        found.append(key[0])
    assert found == [Timer.CONNECT, Timer.HOLD, Timer.KEEPALIVE]
    assert timers.remaining(Timer.RESTART, 10) == 0
    assert timers.remaining(Timer.HOLD, 10) is None


@pytest.mark.parametrize("bad", [{"connect": ()}, {"idle_hold": -1}, {"connect_spread": 0}, {"keepalives_per_hold": 0}])
def test_settings_are_checked(bad: dict[str, float]) -> None:
    with pytest.raises(ValueError, match=r"timer|must be"):
        TimerSettings(**bad)  # type: ignore[arg-type]  # wrong on purpose


def test_identifier_of_the_scenarios_is_higher() -> None:
    assert Driver().core.speaker.identifier < HIGHER_ID

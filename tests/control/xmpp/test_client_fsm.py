"""The client's state machine: each state with each event, back-off and attempts (reference/xmpp.md 1.7)."""

import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from contrail_emulator.control.xmpp import stream
from contrail_emulator.control.xmpp.client_fsm import CLIENT_TABLE, ClientCore
from contrail_emulator.control.xmpp.core import Do, Timer
from contrail_emulator.control.xmpp.stanza import parse
from contrail_emulator.control.xmpp.states import Event, State
from contrail_emulator.control.xmpp.stream import StreamOpen

OPENING = stream.open_bytes("compute-7", "network-control@contrailsystems.com")
REPLY = StreamOpen("ctrl-1", "compute-7", "++123", "jabber:client")
STANZA = parse(b"<message></message>")
PAYLOAD = {Event.OPEN: REPLY, Event.STANZA: STANZA, Event.BAD_INPUT: "bad", Event.CLOSED: "gone"}
OPENING_STATES = (
    State.OPEN_SENT,
    State.OPEN_CONFIRM_INIT,
    State.OPEN_CONFIRM_NEGOTIATION,
    State.OPEN_CONFIRM_HANDSHAKE,
    State.OPEN_CONFIRM_SUCCESS,
)

Outcome = tuple[State, list[Do]]


def core_in(state: State, tls: bool = False, seed: int = 1) -> ClientCore:
    core = ClientCore(OPENING, "compute-7", random.Random(seed), hold_time=90, tls=tls)
    core.state = state
    return core


def expected(tls: bool) -> dict[tuple[State, Event], Outcome]:
    """All that is not here changes nothing and does nothing."""
    outcomes: dict[tuple[State, Event], Outcome] = {
        (State.IDLE, Event.START): (State.ACTIVE, []),
        (State.ACTIVE, Event.CONNECT_TIMER): (State.CONNECT, [Do.CONNECT]),
        (State.ACTIVE, Event.STOP): (State.IDLE, []),
        (State.CONNECT, Event.CONNECTED): (State.OPEN_SENT, [Do.SEND]),
        (State.CONNECT, Event.CONNECT_FAILED): (State.ACTIVE, []),
        (State.CONNECT, Event.CONNECT_TIMER): (State.ACTIVE, [Do.DROP]),
        (State.CONNECT, Event.STOP): (State.IDLE, [Do.DROP]),
        (State.OPEN_CONFIRM_NEGOTIATION, Event.PROCEED): (State.OPEN_CONFIRM_HANDSHAKE, [Do.START_TLS]),
        (State.OPEN_CONFIRM_HANDSHAKE, Event.TLS_UP): (State.OPEN_CONFIRM_SUCCESS, [Do.SEND]),
        (State.OPEN_CONFIRM_SUCCESS, Event.OPEN): (State.ESTABLISHED, [Do.SEND, Do.ESTABLISHED]),
        (State.ESTABLISHED, Event.STANZA): (State.ESTABLISHED, [Do.DELIVER]),
        (State.ESTABLISHED, Event.KEEPALIVE_TIMER): (State.ESTABLISHED, [Do.SEND]),
    }
    if tls:
        outcomes[State.OPEN_SENT, Event.OPEN] = (State.OPEN_CONFIRM_INIT, [])
        outcomes[State.OPEN_CONFIRM_INIT, Event.FEATURES] = (State.OPEN_CONFIRM_NEGOTIATION, [Do.SEND])
    else:
        outcomes[State.OPEN_SENT, Event.OPEN] = (State.ESTABLISHED, [Do.SEND, Do.ESTABLISHED])
    for state in (*OPENING_STATES, State.ESTABLISHED):
        outcomes[state, Event.CLOSED] = (State.ACTIVE, [])
        for event in (Event.BAD_INPUT, Event.CLEAR, Event.HOLD_TIMER):
            outcomes[state, event] = (State.ACTIVE, [Do.DROP])
        outcomes[state, Event.STOP] = (State.IDLE, [Do.DROP])
    return outcomes


@pytest.mark.parametrize("tls", [False, True], ids=["plain", "tls"])
@pytest.mark.parametrize("event", list(Event), ids=lambda event: event.name)
@pytest.mark.parametrize("state", list(State), ids=lambda state: state.name)
def test_every_state_with_every_event(state: State, event: Event, tls: bool) -> None:
    core = core_in(state, tls)
    effects = core.handle(event, 100.0, PAYLOAD.get(event))
    assert (core.state, [effect.do for effect in effects]) == expected(tls).get((state, event), (state, []))


def test_the_table_covers_all_states() -> None:
    assert {state for state, _ in CLIENT_TABLE} == set(State)


def test_a_keepalive_goes_out_at_once() -> None:
    core = core_in(State.OPEN_SENT)
    effects = core.handle(Event.OPEN, 7.0, REPLY)
    assert [effect.data for effect in effects] == [stream.KEEPALIVE, None]
    assert core._deadlines == {Timer.KEEPALIVE: 37.0, Timer.HOLD: 97.0}


@pytest.mark.parametrize(
    ("attempts", "seconds"), [(0, 0.05), (1, 1), (2, 2), (3, 4), (4, 8), (5, 16), (6, 30), (7, 30), (100, 30)]
)
def test_back_off(attempts: int, seconds: float) -> None:
    core = core_in(State.OPEN_SENT)
    core.attempts = attempts
    core.handle(Event.CLOSED, 0.0, "gone")
    assert 0.90 * seconds <= core.deadline() <= 1.07 * seconds


@settings(max_examples=50, deadline=None)
@given(st.integers())
def test_jitter_is_the_random_generator_s(seed: int) -> None:
    first, second = core_in(State.IDLE, seed=seed), core_in(State.IDLE, seed=seed)
    for core in (first, second):
        core.handle(Event.START, 0.0)
    assert first.deadline() == second.deadline()
    assert 0.045 <= first.deadline() <= 0.0535


def fail_once(core: ClientCore, now: float) -> list[Do]:
    """From Active through a refused connect back to Active."""
    assert [effect.do for effect in core.handle(Event.CONNECT_TIMER, now)] == [Do.CONNECT]
    return [effect.do for effect in core.handle(Event.CONNECT_FAILED, now, "refused")]


def test_from_four_attempts_on_each_failure_times_out() -> None:
    core = core_in(State.IDLE)
    core.handle(Event.START, 0.0)
    told = [fail_once(core, float(turn)) for turn in range(6)]
    assert told == [[], [], [], [Do.TIMED_OUT], [Do.TIMED_OUT], [Do.TIMED_OUT]]
    assert core.attempts == 6


@pytest.mark.parametrize(("keepalives", "attempts"), [(0, 5), (2, 5), (3, 0), (4, 0)])
def test_three_keepalives_of_one_session_reset_the_attempts(keepalives: int, attempts: int) -> None:
    core = core_in(State.CONNECT)
    core.attempts = 5
    core.handle(Event.CONNECTED, 0.0)
    core.handle(Event.OPEN, 0.0, REPLY)
    for _ in range(keepalives):
        core.handle(Event.KEEPALIVE, 0.0)
    assert core.attempts == attempts


def test_keepalives_of_two_sessions_do_not_add_up() -> None:
    core = core_in(State.CONNECT)
    core.attempts = 5
    for _ in range(2):
        core.handle(Event.CONNECTED, 0.0)
        core.handle(Event.OPEN, 0.0, REPLY)
        core.handle(Event.KEEPALIVE, 0.0)
        core.handle(Event.KEEPALIVE, 0.0)
        core.handle(Event.CLOSED, 0.0, "gone")
        core.handle(Event.CONNECT_TIMER, 0.0)
    assert core.attempts == 7
    assert core.flaps == 2


def test_the_connect_timer_is_the_limit_of_a_connect() -> None:
    core = core_in(State.ACTIVE)
    core.handle(Event.CONNECT_TIMER, 0.0)
    effects = core.tick(2.0)
    assert [effect.do for effect in effects] == [Do.DROP]
    assert core.state is State.ACTIVE
    assert core.reason == "connect timer expired"


def test_stop_forgets_the_attempts() -> None:
    core = core_in(State.OPEN_SENT)
    core.attempts = 5
    core.handle(Event.STOP, 0.0)
    assert (core.attempts, core.deadline()) == (0, float("inf"))


def test_a_whole_tls_opening_from_bytes() -> None:
    core = core_in(State.CONNECT, tls=True)
    assert [effect.data for effect in core.handle(Event.CONNECTED, 0.0)] == [OPENING]
    core.feed(stream.reply_bytes("ctrl-1", "compute-7") + stream.FEATURES)
    assert core.step(0.0) == []
    effects = core.step(0.0)
    assert effects is not None and [effect.data for effect in effects] == [stream.STARTTLS]
    core.feed(stream.PROCEED)
    effects = core.step(0.0)
    assert effects is not None and [effect.do for effect in effects] == [Do.START_TLS]
    assert [effect.data for effect in core.handle(Event.TLS_UP, 0.0)] == [OPENING]
    core.feed(stream.reply_bytes("ctrl-1", "compute-7"))
    effects = core.step(0.0)
    assert effects is not None and [effect.do for effect in effects] == [Do.SEND, Do.ESTABLISHED]


def test_a_client_does_not_check_the_reply_s_names() -> None:
    core = core_in(State.OPEN_SENT)
    core.feed(b'<stream:stream from="x" to="y" xmlns:stream="http://etherx.jabber.org/streams">')
    effects = core.step(0.0)
    assert effects is not None and core.state is State.ESTABLISHED
    assert core.peer == "x"

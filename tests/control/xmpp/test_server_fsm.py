"""The server's state machine: each state with each event (reference/xmpp.md 1.7)."""

import pytest

from contrail_emulator.control.xmpp import stream
from contrail_emulator.control.xmpp.core import Do, Timer
from contrail_emulator.control.xmpp.server_fsm import SERVER_TABLE, ServerCore
from contrail_emulator.control.xmpp.stanza import parse
from contrail_emulator.control.xmpp.states import Event, State
from contrail_emulator.control.xmpp.stream import StreamOpen

STATES = (
    State.IDLE,
    State.ACTIVE,
    State.OPEN_CONFIRM_INIT,
    State.OPEN_CONFIRM_HANDSHAKE,
    State.OPEN_CONFIRM_SUCCESS,
    State.ESTABLISHED,
)
CONFIRM = STATES[2:5]
OPEN = StreamOpen("compute-7", "network-control@contrailsystems.com")
STANZA = parse(b"<iq></iq>")
PAYLOAD = {Event.OPEN: OPEN, Event.STANZA: STANZA, Event.REFUSED: "no", Event.BAD_INPUT: "bad", Event.CLOSED: "gone"}

Outcome = tuple[State, list[Do]]


def core_in(state: State, tls: bool = False) -> ServerCore:
    core = ServerCore("ctrl-1", lambda opened: "", hold_time=90, tls=tls)
    core.state = state
    return core


def expected(tls: bool) -> dict[tuple[State, Event], Outcome]:
    """All that is not here changes nothing and does nothing."""
    outcomes: dict[tuple[State, Event], Outcome] = {
        (State.IDLE, Event.ACCEPTED): (State.ACTIVE, []),
        (State.ACTIVE, Event.OPEN_TIMER): (State.IDLE, [Do.DROP]),
        (State.OPEN_CONFIRM_HANDSHAKE, Event.TLS_UP): (State.OPEN_CONFIRM_SUCCESS, []),
        (State.OPEN_CONFIRM_SUCCESS, Event.OPEN): (State.ESTABLISHED, [Do.SEND, Do.ESTABLISHED]),
        (State.ESTABLISHED, Event.STANZA): (State.ESTABLISHED, [Do.DELIVER]),
        (State.ESTABLISHED, Event.KEEPALIVE_TIMER): (State.ESTABLISHED, [Do.SEND]),
    }
    if tls:
        outcomes[State.ACTIVE, Event.OPEN] = (State.OPEN_CONFIRM_INIT, [Do.SEND, Do.SEND])
        outcomes[State.OPEN_CONFIRM_INIT, Event.STARTTLS] = (State.OPEN_CONFIRM_HANDSHAKE, [Do.SEND, Do.START_TLS])
    else:
        outcomes[State.ACTIVE, Event.OPEN] = (State.ESTABLISHED, [Do.SEND, Do.ESTABLISHED])
    for state in STATES[1:]:
        outcomes[state, Event.CLOSED] = (State.IDLE, [])
        for event in (Event.STOP, Event.CLEAR, Event.BAD_INPUT):
            outcomes[state, event] = (State.IDLE, [Do.DROP])
        if state is not State.ESTABLISHED:
            outcomes[state, Event.REFUSED] = (State.IDLE, [Do.DROP])
        if state is not State.ACTIVE:
            outcomes[state, Event.HOLD_TIMER] = (State.IDLE, [Do.DROP])
    return outcomes


@pytest.mark.parametrize("tls", [False, True], ids=["plain", "tls"])
@pytest.mark.parametrize("event", list(Event), ids=lambda event: event.name)
@pytest.mark.parametrize("state", STATES, ids=lambda state: state.name)
def test_every_state_with_every_event(state: State, event: Event, tls: bool) -> None:
    core = core_in(state, tls)
    effects = core.handle(event, 100.0, PAYLOAD.get(event))
    assert (core.state, [effect.do for effect in effects]) == expected(tls).get((state, event), (state, []))


def test_the_table_names_only_states_a_server_has() -> None:
    assert {state for state, _ in SERVER_TABLE} <= set(STATES)
    assert {rule.next for rules in SERVER_TABLE.values() for rule in rules} <= {None, *STATES}


@pytest.mark.parametrize("state", [*CONFIRM, State.ESTABLISHED], ids=lambda state: state.name)
def test_the_hold_timer_restarts_when_bytes_wait(state: State) -> None:
    core = core_in(state)
    core.input_waits = lambda: True
    assert core.handle(Event.HOLD_TIMER, 100.0) == []
    assert core.state is state
    assert core.deadline() == 190.0


def test_timers_of_a_plain_session() -> None:
    core = core_in(State.IDLE)
    core.handle(Event.ACCEPTED, 0.0)
    assert core._deadlines == {Timer.OPEN: 15.0}
    core.handle(Event.OPEN, 1.0, OPEN)
    assert core._deadlines == {Timer.KEEPALIVE: 31.0, Timer.HOLD: 91.0}
    core.handle(Event.STANZA, 20.0, STANZA)
    assert core._deadlines == {Timer.KEEPALIVE: 31.0, Timer.HOLD: 110.0}
    assert [effect.data for effect in core.tick(31.0)] == [stream.KEEPALIVE]
    assert core._deadlines == {Timer.KEEPALIVE: 61.0, Timer.HOLD: 110.0}
    core.handle(Event.KEEPALIVE, 50.0)
    assert core._deadlines[Timer.HOLD] == 140.0
    core.handle(Event.CLOSED, 60.0)
    assert core._deadlines == {}


def test_the_open_timer_drops_a_silent_connection() -> None:
    core = core_in(State.IDLE)
    core.handle(Event.ACCEPTED, 0.0)
    core.feed(b"\n \xc8\x80")
    while core.step(14.0) is not None:
        pass
    assert core.state is State.ACTIVE, "white space before the open is accepted and ignored"
    assert [effect.do for effect in core.tick(15.0)] == [Do.DROP]
    assert core.reason == "open timer expired"


def test_a_changed_hold_time_restarts_the_timers() -> None:
    core = core_in(State.ESTABLISHED)
    core.handle(Event.KEEPALIVE, 0.0)
    core.set_hold_time(9, 10.0)
    assert core._deadlines == {Timer.KEEPALIVE: 13.0, Timer.HOLD: 19.0}
    core.set_hold_time(0, 11.0)
    assert core._deadlines == {}, "0 means no timers"


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"<iq><a></iq>", "malformed XML"),
        (b"<message>\xff</message>", "malformed XML"),
        (b"</stream:stream><iq></iq>", "malformed XML"),
        (b"<!DOCTYPE x><iq></iq>", "document type"),
    ],
)
def test_a_malformed_stanza_closes_the_session(data: bytes, reason: str) -> None:
    core = core_in(State.ESTABLISHED)
    core.feed(data)
    effects = core.step(0.0)
    assert effects is not None and [effect.do for effect in effects] == [Do.DROP]
    assert reason in str(effects[0].data)
    assert core.counters.malformed == 1


def test_a_stanza_over_the_limit_closes_the_session() -> None:
    core = ServerCore("ctrl-1", lambda opened: "", max_stanza=100)
    core.state = State.ESTABLISHED
    core.feed(b"<iq>" + b"x" * 200)
    effects = core.step(0.0)
    assert effects is not None
    assert [(effect.do, effect.data) for effect in effects] == [(Do.DROP, "more than 100 bytes in one stanza")]
    assert core.buffered == 0


def test_a_judge_refuses() -> None:
    core = ServerCore("ctrl-1", lambda opened: f"not {opened.from_}")
    core.handle(Event.ACCEPTED, 0.0)
    core.feed(stream.open_bytes("compute-7", "x"))
    effects = core.step(0.0)
    assert effects is not None
    assert [(effect.do, effect.data) for effect in effects] == [(Do.DROP, "not compute-7")]


def test_a_name_too_long_for_the_reply_is_refused() -> None:
    core = core_in(State.ACTIVE)
    effects = core.handle(Event.OPEN, 0.0, StreamOpen("x" * 1000, "y"))
    assert [(effect.do, effect.data) for effect in effects] == [(Do.DROP, "stream reply longer than 1024 bytes")]


def test_nothing_sent_before_the_handshake_counts_behind_it() -> None:
    core = core_in(State.OPEN_CONFIRM_INIT, tls=True)
    core.feed(stream.STARTTLS + stream.open_bytes("intruder", "x"))
    effects = core.step(0.0)
    assert effects is not None and [effect.do for effect in effects] == [Do.SEND, Do.START_TLS]
    assert core.buffered == 0
    assert core.step(0.0) is None


def test_the_reply_names_us_and_the_peer() -> None:
    core = core_in(State.ACTIVE)
    effects = core.handle(Event.OPEN, 0.0, OPEN)
    assert effects[0].data == stream.reply_bytes("ctrl-1", "compute-7")
    assert core.peer == "compute-7"

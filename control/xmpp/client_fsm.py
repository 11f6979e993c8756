"""The client's state machine, one per configured server, as a table (reference/xmpp.md 1.7)."""

from __future__ import annotations

import random
from types import MappingProxyType
from typing import Final

from contrail_emulator.base.behaviour import CONTRAIL, Behaviour

from . import stream
from .core import DEFAULT_HOLD_TIME, Core, Do, Rule, Table, Timer, input_waits, uses_tls
from .framing import DEFAULT_MAX_STANZA
from .stanza import StanzaParser
from .states import CLIENT_PATTERNS, Event, State

CONNECT_TIMES: Final = (0.05, 1.0, 2.0, 4.0, 8.0, 16.0, 30.0)
"""Seconds before a connect, by the attempts made so far."""
JITTER: Final = (0.90, 1.07)
KEEPALIVES_TO_RESET: Final = 3
"""Keepalives received in one established session before the attempts are forgotten."""
ATTEMPTS_TO_TIME_OUT: Final = 4


class ClientCore(Core):
    """Lives as long as the client does: attempts and flaps outlast a connection."""

    __slots__ = ("_keepalives", "_open_text", "_rng", "attempts", "established_before", "flaps")

    def __init__(
        self,
        open_bytes: bytes,
        name: str,
        rng: random.Random,
        hold_time: float = DEFAULT_HOLD_TIME,
        tls: bool = False,
        max_stanza: int = DEFAULT_MAX_STANZA,
        parser: StanzaParser | None = None,
        behaviour: Behaviour = CONTRAIL,
    ) -> None:
        super().__init__(CLIENT_TABLE, CLIENT_PATTERNS, name, hold_time, tls, max_stanza, parser, behaviour)
        self._open_text = open_bytes
        self._rng = rng
        self._keepalives = 0
        self.attempts = 0
        self.flaps = 0
        self.established_before = False

    def connect_time(self) -> float:
        """Seconds of the connect timer for the present attempts, without jitter."""
        return CONNECT_TIMES[min(self.attempts, len(CONNECT_TIMES) - 1)]

    def enter_active(self) -> None:
        """Wait for the next connect; from four attempts on, say that this server does not answer."""
        self.start_timer(Timer.CONNECT, self.connect_time() * self._rng.uniform(*JITTER))
        if self.attempts >= ATTEMPTS_TO_TIME_OUT:
            self.emit(Do.TIMED_OUT)

    def connect(self) -> None:
        """The timer that led here is also the limit for the connection to come up."""
        self.attempts += 1
        self.start_timer(Timer.CONNECT, self.connect_time() * self._rng.uniform(*JITTER))
        self.emit(Do.CONNECT)

    def stop_connect(self) -> None:
        self.stop_timer(Timer.CONNECT)

    def send_open(self) -> None:
        self._keepalives = 0
        self.emit_bytes(self._open_text)

    def send_starttls(self) -> None:
        self.emit_bytes(stream.STARTTLS)

    def count_keepalive(self) -> None:
        self._keepalives += 1
        if self._keepalives == KEEPALIVES_TO_RESET:
            self.attempts = 0

    def come_up(self) -> None:
        """A real client's back-off outlasts a session that is short."""
        if not self.behaviour.backoff_survives_short_session:
            self.attempts = 0
        self.announce()

    def count_flap(self) -> None:
        self.flaps += 1

    def forget_attempts(self) -> None:
        self.attempts = 0


def without_tls(core: ClientCore) -> bool:
    """Guard."""
    return not core.tls


_C = ClientCore
_ESTABLISH: Final = (_C.note_peer, _C.send_keepalive, _C.start_keepalive, _C.start_hold, _C.come_up)
_RETRY: Final = (Rule(State.ACTIVE, (_C.drop, _C.enter_active)),)
_GONE: Final = (Rule(State.ACTIVE, (_C.finish, _C.enter_active)),)
_FLAP: Final = (Rule(State.ACTIVE, (_C.count_flap, _C.drop, _C.enter_active)),)
_FLAP_GONE: Final = (Rule(State.ACTIVE, (_C.count_flap, _C.finish, _C.enter_active)),)
_STOP: Final = (Rule(State.IDLE, (_C.drop, _C.forget_attempts)),)
_IGNORE: Final = (Rule(None),)


def _table() -> Table:
    table: dict[tuple[State, Event], tuple[Rule, ...]] = {
        (State.IDLE, Event.START): (Rule(State.ACTIVE, (_C.enter_active,)),),
        (State.ACTIVE, Event.CONNECT_TIMER): (Rule(State.CONNECT, (_C.connect,)),),
        (State.ACTIVE, Event.STOP): (Rule(State.IDLE, (_C.finish, _C.forget_attempts)),),
        (State.CONNECT, Event.CONNECTED): (Rule(State.OPEN_SENT, (_C.stop_connect, _C.send_open, _C.start_hold)),),
        (State.CONNECT, Event.CONNECT_FAILED): _GONE,
        (State.CONNECT, Event.CONNECT_TIMER): _RETRY,
        (State.CONNECT, Event.STOP): _STOP,
        (State.OPEN_SENT, Event.OPEN): (
            Rule(State.ESTABLISHED, _ESTABLISH, without_tls),
            Rule(State.OPEN_CONFIRM_INIT, (_C.note_peer, _C.start_hold)),
        ),
        (State.OPEN_CONFIRM_INIT, Event.FEATURES): (
            Rule(State.OPEN_CONFIRM_NEGOTIATION, (_C.send_starttls,), uses_tls),
        ),
        (State.OPEN_CONFIRM_NEGOTIATION, Event.PROCEED): (Rule(State.OPEN_CONFIRM_HANDSHAKE, (_C.start_tls,)),),
        (State.OPEN_CONFIRM_HANDSHAKE, Event.TLS_UP): (Rule(State.OPEN_CONFIRM_SUCCESS, (_C.send_open,)),),
        (State.OPEN_CONFIRM_SUCCESS, Event.OPEN): (Rule(State.ESTABLISHED, _ESTABLISH),),
        (State.ESTABLISHED, Event.KEEPALIVE): (Rule(None, (_C.start_hold, _C.count_keepalive)),),
        (State.ESTABLISHED, Event.STANZA): (Rule(None, (_C.start_hold, _C.deliver)),),
        (State.ESTABLISHED, Event.KEEPALIVE_TIMER): (Rule(None, (_C.send_keepalive, _C.start_keepalive)),),
    }
    opening = (
        State.OPEN_SENT,
        State.OPEN_CONFIRM_INIT,
        State.OPEN_CONFIRM_NEGOTIATION,
        State.OPEN_CONFIRM_HANDSHAKE,
        State.OPEN_CONFIRM_SUCCESS,
    )
    for state in (*opening, State.ESTABLISHED):
        established = state is State.ESTABLISHED
        retry = _FLAP if established else _RETRY
        table[state, Event.CLOSED] = _FLAP_GONE if established else _GONE
        table[state, Event.BAD_INPUT] = table[state, Event.CLEAR] = retry
        table[state, Event.HOLD_TIMER] = (Rule(None, (_C.start_hold,), input_waits), *retry)
        table[state, Event.STOP] = _STOP
        if not established:
            table[state, Event.KEEPALIVE] = _IGNORE
    return MappingProxyType(table)


CLIENT_TABLE: Final = _table()

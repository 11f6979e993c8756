"""The server's state machine, one per accepted connection, as a table (reference/xmpp.md 1.7)."""

from __future__ import annotations

from collections.abc import Callable
from types import MappingProxyType
from typing import Final

from contrail_emulator.base.behaviour import CONTRAIL, Behaviour

from . import stream
from .core import DEFAULT_HOLD_TIME, OPEN_TIME, Core, Rule, Table, Timer, input_waits, uses_tls
from .framing import DEFAULT_MAX_STANZA
from .stanza import StanzaParser
from .states import SERVER_PATTERNS, Event, State

Judge = Callable[[stream.StreamOpen], str]


class ServerCore(Core):
    """`judge` decides about an open: the reason of refusal, or nothing (duplicate names, subclusters: `admission`)."""

    __slots__ = ("_judge", "reply")

    def __init__(
        self,
        hostname: str,
        judge: Judge,
        hold_time: float = DEFAULT_HOLD_TIME,
        tls: bool = False,
        max_stanza: int = DEFAULT_MAX_STANZA,
        parser: StanzaParser | None = None,
        behaviour: Behaviour = CONTRAIL,
    ) -> None:
        super().__init__(SERVER_TABLE, SERVER_PATTERNS, hostname, hold_time, tls, max_stanza, parser, behaviour)
        self._judge = judge
        self.reply = b""
        """To the open at hand, once `fits` allowed it."""

    def judge(self, opened: stream.StreamOpen) -> str:
        return self._judge(opened)

    def start_open(self) -> None:
        self.start_timer(Timer.OPEN, OPEN_TIME)

    def stop_open(self) -> None:
        self.stop_timer(Timer.OPEN)

    def send_reply(self) -> None:
        self.emit_bytes(self.reply)
        self.reply = b""

    def send_features(self) -> None:
        self.emit_bytes(stream.FEATURES)

    def send_proceed(self) -> None:
        self.emit_bytes(stream.PROCEED)


def fits(core: ServerCore) -> bool:
    """Guard: the reply to this open is not longer than 1024 bytes."""
    opened = core.payload
    if not isinstance(opened, stream.StreamOpen):
        return False
    try:
        core.reply = stream.reply_bytes(core.name, opened.from_)
    except stream.StreamError:
        return False
    return True


def fits_without_tls(core: ServerCore) -> bool:
    """Guard."""
    return not core.tls and fits(core)


def refuse_long_name(core: ServerCore) -> None:
    core.payload = "stream reply longer than 1024 bytes"
    core.drop()


_S = ServerCore
_ESTABLISH: Final = (_S.note_peer, _S.stop_open, _S.send_reply, _S.start_keepalive, _S.start_hold, _S.announce)
_CONFIRM: Final = (_S.note_peer, _S.stop_open, _S.send_reply, _S.send_features, _S.start_hold)
_OVER: Final = (Rule(State.IDLE, (_S.drop,)),)
_GONE: Final = (Rule(State.IDLE, (_S.finish,)),)
_TOO_LONG: Final = Rule(State.IDLE, (refuse_long_name,))
_IGNORE: Final = (Rule(None),)
_HOLD: Final = (Rule(None, (_S.start_hold,), input_waits), Rule(State.IDLE, (_S.drop,)))


def _table() -> Table:
    table: dict[tuple[State, Event], tuple[Rule, ...]] = {
        (State.IDLE, Event.ACCEPTED): (Rule(State.ACTIVE, (_S.start_open,)),),
        (State.ACTIVE, Event.KEEPALIVE): _IGNORE,
        (State.ACTIVE, Event.OPEN): (
            Rule(State.ESTABLISHED, _ESTABLISH, fits_without_tls),
            Rule(State.OPEN_CONFIRM_INIT, _CONFIRM, fits),
            _TOO_LONG,
        ),
        (State.OPEN_CONFIRM_INIT, Event.KEEPALIVE): _IGNORE,
        (State.OPEN_CONFIRM_INIT, Event.STARTTLS): (
            Rule(State.OPEN_CONFIRM_HANDSHAKE, (_S.send_proceed, _S.start_tls), uses_tls),
        ),
        (State.OPEN_CONFIRM_HANDSHAKE, Event.TLS_UP): (Rule(State.OPEN_CONFIRM_SUCCESS),),
        (State.OPEN_CONFIRM_HANDSHAKE, Event.KEEPALIVE): _IGNORE,
        (State.OPEN_CONFIRM_SUCCESS, Event.KEEPALIVE): _IGNORE,
        (State.OPEN_CONFIRM_SUCCESS, Event.OPEN): (Rule(State.ESTABLISHED, _ESTABLISH, fits), _TOO_LONG),
        (State.ESTABLISHED, Event.KEEPALIVE): (Rule(None, (_S.start_hold,)),),
        (State.ESTABLISHED, Event.STANZA): (Rule(None, (_S.start_hold, _S.deliver)),),
        (State.ESTABLISHED, Event.KEEPALIVE_TIMER): (Rule(None, (_S.send_keepalive, _S.start_keepalive)),),
        (State.ACTIVE, Event.OPEN_TIMER): _OVER,
    }
    confirm = (State.OPEN_CONFIRM_INIT, State.OPEN_CONFIRM_HANDSHAKE, State.OPEN_CONFIRM_SUCCESS)
    for state in (State.ACTIVE, *confirm, State.ESTABLISHED):
        table[state, Event.CLOSED] = _GONE
        for event in (Event.STOP, Event.CLEAR, Event.BAD_INPUT):
            table[state, event] = _OVER
        if state is not State.ESTABLISHED:
            table[state, Event.REFUSED] = _OVER
        if state is not State.ACTIVE:
            table[state, Event.HOLD_TIMER] = _HOLD
    return MappingProxyType(table)


SERVER_TABLE: Final = _table()


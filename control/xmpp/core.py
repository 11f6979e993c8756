"""What both ends of a session share: framing, timers, counters, and the running of a transition table. No I/O in here.

The adapter feeds bytes, calls `step` until nothing is left, calls `tick` at `deadline`, and carries out the effects.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from enum import Enum
from math import inf
from typing import Final, NamedTuple

from contrail_emulator.base.behaviour import CONTRAIL, Behaviour

from . import stream
from .framing import DEFAULT_MAX_STANZA, FrameKind, Framer, FramingError, Pattern
from .stanza import Stanza, StanzaError, StanzaParser
from .states import Event, State

DEFAULT_HOLD_TIME: Final = 90.0
OPEN_TIME: Final = 15.0


class Do(Enum):
    """What the adapter is asked to do."""

    SEND = "send"  # bytes
    CONNECT = "connect"  # nothing
    START_TLS = "start TLS"  # nothing
    DROP = "drop"  # the reason
    ESTABLISHED = "established"  # nothing
    DELIVER = "deliver"  # a Stanza
    TIMED_OUT = "timed out"  # nothing


class Effect(NamedTuple):
    """One thing to do; `data` is bytes for SEND, a Stanza for DELIVER, a text for DROP, else None."""

    do: Do
    data: bytes | Stanza | str | None = None


class Timer(Enum):
    """The deadlines a session keeps."""

    CONNECT = Event.CONNECT_TIMER
    OPEN = Event.OPEN_TIMER
    HOLD = Event.HOLD_TIMER
    KEEPALIVE = Event.KEEPALIVE_TIMER

    __hash__ = object.__hash__  # as for State


class Counters:
    """Stanzas and bytes of one session, or of all sessions of one client."""

    __slots__ = ("bytes_in", "bytes_out", "keepalives_in", "keepalives_out", "malformed", "stanzas_in", "stanzas_out")

    def __init__(self) -> None:
        self.stanzas_in = self.stanzas_out = 0
        self.keepalives_in = self.keepalives_out = 0
        self.bytes_in = self.bytes_out = 0
        self.malformed = 0

    def rows(self) -> dict[str, int]:
        """All counters by name."""
        return {name: getattr(self, name) for name in self.__slots__}


class Rule(NamedTuple):
    """One line of a transition table: taken when `guard` (or its absence) allows; `next` None stays in the state."""

    next: State | None
    actions: tuple[Callable[..., None], ...] = ()
    guard: Callable[..., bool] | None = None


Table = Mapping[tuple[State, Event], tuple[Rule, ...]]


class Core:
    """A state machine with its receive buffer and deadlines; `table` and `patterns` make it a server or a client."""

    __slots__ = (
        "_deadlines",
        "_effects",
        "_framer",
        "_hold_time",
        "_now",
        "_parser",
        "_patterns",
        "_table",
        "behaviour",
        "counters",
        "input_waits",
        "last_event",
        "name",
        "opened",
        "payload",
        "peer",
        "reason",
        "state",
        "tls",
    )

    def __init__(
        self,
        table: Table,
        patterns: Mapping[State, Pattern],
        name: str,
        hold_time: float = DEFAULT_HOLD_TIME,
        tls: bool = False,
        max_stanza: int = DEFAULT_MAX_STANZA,
        parser: StanzaParser | None = None,
        behaviour: Behaviour = CONTRAIL,
    ) -> None:
        """`parser` may be shared by many sessions."""
        self.behaviour = behaviour
        self._table = table
        self._patterns = patterns
        self._framer = Framer(max_stanza)
        self._parser = StanzaParser() if parser is None else parser
        self._deadlines: dict[Timer, float] = {}
        self._effects: list[Effect] = []
        self._hold_time = hold_time
        self._now = 0.0
        self.name = name
        self.tls = tls
        self.state = State.IDLE
        self.last_event: Event | None = None
        self.peer = ""
        self.opened: stream.StreamOpen | None = None
        self.payload: object = None
        self.reason = ""
        self.counters = Counters()
        self.input_waits: Callable[[], bool] = _never

    # --- What the adapter calls ---------------------------------------------------------------------------------------

    @property
    def hold_time(self) -> float:
        """Seconds; 0 means no timers."""
        return self._hold_time

    def set_hold_time(self, seconds: float, now: float) -> list[Effect]:
        """Change the hold time of a live session: the timers restart with it."""
        self._now = now
        self._hold_time = seconds
        if self.state is State.ESTABLISHED:
            self.start_hold()
            self.start_keepalive()
        return self._taken()

    def feed(self, data: bytes) -> None:
        """Append received bytes; `step` looks at them."""
        self.counters.bytes_in += len(data)
        self._framer.feed(data)

    @property
    def buffered(self) -> int:
        """Bytes received and not yet framed."""
        return len(self._framer)

    def step(self, now: float) -> list[Effect] | None:
        """Handle one frame; None when there is no whole one (or the session is over)."""
        self._now = now
        if self.state is State.IDLE:
            return None
        try:
            frame = self._framer.next(self._patterns.get(self.state, Pattern.STREAM_OPEN))
        except FramingError as error:
            self._bad_input(str(error))
            return self._taken()
        if frame is None:
            return None
        if frame.kind is FrameKind.STANZA:
            self._stanza(frame.data)
        else:
            self._other_frame(frame.kind, frame.data)
        return self._taken()

    def handle(self, event: Event, now: float, payload: object = None) -> list[Effect]:
        """Something happened outside: a connection came up or went, the user starts or stops."""
        self._now = now
        self._run(event, payload)
        return self._taken()

    def deadline(self) -> float:
        """When `tick` wants to be called; infinity for never."""
        return min(self._deadlines.values(), default=inf)

    def tick(self, now: float) -> list[Effect]:
        """Fire the timers that are due, earliest first."""
        self._now = now
        due = sorted((at, timer.name) for timer, at in self._deadlines.items() if at <= now)
        for _, name in due:
            timer = Timer[name]
            if self._deadlines.get(timer, inf) <= now:  # an earlier one may have stopped it
                del self._deadlines[timer]
                self._run(timer.value, None)
        return self._taken()

    # --- Running the table --------------------------------------------------------------------------------------------

    def _run(self, event: Event, payload: object) -> None:
        self.payload = payload
        for rule in self._table.get((self.state, event), ()):
            if rule.guard is not None and not rule.guard(self):
                continue
            if event not in (Event.STANZA, Event.KEEPALIVE, Event.KEEPALIVE_TIMER):
                self.last_event = event
            if rule.next is not None:
                self.state = rule.next
            for action in rule.actions:
                action(self)
            return

    def _taken(self) -> list[Effect]:
        effects, self._effects = self._effects, []
        return effects

    def _bad_input(self, why: str) -> None:
        self.counters.malformed += 1
        self._run(Event.BAD_INPUT, why)

    def _stanza(self, data: bytes) -> None:
        try:
            stanza = self._parser.parse(data)
        except StanzaError as error:
            self._bad_input(str(error))
            return
        self.counters.stanzas_in += 1
        self._run(Event.STANZA, stanza)

    def _other_frame(self, kind: FrameKind, data: bytes) -> None:
        try:
            match kind:
                case FrameKind.KEEPALIVE:
                    self.counters.keepalives_in += 1
                    self._run(Event.KEEPALIVE, None)
                case FrameKind.STREAM_OPEN:
                    self._open(stream.read_open(data, self.behaviour.strict_stream_header))
                case FrameKind.FEATURES:
                    stream.check_features(data)
                    self._run(Event.FEATURES, None)
                case FrameKind.STARTTLS | FrameKind.PROCEED:
                    stream.check_tls(data)
                    self._run(Event.STARTTLS if kind is FrameKind.STARTTLS else Event.PROCEED, None)
                case _:
                    raise AssertionError(kind)
        except stream.StreamError as error:
            self._bad_input(str(error))

    def _open(self, opened: stream.StreamOpen) -> None:
        refusal = self.judge(opened)
        if refusal:
            self._run(Event.REFUSED, refusal)
        else:
            self._run(Event.OPEN, opened)

    def judge(self, opened: stream.StreamOpen) -> str:
        """Why this open is refused; empty when it is not."""
        return ""

    # --- Actions of both tables ---------------------------------------------------------------------------------------

    def emit(self, do: Do, data: bytes | Stanza | str | None = None) -> None:
        self._effects.append(Effect(do, data))

    def emit_bytes(self, data: bytes) -> None:
        self._effects.append(Effect(Do.SEND, data))

    def start_timer(self, timer: Timer, seconds: float) -> None:
        self._deadlines[timer] = self._now + seconds

    def stop_timer(self, timer: Timer) -> None:
        self._deadlines.pop(timer, None)

    def start_hold(self) -> None:
        """(Re)start the hold timer: on each complete keepalive or stanza."""
        if self._hold_time > 0:
            self._deadlines[Timer.HOLD] = self._now + self._hold_time
        else:
            self.stop_timer(Timer.HOLD)

    def start_keepalive(self) -> None:
        if self._hold_time > 0:
            self.start_timer(Timer.KEEPALIVE, self._hold_time / 3)
        else:
            self.stop_timer(Timer.KEEPALIVE)

    def send_keepalive(self) -> None:
        self.counters.keepalives_out += 1
        self.emit_bytes(stream.KEEPALIVE if self.behaviour.keepalive_is_u0200 else stream.BLANK)

    def note_peer(self) -> None:
        """Keep what the open said."""
        if isinstance(self.payload, stream.StreamOpen):
            self.opened = self.payload
            self.peer = self.payload.from_

    def announce(self) -> None:
        self.emit(Do.ESTABLISHED)

    def deliver(self) -> None:
        if isinstance(self.payload, Stanza):
            self.emit(Do.DELIVER, self.payload)

    def start_tls(self) -> None:
        """Nothing that came in the clear may count behind the handshake."""
        self._framer.clear()
        self.emit(Do.START_TLS)

    def finish(self) -> None:
        """Stop all timers, forget the buffer, keep the reason."""
        self._deadlines.clear()
        self._framer.clear()
        event = self.last_event
        self.reason = str(self.payload) if self.payload else (event.value if event is not None else "")

    def drop(self) -> None:
        """Finish and ask for the connection to be closed: a bare TCP close (1.9)."""
        self.finish()
        self.emit(Do.DROP, self.reason)


def _never() -> bool:
    return False


def input_waits(core: Core) -> bool:
    """Guard: bytes wait in the socket, so the peer is not silent, we are slow (1.6)."""
    return core.input_waits()


def uses_tls(core: Core) -> bool:
    """Guard."""
    return core.tls

"""The BGP state machine as data: (state, event) -> (guard, next state, actions), for a peer with two connections.

A peer may hold an outbound ("active") and an inbound ("passive") TCP connection until one is chosen; from OpenConfirm
on there is one, the session. Facts: reference/bgp.md 1.1 to 1.3; RFC 4271 section 8; RFC 9687 for the send hold timer.

The table is total: a pair that is not written below is ignored in that state, and `rules` says so. Guards and actions
are names; peer.PeerCore gives each one its method. `describe()` prints the whole machine.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum
from types import MappingProxyType


class State(Enum):
    """RFC 4271 8.2.2; the values are the strings of introspect."""

    __hash__ = object.__hash__  # members are singletons; Enum's own costs a call of Python per look-up

    IDLE = "Idle"
    ACTIVE = "Active"
    CONNECT = "Connect"
    OPEN_SENT = "OpenSent"
    OPEN_CONFIRM = "OpenConfirm"
    ESTABLISHED = "Established"


class Event(Enum):
    """What can happen to a peer. Values are the names a control node shows as `last_event` (`fsm::` goes before)."""

    __hash__ = object.__hash__  # members are singletons; Enum's own costs a call of Python per look-up

    START = "EvStart"
    STOP = "EvStop"
    IDLE_HOLD_EXPIRED = "EvIdleHoldTimerExpired"
    CONNECT_EXPIRED = "EvConnectTimerExpired"
    OPEN_DELAY_EXPIRED = "EvOpenTimerExpired"
    HOLD_EXPIRED = "EvHoldTimerExpired"
    KEEPALIVE_EXPIRED = "EvKeepaliveTimerExpired"
    SEND_HOLD_EXPIRED = "EvSendHoldTimerExpired"
    TCP_CONNECTED = "EvTcpConnected"
    TCP_CONNECT_FAILED = "EvTcpConnectFail"
    TCP_PASSIVE_OPEN = "EvTcpPassiveOpen"
    TCP_CLOSED = "EvTcpClose"
    OPEN = "EvBgpOpen"
    KEEPALIVE = "EvBgpKeepalive"
    UPDATE = "EvBgpUpdate"
    ROUTE_REFRESH = "EvBgpRouteRefresh"
    NOTIFICATION = "EvBgpNotification"
    HEADER_ERROR = "EvBgpHeaderError"
    OPEN_ERROR = "EvBgpOpenError"
    UPDATE_ERROR = "EvBgpUpdateError"


class Guard(Enum):
    """A question about the peer and the connection the event came on. Values are what `describe` prints."""

    __hash__ = object.__hash__  # members are singletons; Enum's own costs a call of Python per look-up

    ALWAYS = "always"
    IDLE_HOLD_SET = "an idle hold time is set"
    PASSIVE = "the peer is passive"
    ON_INBOUND = "on the inbound connection"
    ON_INBOUND_WITH_OUTBOUND = "on the inbound connection, an outbound one exists"
    OUTBOUND_EXISTS = "an outbound connection exists"
    INBOUND_EXISTS = "an inbound connection exists"
    INBOUND_READY = "on the outbound connection, our OPEN is out on the inbound one"
    INBOUND_WAITING = "on the outbound connection, the inbound one waits for its open delay"
    RESTART_REFUSED = "on the connection to keep, its capabilities end the graceful restart under way"
    COLLISION_INBOUND_WINS = "both connections, the peer's identifier is higher, on the inbound one"
    COLLISION_INBOUND_WINS_ELSEWHERE = "both connections, the peer's identifier is higher, on the outbound one"
    COLLISION_OUTBOUND_WINS = "both connections, the peer's identifier is lower, on the outbound one"
    COLLISION_OUTBOUND_WINS_ELSEWHERE = "both connections, the peer's identifier is lower, on the inbound one"
    CLOSE_IN_PROGRESS = "an earlier close is still being processed"
    PEER_RESTARTED = "a new connection means that the peer restarted (graceful restart usable, or BGPaaS)"
    PEER_RESTARTED_HERE = "profile rfc: a new connection means that the peer restarted, and it is taken (RFC 4724 5)"


class Action(Enum):
    """What a transition does. Values are what `describe` prints."""

    __hash__ = object.__hash__  # members are singletons; Enum's own costs a call of Python per look-up

    START_IDLE_HOLD = "start idle hold timer"
    STOP_IDLE_HOLD = "stop idle hold timer"
    START_CONNECT_TIMER = "start connect timer"
    WAIT_TO_CONNECT = "start connect timer unless passive or an inbound connection is held"
    STOP_CONNECT_TIMER = "stop connect timer"
    START_OPEN_DELAY = "start open delay timer"
    STOP_OPEN_DELAY = "stop open delay timer"
    START_OPEN_SENT_HOLD = "start hold timer with its OpenSent value"
    START_HOLD = "start hold timer with the negotiated value"
    STOP_HOLD = "stop hold timer"
    START_KEEPALIVE = "start keepalive timer"
    COUNT_ATTEMPT = "count a connect attempt"
    CLEAR_ATTEMPTS = "clear connect attempts"
    OPEN_TCP = "open the outbound connection"
    TAKE_INBOUND = "hold the new inbound connection, close an earlier one"
    DROP_NEW = "close the new connection"
    REJECT_NEW = "send Cease/5 on the new connection and close it"
    DROP_OUTBOUND = "close the outbound connection"
    DROP_INBOUND = "close the inbound connection"
    REJECT_OUTBOUND = "send Cease/7 on the outbound connection and close it"
    REJECT_INBOUND = "send Cease/7 on the inbound connection and close it"
    DROP_SESSION = "close the session's connection"
    DROP_ALL = "close every connection"
    SEND_OPEN_OUTBOUND = "send OPEN on the outbound connection"
    SEND_OPEN_INBOUND = "send OPEN on the inbound connection"
    SEND_OPEN_IF_WAITING = "send OPEN on the inbound connection if its open delay runs, and stop that"
    ASSIGN_INBOUND = "the inbound connection becomes the session"
    ASSIGN_OUTBOUND = "the outbound connection becomes the session"
    NEGOTIATE = "take over the peer's OPEN: hold time, capabilities"
    SEND_KEEPALIVE = "send KEEPALIVE"
    SEND_CEASE = "send Cease with the subcode of the stop"
    SEND_RESTART_CEASE = "send Cease/0"
    SEND_ERROR = "send NOTIFICATION for the error"
    SEND_HOLD_EXPIRED = "send NOTIFICATION 4/0"
    SEND_SEND_HOLD_EXPIRED = "send NOTIFICATION 8/0"
    SEND_FSM_ERROR = "send NOTIFICATION 5"
    NOTE_NOTIFICATION = "remember the NOTIFICATION"
    END_RESTART = "give up the graceful restart under way"
    CLOSE_PEER = "close the peer: count a flap, decide on graceful restart, set idle hold"
    ANNOUNCE_ESTABLISHED = "announce the session, start End-of-RIB timers"
    DELIVER_UPDATE = "deliver the update"
    DELIVER_REFRESH = "deliver the route refresh"


@dataclass(frozen=True, slots=True)
class Rule:
    """When `guard` holds: run `actions` and go to `next`. None means stay, without leaving and entering again."""

    guard: Guard
    next: State | None
    actions: tuple[Action, ...]


IGNORE = Rule(Guard.ALWAYS, None, ())

ON_ENTRY: Mapping[State, tuple[Action, ...]] = MappingProxyType(
    {
        State.IDLE: (Action.DROP_ALL, Action.STOP_OPEN_DELAY),
        State.ACTIVE: (Action.WAIT_TO_CONNECT,),
        State.CONNECT: (Action.COUNT_ATTEMPT, Action.START_CONNECT_TIMER, Action.OPEN_TCP),
        State.OPEN_SENT: (Action.START_OPEN_SENT_HOLD,),
        State.OPEN_CONFIRM: (
            Action.SEND_KEEPALIVE,
            Action.START_KEEPALIVE,
            Action.STOP_OPEN_DELAY,
            Action.START_HOLD,
        ),
        State.ESTABLISHED: (Action.CLEAR_ATTEMPTS, Action.START_HOLD, Action.ANNOUNCE_ESTABLISHED),
    }
)

ON_EXIT: Mapping[State, tuple[Action, ...]] = MappingProxyType(
    {
        State.IDLE: (Action.STOP_IDLE_HOLD,),
        State.ACTIVE: (Action.STOP_CONNECT_TIMER,),
        State.CONNECT: (Action.STOP_CONNECT_TIMER,),
        State.OPEN_SENT: (Action.STOP_HOLD,),
        State.OPEN_CONFIRM: (Action.STOP_HOLD,),
        State.ESTABLISHED: (Action.STOP_HOLD,),
    }
)


def _to(state: State, *actions: Action, when: Guard = Guard.ALWAYS) -> Rule:
    return Rule(when, state, actions)


def _stay(*actions: Action, when: Guard = Guard.ALWAYS) -> Rule:
    return Rule(when, None, actions)


_CEASE = (_to(State.IDLE, Action.SEND_CEASE, Action.CLOSE_PEER),)
_ERROR = (_to(State.IDLE, Action.SEND_ERROR, Action.CLOSE_PEER),)
_FSM_ERROR = (_to(State.IDLE, Action.SEND_FSM_ERROR, Action.CLOSE_PEER),)
_HOLD_EXPIRED = (_to(State.IDLE, Action.SEND_HOLD_EXPIRED, Action.CLOSE_PEER),)
_NOTIFIED = (_to(State.IDLE, Action.NOTE_NOTIFICATION, Action.CLOSE_PEER),)
_CLOSED = (_to(State.IDLE, Action.CLOSE_PEER),)
_RESTART_REFUSED = (Action.END_RESTART, Action.SEND_FSM_ERROR, Action.CLOSE_PEER)

_UNEXPECTED_BEFORE_SESSION: Mapping[Event, tuple[Rule, ...]] = {
    Event.STOP: _CEASE,
    Event.KEEPALIVE: _FSM_ERROR,
    Event.UPDATE: _FSM_ERROR,
    Event.ROUTE_REFRESH: _FSM_ERROR,
    Event.NOTIFICATION: _NOTIFIED,
    Event.HEADER_ERROR: _ERROR,
    Event.OPEN_ERROR: _ERROR,
    Event.UPDATE_ERROR: _ERROR,
}
"""Common to Active, Connect and OpenSent, where each may say otherwise."""

_IDLE: Mapping[Event, tuple[Rule, ...]] = {
    Event.STOP: _CEASE,
    Event.START: (
        _stay(Action.START_IDLE_HOLD, when=Guard.IDLE_HOLD_SET),
        _to(State.ACTIVE),
    ),
    Event.IDLE_HOLD_EXPIRED: (_to(State.ACTIVE),),
    Event.TCP_PASSIVE_OPEN: (_stay(Action.DROP_NEW),),
}

_ACTIVE: Mapping[Event, tuple[Rule, ...]] = {
    **_UNEXPECTED_BEFORE_SESSION,
    Event.CONNECT_EXPIRED: (
        _stay(when=Guard.PASSIVE),
        _to(State.CONNECT),
    ),
    Event.OPEN_DELAY_EXPIRED: (_to(State.OPEN_SENT, Action.SEND_OPEN_INBOUND, when=Guard.INBOUND_EXISTS),),
    Event.TCP_PASSIVE_OPEN: (_stay(Action.TAKE_INBOUND, Action.STOP_CONNECT_TIMER, Action.START_OPEN_DELAY),),
    Event.TCP_CLOSED: (
        _stay(Action.DROP_INBOUND, Action.STOP_OPEN_DELAY, Action.WAIT_TO_CONNECT, when=Guard.ON_INBOUND),
    ),
    Event.OPEN: (
        _to(State.IDLE, *_RESTART_REFUSED, when=Guard.RESTART_REFUSED),
        _to(
            State.OPEN_CONFIRM, Action.SEND_OPEN_INBOUND, Action.ASSIGN_INBOUND, Action.NEGOTIATE, when=Guard.ON_INBOUND
        ),
    ),
}

_CONNECT: Mapping[Event, tuple[Rule, ...]] = {
    **_UNEXPECTED_BEFORE_SESSION,
    Event.CONNECT_EXPIRED: (_to(State.ACTIVE, Action.DROP_OUTBOUND),),
    Event.OPEN_DELAY_EXPIRED: (
        _to(State.OPEN_SENT, Action.SEND_OPEN_INBOUND, Action.DROP_OUTBOUND, when=Guard.INBOUND_EXISTS),
    ),
    Event.TCP_CONNECTED: (_to(State.OPEN_SENT, Action.SEND_OPEN_OUTBOUND),),
    Event.TCP_CONNECT_FAILED: (_to(State.ACTIVE, Action.DROP_OUTBOUND),),
    Event.TCP_PASSIVE_OPEN: (_stay(Action.TAKE_INBOUND, Action.START_OPEN_DELAY),),
    Event.TCP_CLOSED: (
        _stay(Action.DROP_INBOUND, Action.STOP_OPEN_DELAY, when=Guard.ON_INBOUND),
        _to(State.ACTIVE, Action.DROP_OUTBOUND),
    ),
    Event.OPEN: (
        _to(State.IDLE, *_RESTART_REFUSED, when=Guard.RESTART_REFUSED),
        _to(
            State.OPEN_CONFIRM,
            Action.DROP_OUTBOUND,
            Action.SEND_OPEN_INBOUND,
            Action.ASSIGN_INBOUND,
            Action.NEGOTIATE,
            when=Guard.ON_INBOUND,
        ),
    ),
}

_OPEN_SENT: Mapping[Event, tuple[Rule, ...]] = {
    **_UNEXPECTED_BEFORE_SESSION,
    Event.OPEN_DELAY_EXPIRED: (_stay(Action.SEND_OPEN_INBOUND, when=Guard.INBOUND_EXISTS),),
    Event.HOLD_EXPIRED: _HOLD_EXPIRED,
    Event.TCP_PASSIVE_OPEN: (
        _stay(Action.TAKE_INBOUND, Action.START_OPEN_DELAY, when=Guard.OUTBOUND_EXISTS),
        _to(State.ACTIVE, Action.TAKE_INBOUND, Action.START_OPEN_DELAY),
    ),
    Event.TCP_CLOSED: (
        _stay(Action.DROP_INBOUND, Action.STOP_OPEN_DELAY, when=Guard.ON_INBOUND_WITH_OUTBOUND),
        _to(State.ACTIVE, Action.DROP_INBOUND, Action.STOP_OPEN_DELAY, when=Guard.ON_INBOUND),
        _stay(Action.DROP_OUTBOUND, when=Guard.INBOUND_READY),
        _to(State.ACTIVE, Action.DROP_OUTBOUND),
    ),
    Event.OPEN: (
        _to(State.IDLE, *_RESTART_REFUSED, when=Guard.RESTART_REFUSED),
        _to(
            State.OPEN_CONFIRM,
            Action.REJECT_OUTBOUND,
            Action.SEND_OPEN_IF_WAITING,
            Action.ASSIGN_INBOUND,
            Action.NEGOTIATE,
            when=Guard.COLLISION_INBOUND_WINS,
        ),
        _stay(Action.REJECT_OUTBOUND, Action.SEND_OPEN_IF_WAITING, when=Guard.COLLISION_INBOUND_WINS_ELSEWHERE),
        _to(
            State.OPEN_CONFIRM,
            Action.REJECT_INBOUND,
            Action.STOP_OPEN_DELAY,
            Action.ASSIGN_OUTBOUND,
            Action.NEGOTIATE,
            when=Guard.COLLISION_OUTBOUND_WINS,
        ),
        _stay(Action.REJECT_INBOUND, Action.STOP_OPEN_DELAY, when=Guard.COLLISION_OUTBOUND_WINS_ELSEWHERE),
        _to(State.OPEN_CONFIRM, Action.ASSIGN_INBOUND, Action.NEGOTIATE, when=Guard.ON_INBOUND),
        _to(State.OPEN_CONFIRM, Action.ASSIGN_OUTBOUND, Action.NEGOTIATE),
    ),
    Event.NOTIFICATION: (
        _stay(
            Action.NOTE_NOTIFICATION, Action.DROP_INBOUND, Action.STOP_OPEN_DELAY, when=Guard.ON_INBOUND_WITH_OUTBOUND
        ),
        _stay(Action.NOTE_NOTIFICATION, Action.DROP_OUTBOUND, when=Guard.INBOUND_READY),
        _to(State.ACTIVE, Action.NOTE_NOTIFICATION, Action.DROP_OUTBOUND, when=Guard.INBOUND_WAITING),
        *_NOTIFIED,
    ),
}

_OPEN_CONFIRM: Mapping[Event, tuple[Rule, ...]] = {
    Event.STOP: _CEASE,
    Event.OPEN_DELAY_EXPIRED: _FSM_ERROR,
    Event.HOLD_EXPIRED: _HOLD_EXPIRED,
    Event.KEEPALIVE_EXPIRED: (_stay(Action.SEND_KEEPALIVE, Action.START_KEEPALIVE),),
    Event.TCP_PASSIVE_OPEN: (_stay(Action.REJECT_NEW),),
    Event.TCP_CLOSED: _CLOSED,
    Event.OPEN: _FSM_ERROR,
    Event.KEEPALIVE: (
        _to(State.IDLE, Action.CLOSE_PEER, when=Guard.CLOSE_IN_PROGRESS),
        _to(State.ESTABLISHED),
    ),
    Event.UPDATE: _FSM_ERROR,
    Event.ROUTE_REFRESH: _FSM_ERROR,
    Event.NOTIFICATION: _NOTIFIED,
    Event.HEADER_ERROR: _ERROR,
    Event.OPEN_ERROR: _ERROR,
    Event.UPDATE_ERROR: _ERROR,
}

_ESTABLISHED: Mapping[Event, tuple[Rule, ...]] = {
    Event.STOP: _CEASE,
    Event.OPEN_DELAY_EXPIRED: _FSM_ERROR,
    Event.HOLD_EXPIRED: _HOLD_EXPIRED,
    Event.KEEPALIVE_EXPIRED: (_stay(Action.SEND_KEEPALIVE, Action.START_KEEPALIVE),),
    Event.SEND_HOLD_EXPIRED: (_to(State.IDLE, Action.SEND_SEND_HOLD_EXPIRED, Action.CLOSE_PEER),),
    Event.TCP_PASSIVE_OPEN: (
        _to(
            State.ACTIVE,
            Action.CLOSE_PEER,
            Action.DROP_SESSION,
            Action.TAKE_INBOUND,
            Action.START_OPEN_DELAY,
            when=Guard.PEER_RESTARTED_HERE,
        ),
        _to(State.IDLE, Action.DROP_NEW, Action.SEND_RESTART_CEASE, Action.CLOSE_PEER, when=Guard.PEER_RESTARTED),
        _stay(Action.DROP_NEW),
    ),
    Event.TCP_CLOSED: _CLOSED,
    Event.OPEN: _FSM_ERROR,
    Event.KEEPALIVE: (_stay(Action.START_HOLD),),
    Event.UPDATE: (_stay(Action.START_HOLD, Action.DELIVER_UPDATE),),
    Event.ROUTE_REFRESH: (_stay(Action.START_HOLD, Action.DELIVER_REFRESH),),
    Event.NOTIFICATION: _NOTIFIED,
    Event.HEADER_ERROR: _ERROR,
    Event.OPEN_ERROR: _FSM_ERROR,
    Event.UPDATE_ERROR: _ERROR,
}

_WRITTEN: Mapping[State, Mapping[Event, tuple[Rule, ...]]] = {
    State.IDLE: _IDLE,
    State.ACTIVE: _ACTIVE,
    State.CONNECT: _CONNECT,
    State.OPEN_SENT: _OPEN_SENT,
    State.OPEN_CONFIRM: _OPEN_CONFIRM,
    State.ESTABLISHED: _ESTABLISHED,
}

TABLE: Mapping[tuple[State, Event], tuple[Rule, ...]] = MappingProxyType(
    {(state, event): _WRITTEN[state].get(event, (IGNORE,)) for state in State for event in Event}
)
"""Rules of a pair in order; the first whose guard holds applies, and when none does the event is ignored."""


def run_of(state: State, rule: Rule) -> tuple[Action, ...]:
    """All actions of a rule in `state` in the order they run: leaving, its own, entering."""
    if rule.next is None:
        return rule.actions
    return (*ON_EXIT[state], *rule.actions, *ON_ENTRY[rule.next])


def describe() -> str:
    """The machine as text, one paragraph a pair that does something."""
    lines: list[str] = []
    for (state, event), rules in TABLE.items():
        if rules == (IGNORE,):
            continue
        lines.append(f"{state.value} + {event.value}")
        for rule in rules:
            lines.append(f"    {rule.guard.value} -> {'stay' if rule.next is None else rule.next.value}")
            lines.extend(f"        {action.value}" for action in run_of(state, rule))
    return "\n".join(lines) + "\n"


def main() -> None:
    print(describe(), end="")


if __name__ == "__main__":
    main()

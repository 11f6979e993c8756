"""Every event in every state of a real core: where it goes and what it does to the outside, written out by hand.

Each core got to its state by an outbound connection (number 1). `new` is a further connection.
"""

from __future__ import annotations

from collections.abc import Callable

import pytest
from control.bgp.session.core import Driver, an_open

from contrail_emulator.control.bgp import update
from contrail_emulator.control.bgp.actions import Occurrence
from contrail_emulator.control.bgp.connections import Connection
from contrail_emulator.control.bgp.family import Family
from contrail_emulator.control.bgp.fsm import Event, State
from contrail_emulator.control.bgp.message import HEADER_SIZE, Notification, Open
from contrail_emulator.control.bgp.notification import MessageError

IDLE, ACTIVE, CONNECT = State.IDLE, State.ACTIVE, State.CONNECT
SENT, CONFIRM, UP = State.OPEN_SENT, State.OPEN_CONFIRM, State.ESTABLISHED

Outcome = tuple[State, list[str]]

CLOSED = ["close 1"]
CEASE = ["1: NOTIFICATION 6/4", "close 1"]
FSM = ["1: NOTIFICATION 5/0", "close 1"]
HEADER = ["1: NOTIFICATION 1/1", "close 1"]
OPEN_FAULT = ["1: NOTIFICATION 2/2", "close 1"]
UPDATE_FAULT = ["1: NOTIFICATION 3/5", "close 1"]


def down(lines: list[str], reason: str) -> list[str]:
    """An established session that ends with these lines: its user is told before the connection closes."""
    return [*lines[:-1], f"down {reason}", lines[-1]]


MATRIX: dict[Event, dict[State, Outcome]] = {
    Event.START: {
        IDLE: (ACTIVE, []),
        ACTIVE: (ACTIVE, []),
        CONNECT: (CONNECT, []),
        SENT: (SENT, []),
        CONFIRM: (CONFIRM, []),
        UP: (UP, []),
    },
    Event.STOP: {
        IDLE: (IDLE, []),
        ACTIVE: (IDLE, []),
        CONNECT: (IDLE, CLOSED),
        SENT: (IDLE, CEASE),
        CONFIRM: (IDLE, CEASE),
        UP: (IDLE, down(CEASE, "6/4")),
    },
    Event.IDLE_HOLD_EXPIRED: {
        IDLE: (ACTIVE, []),
        ACTIVE: (ACTIVE, []),
        CONNECT: (CONNECT, []),
        SENT: (SENT, []),
        CONFIRM: (CONFIRM, []),
        UP: (UP, []),
    },
    Event.CONNECT_EXPIRED: {
        IDLE: (IDLE, []),
        ACTIVE: (CONNECT, ["connect 1"]),
        CONNECT: (ACTIVE, CLOSED),
        SENT: (SENT, []),
        CONFIRM: (CONFIRM, []),
        UP: (UP, []),
    },
    Event.OPEN_DELAY_EXPIRED: {
        IDLE: (IDLE, []),
        ACTIVE: (ACTIVE, []),
        CONNECT: (CONNECT, []),
        SENT: (SENT, []),
        CONFIRM: (IDLE, FSM),
        UP: (IDLE, down(FSM, "5/0")),
    },
    Event.HOLD_EXPIRED: {
        IDLE: (IDLE, []),
        ACTIVE: (ACTIVE, []),
        CONNECT: (CONNECT, []),
        SENT: (IDLE, ["1: NOTIFICATION 4/0", "close 1"]),
        CONFIRM: (IDLE, ["1: NOTIFICATION 4/0", "close 1"]),
        UP: (IDLE, ["1: NOTIFICATION 4/0", "down 4/0", "close 1"]),
    },
    Event.KEEPALIVE_EXPIRED: {
        IDLE: (IDLE, []),
        ACTIVE: (ACTIVE, []),
        CONNECT: (CONNECT, []),
        SENT: (SENT, []),
        CONFIRM: (CONFIRM, ["1: KEEPALIVE"]),
        UP: (UP, ["1: KEEPALIVE"]),
    },
    Event.SEND_HOLD_EXPIRED: {
        IDLE: (IDLE, []),
        ACTIVE: (ACTIVE, []),
        CONNECT: (CONNECT, []),
        SENT: (SENT, []),
        CONFIRM: (CONFIRM, []),
        UP: (IDLE, ["1: NOTIFICATION 8/0", "down 8/0", "close 1"]),
    },
    Event.TCP_CONNECTED: {
        IDLE: (IDLE, []),
        ACTIVE: (ACTIVE, []),
        CONNECT: (SENT, ["1: OPEN"]),
        SENT: (SENT, []),
        CONFIRM: (CONFIRM, []),
        UP: (UP, []),
    },
    Event.TCP_CONNECT_FAILED: {
        IDLE: (IDLE, []),
        ACTIVE: (ACTIVE, []),
        CONNECT: (ACTIVE, CLOSED),
        SENT: (SENT, []),
        CONFIRM: (CONFIRM, []),
        UP: (UP, []),
    },
    Event.TCP_PASSIVE_OPEN: {
        IDLE: (IDLE, ["close new"]),
        ACTIVE: (ACTIVE, []),
        CONNECT: (CONNECT, []),
        SENT: (SENT, []),
        CONFIRM: (CONFIRM, ["new: NOTIFICATION 6/5", "close new"]),
        UP: (UP, ["close new"]),
    },
    Event.TCP_CLOSED: {
        IDLE: (IDLE, []),
        ACTIVE: (ACTIVE, []),
        CONNECT: (ACTIVE, CLOSED),
        SENT: (ACTIVE, CLOSED),
        CONFIRM: (IDLE, CLOSED),
        UP: (IDLE, ["down 0/0", "close 1"]),
    },
    Event.OPEN: {
        IDLE: (IDLE, []),
        ACTIVE: (ACTIVE, []),
        CONNECT: (CONNECT, []),
        SENT: (CONFIRM, ["1: KEEPALIVE"]),
        CONFIRM: (IDLE, FSM),
        UP: (IDLE, down(FSM, "5/0")),
    },
    Event.KEEPALIVE: {
        IDLE: (IDLE, []),
        ACTIVE: (IDLE, []),
        CONNECT: (IDLE, CLOSED),
        SENT: (IDLE, FSM),
        CONFIRM: (UP, ["up 1"]),
        UP: (UP, []),
    },
    Event.UPDATE: {
        IDLE: (IDLE, []),
        ACTIVE: (IDLE, []),
        CONNECT: (IDLE, CLOSED),
        SENT: (IDLE, FSM),
        CONFIRM: (IDLE, FSM),
        UP: (UP, ["update"]),
    },
    Event.ROUTE_REFRESH: {
        IDLE: (IDLE, []),
        ACTIVE: (IDLE, []),
        CONNECT: (IDLE, CLOSED),
        SENT: (IDLE, FSM),
        CONFIRM: (IDLE, FSM),
        UP: (UP, ["refresh inet"]),
    },
    Event.NOTIFICATION: {
        IDLE: (IDLE, []),
        ACTIVE: (IDLE, []),
        CONNECT: (IDLE, CLOSED),
        SENT: (IDLE, CLOSED),
        CONFIRM: (IDLE, CLOSED),
        UP: (IDLE, ["down 6/2", "close 1"]),
    },
    Event.HEADER_ERROR: {
        IDLE: (IDLE, []),
        ACTIVE: (IDLE, []),
        CONNECT: (IDLE, CLOSED),
        SENT: (IDLE, HEADER),
        CONFIRM: (IDLE, HEADER),
        UP: (IDLE, down(HEADER, "1/1")),
    },
    Event.OPEN_ERROR: {
        IDLE: (IDLE, []),
        ACTIVE: (IDLE, []),
        CONNECT: (IDLE, CLOSED),
        SENT: (IDLE, OPEN_FAULT),
        CONFIRM: (IDLE, OPEN_FAULT),
        UP: (IDLE, down(FSM, "5/0")),
    },
    Event.UPDATE_ERROR: {
        IDLE: (IDLE, []),
        ACTIVE: (IDLE, []),
        CONNECT: (IDLE, CLOSED),
        SENT: (IDLE, UPDATE_FAULT),
        CONFIRM: (IDLE, UPDATE_FAULT),
        UP: (IDLE, down(UPDATE_FAULT, "3/5")),
    },
}

BRINGS: dict[Event, Callable[[Occurrence], None]] = {
    Event.STOP: lambda it: setattr(it, "subcode", 4),
    Event.OPEN: lambda it: setattr(it, "open", Open.read(an_open()[HEADER_SIZE:])),
    Event.UPDATE: lambda it: setattr(it, "received", update.Received()),
    Event.ROUTE_REFRESH: lambda it: setattr(it, "family", Family.INET),
    Event.NOTIFICATION: lambda it: setattr(it, "notification", Notification(6, 2)),
    Event.HEADER_ERROR: lambda it: setattr(it, "error", MessageError(1, 1)),
    Event.OPEN_ERROR: lambda it: setattr(it, "error", MessageError(2, 2)),
    Event.UPDATE_ERROR: lambda it: setattr(it, "error", MessageError(3, 5)),
}


@pytest.mark.parametrize("event", Event, ids=lambda event: event.value)
@pytest.mark.parametrize("state", State, ids=lambda state: state.value)
def test_event_in_state(state: State, event: Event) -> None:
    driver = Driver().reach(state)
    driver.take()
    core = driver.core
    connection: Connection | None = core.connections.find(1)
    if event is Event.TCP_PASSIVE_OPEN:
        connection = core.connections.new(True, core.framer())
    occurrence = Occurrence(event, driver.now, connection)
    if event in BRINGS:
        BRINGS[event](occurrence)

    core.fire(occurrence)
    driver.drain()

    lines = driver.take()
    if event is Event.TCP_PASSIVE_OPEN and connection is not None:
        number = connection.number
        lines = [line.replace(f"close {number}", "close new").replace(f"{number}:", "new:") for line in lines]
    assert (driver.state, lines) == MATRIX[event][state]
    assert core.history.last_event is not None

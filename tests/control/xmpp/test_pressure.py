"""Back-pressure: blocked above 256 KiB pending, unblocked below 64 KiB (reference/xmpp.md 5)."""

from __future__ import annotations

import random
from collections.abc import Iterable
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from contrail_emulator.control.xmpp import ClientSettings, ServerSettings, Session, Stanza, XmppClient, XmppServer
from contrail_emulator.control.xmpp.outbox import BLOCKED_ABOVE, UNBLOCKED_BELOW, Outbox
from contrail_emulator.control.xmpp.states import State

MESSAGE = b"<message>" + b"x" * 8000 + b"</message>"


class Handler:
    """Keeps the session and counts."""

    def __init__(self) -> None:
        self.session: Session | None = None
        self.stanzas = 0
        self.unblocks = 0
        self.reasons: list[str] = []

    def established(self, session: Session) -> None:
        self.session = session

    def stanza(self, session: Session, stanza: Stanza) -> None:
        self.stanzas += 1

    def closed(self, session: Session, reason: str) -> None:
        self.reasons.append(reason)

    def unblocked(self, session: Session) -> None:
        self.unblocks += 1
        assert session.pending_bytes < UNBLOCKED_BELOW

    def timed_out(self, client: XmppClient) -> None:
        raise AssertionError("never")


@pytest.fixture
def ends(net: Any) -> tuple[Handler, Handler, XmppClient, XmppServer]:
    control, agent = Handler(), Handler()
    server = XmppServer(net, ServerSettings("ctrl-1", port=5269), control)
    server.listen()
    client = XmppClient(net, ClientSettings("compute-7", "127.0.0.1"), agent, rng=random.Random(1))
    client.start()
    net.run(1)
    return control, agent, client, server


def sender(handler: Handler) -> Session:
    assert handler.session is not None
    return handler.session


def test_a_stalled_reader_blocks_and_a_reading_one_unblocks(net: Any, ends: Any) -> None:
    control, agent, *_ = ends
    sender(agent).pause_reading()
    sent = 0
    while sender(control).send(MESSAGE):
        sent += 1
        assert sent < 1000
    assert sender(control).blocked
    assert BLOCKED_ABOVE < sender(control).pending_bytes <= BLOCKED_ABOVE + len(MESSAGE)
    net.run(5)
    assert control.unblocks == 0
    sender(agent).resume_reading()
    net.run(1)
    assert control.unblocks == 1
    assert not sender(control).blocked
    assert agent.stanzas == sent + 1, "what was accepted is sent, also what was refused last"


def test_memory_stays_at_the_bound(net: Any, ends: Any) -> None:
    """A handler that minds the answer never has more than the bound and one message pending."""
    control, agent, *_ = ends
    sender(agent).pause_reading()
    session = sender(control)
    for _ in range(1000):
        if not session.blocked:
            session.send(MESSAGE)
    held = session.pending_bytes + len(net.wires[1].buffer)
    assert held <= BLOCKED_ABOVE + len(MESSAGE) + 2 * 64 * 1024


def test_a_reader_that_stalls_and_is_silent_is_cut(net: Any, ends: Any) -> None:
    control, *_ = ends
    stalled = sender(control)
    net.wires[0].frozen = True
    while stalled.send(MESSAGE):
        pass
    net.run(95)
    assert control.reasons == ["hold timer expired"]
    assert not net.wires[1].open, "what is held back is not waited for"
    assert stalled.pending_bytes <= 64 * 1024


def test_a_blocked_session_can_be_stopped(net: Any, ends: Any) -> None:
    control, agent, client, server = ends
    sender(agent).pause_reading()
    while sender(control).send(MESSAGE):
        pass
    stopped: list[None] = []
    server.stop().addCallback(stopped.append)
    net.settle()
    assert stopped == [None]
    assert client.state in (State.ACTIVE, State.ESTABLISHED)


def test_a_stanza_may_be_sent_in_parts(ends: Any, net: Any) -> None:
    control, agent, *_ = ends
    before = sender(control).counters.bytes_out
    assert sender(control).send(MESSAGE[:40], MESSAGE[40:])
    net.run(0.5, 0.05)
    assert agent.stanzas == 1
    assert sender(control).counters.stanzas_out == 1
    assert sender(control).counters.bytes_out == before + len(MESSAGE)


def test_the_last_bytes_leave_before_a_close(net: Any, ends: Any) -> None:
    control, agent, *_ = ends
    sender(control).send(MESSAGE)
    sender(control).close("done")
    net.run(0.5, 0.05)
    assert agent.stanzas == 1


def test_a_close_that_cannot_end_is_cut(net: Any, ends: Any) -> None:
    control, _, _, server = ends
    net.wires[0].frozen = True
    sender(control).send(MESSAGE)
    sender(control).close("done")
    net.run(4)
    assert control.reasons == ["done"]
    assert server.connections == 1
    net.run(2)
    assert server.connections == 0


class Tap:
    """A transport that takes everything."""

    def __init__(self) -> None:
        self.taken = b""

    def write(self, data: bytes) -> None:
        self.taken += data

    def writeSequence(self, data: Iterable[bytes]) -> None:  # noqa: N802 - Twisted's name
        self.taken += b"".join(data)


@settings(max_examples=100, deadline=None)
@given(st.lists(st.integers(1, 100_000) | st.sampled_from(["pause", "resume"]), max_size=40))
def test_order_and_accounts_hold_for_any_history(history: list[int | str]) -> None:
    tap = Tap()
    outbox = Outbox(tap)
    expected = b""
    for number, step in enumerate(history):
        was_blocked = outbox.blocked
        if step == "pause":
            outbox.pause()
        elif step == "resume":
            assert outbox.resume() is (was_blocked and outbox.pending < UNBLOCKED_BELOW)
        else:
            assert isinstance(step, int)
            data = bytes([number % 256]) * step
            expected += data
            parts = (data,) if number % 2 else (data[: step // 3], data[step // 3 :])
            assert outbox.write(*parts) is (not outbox.blocked)
        assert outbox.blocked is (outbox.pending > BLOCKED_ABOVE or (was_blocked and outbox.pending >= UNBLOCKED_BELOW))
        assert outbox.held_bytes == len(expected) - len(tap.taken)
        assert expected.startswith(tap.taken)
    outbox.resume()
    assert tap.taken == expected

"""Bytes as they come: one at a time equals all at once; noise and mutations end in a NOTIFICATION, never in a raise."""

from __future__ import annotations

import pytest
from control.bgp.session.core import KEEPALIVE, Driver, an_open, notification
from control.bgp.session.memory import MemoryNetwork
from control.bgp.session.pair import Node, join
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from contrail_emulator.base.behaviour import CONTRAIL, RFC, Behaviour
from contrail_emulator.control.bgp import update
from contrail_emulator.control.bgp.attributes import AsPath, Attributes
from contrail_emulator.control.bgp.family import Family
from contrail_emulator.control.bgp.framing import Framer
from contrail_emulator.control.bgp.fsm import State
from contrail_emulator.control.bgp.message import MAX_SIZE, RouteRefresh
from contrail_emulator.control.bgp.nlri import codec, label_bytes
from contrail_emulator.control.bgp.notification import MessageError

ATTRIBUTES = Attributes.make(origin=0, as_path=AsPath(()), local_pref=100, med=5, next_hop=bytes((10, 0, 0, 1)))
VPN_ROUTES = [(codec(Family.INET_VPN).key(f"64512:1:10.0.{n}.0/24"), label_bytes(n + 16, False)) for n in range(40)]
UPDATES = [
    *update.write(Family.INET, ATTRIBUTES, [(codec(Family.INET).key("10.0.0.0/8"), b"")], True),
    *update.write(Family.INET_VPN, ATTRIBUTES, VPN_ROUTES, True),
    *update.write_withdrawn(Family.INET_VPN, [key for key, _ in VPN_ROUTES]),
    update.end_of_rib(Family.INET_VPN),
]
MESSAGES = [KEEPALIVE, *UPDATES, RouteRefresh(1, 1).encode(), notification(6, 4, b"bye"), an_open()]
BEHAVIOURS = st.sampled_from([CONTRAIL, RFC])


def cut(data: bytes, sizes: list[int]) -> list[bytes]:
    pieces = []
    for size in sizes:
        pieces.append(data[:size])
        data = data[size:]
    return [*pieces, data]


@pytest.mark.parametrize("behaviour", [CONTRAIL, RFC], ids=["contrail", "rfc"])
@given(
    messages=st.lists(st.sampled_from(MESSAGES), min_size=1, max_size=8),
    sizes=st.lists(st.integers(1, 60), max_size=30),
    tail=st.binary(max_size=30),
)
@settings(max_examples=60, deadline=None)
def test_pieces_do_not_matter(behaviour: Behaviour, messages: list[bytes], sizes: list[int], tail: bytes) -> None:
    data = b"".join(messages) + tail
    whole, bytewise, pieces = (Driver(behaviour).reach(State.ESTABLISHED) for _ in range(3))
    whole.say(1, data)
    for byte in data:
        bytewise.say(1, bytes((byte,)))
    for piece in cut(data, sizes):
        pieces.say(1, piece)
    assert whole.take() == bytewise.take() == pieces.take()
    assert whole.state is bytewise.state is pieces.state


def test_two_speakers_byte_by_byte() -> None:
    network = MemoryNetwork(chunk=1)
    left, right = Node(network, 1), Node(network, 2)
    join(network, left, right)
    left.peer.send(b"".join(UPDATES))
    left.peer.send_end_of_rib(Family.INET)
    network.run(0.1)
    assert right.recorder.told == ["established to-127.0.1.1", "end-of-rib inet-vpn", "end-of-rib inet"]
    assert right.peer.counters.rx_updates.reach == 41
    assert right.peer.counters.rx_updates.unreach == 40
    assert left.peer.counters.tx_updates == right.peer.counters.rx_updates


def outcome(driver: Driver) -> None:
    """Either the session goes on, or it ended with exactly one NOTIFICATION of a plausible code, or the peer's own."""
    lines = driver.take()
    sent = [line.split()[-1] for line in lines if "NOTIFICATION" in line]
    if driver.at(State.ESTABLISHED):
        assert sent == []
        return
    assert driver.at(State.IDLE)
    (down,) = [line.split()[-1] for line in lines if line.startswith("down")]
    assert sent in ([down], [])
    code = int(down.split("/")[0])
    if sent:
        assert code in (1, 2, 3, 5)
    else:
        assert driver.core.history.notification_in
    assert driver.core.connections.session is None


FUZZ = settings(max_examples=400, deadline=None, suppress_health_check=[HealthCheck.too_slow])


@given(noise=st.binary(max_size=5000), behaviour=BEHAVIOURS)
@FUZZ
def test_noise_into_an_established_session(noise: bytes, behaviour: Behaviour) -> None:
    driver = Driver(behaviour).reach(State.ESTABLISHED)
    driver.take()
    driver.say(1, noise)
    outcome(driver)


@given(
    message=st.sampled_from(MESSAGES),
    edits=st.lists(st.tuples(st.integers(0, 400), st.integers(0, 255)), min_size=1, max_size=4),
    drop=st.integers(0, 3),
    behaviour=BEHAVIOURS,
)
@FUZZ
def test_mutated_messages_into_an_established_session(
    message: bytes, edits: list[tuple[int, int]], drop: int, behaviour: Behaviour
) -> None:
    driver = Driver(behaviour).reach(State.ESTABLISHED)
    driver.take()
    damaged = bytearray(message[: len(message) - drop])
    for position, value in edits:
        damaged[position % len(damaged)] = value
    driver.say(1, bytes(damaged))
    driver.say(1, KEEPALIVE * 3)
    outcome(driver)


@given(
    kind=st.integers(0, 255),
    body=st.binary(max_size=200),
    state=st.sampled_from([State.OPEN_SENT, State.OPEN_CONFIRM, State.ESTABLISHED]),
    behaviour=BEHAVIOURS,
)
@FUZZ
def test_any_message_in_any_state(kind: int, body: bytes, state: State, behaviour: Behaviour) -> None:
    driver = Driver(behaviour).reach(state)
    driver.take()
    length = 19 + len(body)
    driver.say(1, b"\xff" * 16 + length.to_bytes(2, "big") + bytes((kind,)) + body)
    assert driver.state in (state, State.IDLE, State.OPEN_CONFIRM, State.ESTABLISHED)
    if driver.at(State.IDLE):
        assert driver.core.history.notification_out or driver.core.history.notification_in


@given(data=st.binary(max_size=9000), sizes=st.lists(st.integers(1, 4000), max_size=8))
@settings(max_examples=200, deadline=None)
def test_framer_holds_no_more_than_it_was_given(data: bytes, sizes: list[int]) -> None:
    framer = Framer(CONTRAIL)
    given_so_far = 0
    for piece in cut(data, sizes):
        framer.feed(piece)
        given_so_far += len(piece)
        try:
            while framer.next_message() is not None:
                pass
        except MessageError:
            return
        assert framer.waiting <= min(given_so_far, MAX_SIZE)

"""A peer that stops reading, bursts, slices, pauses: others go on, memory is bounded, no keepalive is missed."""

from __future__ import annotations

from control.bgp.session.memory import HIGH_WATER, MemoryNetwork, MemoryTransport
from control.bgp.session.pair import Node, join

from contrail_emulator.control.bgp import update
from contrail_emulator.control.bgp.attributes import AsPath, Attributes
from contrail_emulator.control.bgp.family import Family
from contrail_emulator.control.bgp.fsm import State
from contrail_emulator.control.bgp.neighbour import MAX_BACKLOG, SLICE, Peer
from contrail_emulator.control.bgp.nlri import codec
from contrail_emulator.control.bgp.update import Received


def an_update(number: int) -> bytes:
    """One prefix of its own."""
    attributes = Attributes.make(origin=0, as_path=AsPath(()), local_pref=100, next_hop=bytes((10, 0, 0, 1)))
    key = codec(Family.INET).key(f"10.{number >> 16 & 255}.{number >> 8 & 255}.{number & 255}/32")
    (message,) = update.write(Family.INET, attributes, [(key, b"")], True)
    return message


def end_of(network: MemoryNetwork, node: Node) -> MemoryTransport:
    """The node's end of its only live session."""
    (found,) = [transport for transport in network.live if transport.getHost().host == node.address]
    return found


def test_peer_that_stops_reading() -> None:
    network = MemoryNetwork()
    left, right = Node(network, 1), Node(network, 2)
    join(network, left, right)
    end_of(network, right).pauseProducing()
    message = an_update(1)
    sent = 0
    while left.peer.send(message):
        sent += 1
        assert sent < 10000
    assert left.peer.blocked
    assert not left.peer.rows()["send_ready"]
    assert end_of(network, left).held <= HIGH_WATER + len(message)
    network.run(60)
    assert end_of(network, left).held <= HIGH_WATER + len(message), "keepalives do not pile up"
    assert left.recorder.reasons == []
    end_of(network, right).resumeProducing()
    network.run(0.1)
    assert left.recorder.told[-1] == "unblocked"
    assert not left.peer.blocked
    assert len(right.recorder.routes) == sent + 1
    assert left.peer.send(message)


def test_peer_that_stops_reading_does_not_disturb_others() -> None:
    network = MemoryNetwork()
    left, right, third = Node(network, 1), Node(network, 2), Node(network, 3)
    third.add(left, passive=True)
    other = left.add(third)
    network.run_until(lambda: other.state is State.ESTABLISHED)
    right.add(left, passive=True)
    stuck = left.add(right)
    network.run_until(lambda: stuck.state is State.ESTABLISHED)
    for transport in network.live:
        if transport.getHost().host == right.address:
            transport.pauseProducing()
    while stuck.send(an_update(1)):
        pass
    for number in range(50):
        assert other.send(an_update(number))
    network.run(0.1)
    assert len(third.recorder.routes) == 50


def test_blocked_until_the_hold_time_ends_the_session() -> None:
    """The other side hears nothing: its hold time ends the session, and we are free again."""
    network = MemoryNetwork()
    left, right = Node(network, 1), Node(network, 2)
    join(network, left, right, hold_time=30)
    end_of(network, right).pauseProducing()
    while left.peer.send(an_update(1)):
        pass
    network.run(31)
    assert left.recorder.reasons[0].text == "received 4/0 hold timer expired"
    assert not left.peer.blocked


def test_sending_on_while_blocked_ends_the_session() -> None:
    network = MemoryNetwork()
    left, right = Node(network, 1), Node(network, 2)
    join(network, left, right)
    end_of(network, right).pauseProducing()
    message = an_update(1) * 50
    sent = 0
    while left.up:
        left.peer.send(message)
        sent += len(message)
        assert sent < 3 * MAX_BACKLOG
    assert left.recorder.reasons[-1].text == "sent 6/8 cease: out of resources"
    assert not left.peer.send(message)


def test_send_without_a_session() -> None:
    network = MemoryNetwork()
    left, right = Node(network, 1), Node(network, 2)
    peer = left.add(right)
    assert not peer.send(an_update(1))
    assert peer.counters.tx.update == 0


def test_burst_is_read_in_slices_and_no_keepalive_is_missed() -> None:
    """100,000 updates that take 1 ms each wait; between slices timers run: both keep their rhythm of 3 s."""
    network = MemoryNetwork()
    left, right = Node(network, 1), Node(network, 2)
    join(network, left, right, hold_time=9)
    left.recorder.on_received = lambda peer, received: network.spend(0.001)
    burst = b"".join(an_update(number) for number in range(1000))
    total = 100_000
    remaining = total // 1000

    def feed() -> None:
        nonlocal remaining
        while remaining and not right.peer.blocked:
            remaining -= 1
            right.peer.send(burst)

    right.recorder.on_unblocked = feed
    feed()
    network.run_until(lambda: len(left.recorder.routes) == total, seconds=200)
    assert network.seconds() > 100, "the burst took several hold times to work off"
    assert left.up and right.up
    assert left.peer.counters.flaps == right.peer.counters.flaps == 0
    assert left.peer.counters.tx.keepalive >= 100 / 3 - 1
    assert network.longest_turn <= SLICE * 0.001 + 0.001


def test_pause_reading_stops_routes_and_keeps_the_session() -> None:
    network = MemoryNetwork()
    left, right = Node(network, 1), Node(network, 2)
    join(network, left, right, hold_time=9)
    left.peer.pause_reading()
    for number in range(10):
        right.peer.send(an_update(number))
    network.run(1)
    assert left.recorder.routes == []
    left.peer.resume_reading()
    network.run(0.1)
    assert len(left.recorder.routes) == 10


def test_pause_from_inside_received_takes_effect_after_the_slice() -> None:
    network = MemoryNetwork()
    left, right = Node(network, 1), Node(network, 2)
    join(network, left, right)
    left.recorder.on_received = lambda peer, received: peer.pause_reading()
    right.peer.send(b"".join(an_update(number) for number in range(5 * SLICE)))
    network.run(1)
    assert len(left.recorder.routes) == SLICE
    left.recorder.on_received = lambda peer, received: None
    left.peer.resume_reading()
    network.run(1)
    assert len(left.recorder.routes) == 5 * SLICE


def test_pause_ends_with_the_session() -> None:
    network = MemoryNetwork()
    left, right = Node(network, 1), Node(network, 2)
    join(network, left, right)
    left.peer.pause_reading()
    left.peer.clear()
    network.run_until(lambda: left.up and right.up)
    right.peer.send(an_update(1))
    network.run(0.1)
    assert len(left.recorder.routes) == 1


def test_clear_from_inside_received() -> None:
    """Routes already read are told first, then the end; nothing comes after."""
    network = MemoryNetwork()
    left, right = Node(network, 1), Node(network, 2)
    join(network, left, right)

    def clear(peer: Peer, received: Received) -> None:
        peer.clear()

    left.recorder.on_received = clear
    right.peer.send(b"".join(an_update(number) for number in range(3 * SLICE)))
    network.run(0.1)
    assert len(left.recorder.routes) == SLICE
    assert [told.split()[0] for told in left.recorder.told] == ["established", "closed"]
    assert right.recorder.reasons[-1].text == "received 6/4 cease: administrative reset"


def test_notification_behind_a_burst_is_heard_before_the_close() -> None:
    network = MemoryNetwork()
    left, right = Node(network, 1), Node(network, 2)
    join(network, left, right)
    right.peer.send(b"".join(an_update(number) for number in range(10 * SLICE)))
    right.peer.clear()
    network.run(0.5)
    assert len(left.recorder.routes) == 10 * SLICE
    assert left.recorder.reasons[-1].text == "received 6/4 cease: administrative reset"


def test_counters_of_updates() -> None:
    network = MemoryNetwork()
    left, right = Node(network, 1), Node(network, 2)
    join(network, left, right)
    left.peer.send(an_update(1) + an_update(2))
    for message in update.write_withdrawn(Family.INET, [codec(Family.INET).key("10.0.0.1/32")]):
        left.peer.send(message)
    left.peer.send_end_of_rib(Family.INET)
    network.run(0.1)
    sent, heard = left.peer.counters, right.peer.counters
    assert (sent.tx.update, sent.tx_updates.reach, sent.tx_updates.unreach, sent.tx_updates.end_of_rib) == (4, 2, 1, 1)
    assert (heard.rx.update, heard.rx_updates.reach, heard.rx_updates.unreach, heard.rx_updates.end_of_rib) == (
        4,
        2,
        1,
        1,
    )
    assert heard.rx.octets == sent.tx.octets

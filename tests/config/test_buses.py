"""One suite for every bus; then what only RabbitMQ can show."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from twisted.internet.defer import Deferred
from twisted.internet.protocol import Factory as ServerFactory
from twisted.internet.protocol import Protocol

from contrail_emulator.base.servers import Endpoint
from contrail_emulator.config.bus import Bus, LocalBus, Message, SqliteBus
from contrail_emulator.config.bus.rabbitmq import EXCHANGE, RabbitMqBus, RabbitMqSubscription
from contrail_emulator.config.testing.loop import Loop
from contrail_emulator.config.testing.servers import RabbitMq, Server

Factory = Callable[[], Bus]


def message(number: int) -> Message:
    return Message("UPDATE", "virtual_network", str(number), ("a", "b"))


@pytest.fixture(params=["local", "sqlite", "rabbitmq"])
def ends(request: pytest.FixtureRequest, loop: Loop, tmp_path: Path) -> Iterator[tuple[Bus, Bus]]:
    """Two ends of one bus, as two processes would have them (one and the same where there is only one process)."""
    one: Bus
    two: Bus
    if request.param == "local":
        one = two = LocalBus(loop.reactor)
    elif request.param == "sqlite":
        one, two = (SqliteBus(loop.reactor, str(tmp_path / "bus.db")) for _ in range(2))
    else:
        server = request.getfixturevalue("rabbitmq")
        one, two = (RabbitMqBus(loop.reactor, [Endpoint("127.0.0.1", server.port)]) for _ in range(2))
    loop.run(one.open())
    loop.run(two.open())
    yield one, two
    loop.run(one.close())
    loop.run(two.close())


def listen(loop: Loop, bus: Bus, queue: str) -> tuple[list[str], list[str], Any]:
    got: list[str] = []
    gaps: list[str] = []
    work = bus.subscribe(queue, lambda message: got.append(message.uuid), lambda: gaps.append("gap"))
    return got, gaps, loop.run(work)


def test_every_queue_gets_every_message_in_order(ends: tuple[Bus, Bus], loop: Loop) -> None:
    one, two = ends
    first, _, _ = listen(loop, one, "first")
    second, gaps, _ = listen(loop, two, "second")
    for number in range(300):
        loop.run((one if number % 3 else two).publish(message(number)))
    loop.wait(lambda: len(first) == len(second) == 300)
    assert sorted(first, key=int) == [str(number) for number in range(300)]
    assert [entry for entry in first if int(entry) % 3] == [str(n) for n in range(300) if n % 3]
    assert not gaps


def test_history_is_not_told(ends: tuple[Bus, Bus], loop: Loop) -> None:
    one, two = ends
    got, _, _ = listen(loop, one, "early")
    loop.run(two.publish(message(1)))
    loop.wait(lambda: got == ["1"])
    late, _, _ = listen(loop, two, "late")
    loop.run(one.publish(message(2)))
    loop.wait(lambda: bool(late))
    assert late == ["2"]


def test_a_closed_subscription_hears_nothing(ends: tuple[Bus, Bus], loop: Loop) -> None:
    one, two = ends
    got, _, subscription = listen(loop, one, "first")
    other, _, _ = listen(loop, one, "second")
    subscription.close()
    subscription.close()
    loop.run(two.publish(message(1)))
    loop.wait(lambda: other == ["1"])
    assert got == []


def test_delivery_never_happens_inside_publish(ends: tuple[Bus, Bus], loop: Loop) -> None:
    one, _ = ends
    seen: list[bool] = []
    inside = [False]

    async def publish() -> None:
        inside[0] = True
        await one.publish(message(1))
        inside[0] = False

    loop.run(one.subscribe("q", lambda _: seen.append(inside[0]), lambda: None))
    loop.run(publish())
    loop.wait(lambda: bool(seen))
    assert seen == [False]


# -- SQLite


def test_whoever_is_too_late_learns_of_the_gap(loop: Loop, tmp_path: Path) -> None:
    bus = SqliteBus(loop.reactor, str(tmp_path / "bus.db"), kept=10)
    writer = SqliteBus(loop.reactor, str(tmp_path / "bus.db"), kept=10)
    loop.run(bus.open())
    loop.run(writer.open())
    got, gaps, _ = listen(loop, bus, "slow")

    async def publish() -> None:  # in one turn of the reactor, or the reader keeps up
        for number in range(40):
            await writer.publish(message(number))

    loop.run(publish())
    loop.wait(lambda: bool(got) and got[-1] == "39")
    assert gaps == ["gap"] and len(got) <= 20
    loop.run(bus.close())
    loop.run(writer.close())


# -- RabbitMQ


def raw_publish(loop: Loop, bus: RabbitMqBus, body: bytes) -> None:
    async def publish() -> None:
        channel = await bus._protocol.channel()
        await channel.confirm_delivery()
        await channel.basic_publish(exchange=EXCHANGE, routing_key="", body=body)

    loop.run(publish())


@pytest.fixture
def broker(tmp_path: Path, rabbitmq: Server) -> Iterator[Server]:
    """A broker of one's own, to kill. (The shared one is asked for so that the test is skipped with its reason.)"""
    server = RabbitMq(tmp_path / "own")
    server.start()
    yield server
    server.stop()


def test_poison_is_set_aside_and_counted(loop: Loop, rabbitmq: Server) -> None:
    bus = RabbitMqBus(loop.reactor, [Endpoint("127.0.0.1", rabbitmq.port)])
    loop.run(bus.open())
    got, gaps, subscription = listen(loop, bus, "poisoned")
    raw_publish(loop, bus, b"{")
    raw_publish(loop, bus, b'{"oper": "CREATE"}')
    loop.run(bus.publish(message(1)))
    loop.wait(lambda: got == ["1"])
    assert isinstance(subscription, RabbitMqSubscription) and subscription.poisoned == 2 and not gaps
    loop.run(bus.close())


def test_servers_are_tried_in_order(loop: Loop, rabbitmq: Server) -> None:
    servers = [Endpoint("127.0.0.1", 1), Endpoint("127.0.0.1", rabbitmq.port)]
    bus = RabbitMqBus(loop.reactor, servers)
    loop.run(bus.open())
    assert bus.server == servers[1]
    got, gaps, _ = listen(loop, bus, "moving")
    bus.move([servers[1]])
    loop.wait(lambda: bus.connections == 2)
    assert gaps == ["gap"]
    loop.run(bus.publish(message(1)))
    loop.wait(lambda: got == ["1"])
    loop.run(bus.close())


def test_a_broker_killed_and_restarted_loses_no_message_of_ours_and_tells_of_the_gap(
    loop: Loop, broker: Server
) -> None:
    bus = RabbitMqBus(loop.reactor, [Endpoint("127.0.0.1", broker.port)])
    loop.run(bus.open())
    got, gaps, _ = listen(loop, bus, "contrail-control.x")
    loop.run(bus.publish(message(0)))
    loop.wait(lambda: got == ["0"])
    broker.kill()
    for number in range(1, 500):
        loop.run(bus.publish(message(number)))
    assert bus.pending == 499
    broker.start()
    loop.wait(lambda: got[-1] == "499")
    loop.wait(lambda: bus.pending == 0)
    assert got == [str(number) for number in range(500)] and gaps == ["gap"]
    loop.run(bus.close())


def test_a_broker_that_accepts_and_says_nothing_is_left(loop: Loop, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("contrail_emulator.config.bus.rabbitmq.CONNECT_SECONDS", 0.05)
    monkeypatch.setattr("contrail_emulator.config.bus.rabbitmq.ROUND_SECONDS", 0.01)
    called: list[None] = []

    def protocol() -> Protocol:
        called.append(None)
        return Protocol()

    reactor: Any = loop.reactor
    mute = reactor.listenTCP(0, ServerFactory.forProtocol(protocol), interface="127.0.0.1")
    bus = RabbitMqBus(loop.reactor, [Endpoint("127.0.0.1", mute.getHost().port)])
    opening = Deferred.fromCoroutine(bus.open())
    opening.addErrback(lambda failure: None)
    loop.wait(lambda: len(called) > 2)
    opening.cancel()
    loop.run(bus.close())

    async def stop() -> None:
        await mute.stopListening()

    loop.run(stop())

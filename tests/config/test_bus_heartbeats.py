"""Heartbeats: a broker that hangs, its connections open, is noticed and left; what it missed is not lost."""

from __future__ import annotations

from pathlib import Path

from contrail_emulator.base.servers import Endpoint
from contrail_emulator.config.bus import Message
from contrail_emulator.config.bus.rabbitmq import RabbitMqBus
from contrail_emulator.config.testing.loop import Loop
from contrail_emulator.config.testing.servers import RabbitMq, Server

HEARTBEAT = 2


def message(number: int) -> Message:
    return Message("UPDATE", "virtual_network", str(number), ("a", str(number)))


def test_a_broker_that_hangs_is_left_and_the_next_one_taken(loop: Loop, tmp_path: Path, rabbitmq: Server) -> None:
    hanging = RabbitMq(tmp_path / "hanging")
    hanging.start()
    servers = [Endpoint("127.0.0.1", hanging.port), Endpoint("127.0.0.1", rabbitmq.port)]
    bus = RabbitMqBus(loop.reactor, servers, heartbeat=HEARTBEAT)
    try:
        loop.run(bus.open())
        assert bus.server == servers[0]
        got: list[str] = []
        gaps: list[None] = []
        loop.run(bus.subscribe("hearts", lambda message: got.append(message.uuid), lambda: gaps.append(None)))
        loop.run(bus.publish(message(0)))
        loop.wait(lambda: got == ["0"])
        hanging.freeze()
        loop.run(bus.publish(message(1)))
        loop.wait(lambda: bus.server == servers[1])
        loop.wait(lambda: got == ["0", "1"])
        assert len(gaps) == bus.connections - 1 >= 1
    finally:
        hanging.thaw()
        loop.run(bus.close())
        hanging.stop()


def test_a_quiet_connection_lives_by_its_heartbeats(loop: Loop, rabbitmq: Server) -> None:
    bus = RabbitMqBus(loop.reactor, [Endpoint("127.0.0.1", rabbitmq.port)], heartbeat=HEARTBEAT)
    loop.run(bus.open())
    checker = bus._protocol._impl._heartbeat_checker
    loop.wait(lambda: checker._heartbeat_frames_received > 3 and checker._heartbeat_frames_sent > 3)
    assert bus.connections == 1 and bus.server is not None
    loop.run(bus.close())

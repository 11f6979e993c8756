"""One suite for every tree of ids and locks; then what only real ones can show."""

import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from contrail_emulator.base.servers import Endpoint
from contrail_emulator.config.ids import ROUTE_TARGETS, Allocator, Ids, IdsError, LocalIds, NameTaken, NodeExists
from contrail_emulator.config.ids.sqlite import SqliteIds
from contrail_emulator.config.ids.tree import lock_name, unlock_name
from contrail_emulator.config.ids.zookeeper import ZooKeeperIds
from contrail_emulator.config.testing.loop import Loop
from contrail_emulator.config.testing.servers import Server, ZooKeeper


@pytest.fixture(params=["local", "sqlite", "zookeeper"])
def ends(request: pytest.FixtureRequest, loop: Loop, tmp_path: Path) -> Iterator[tuple[Ids, Ids]]:
    """Two users of one tree."""
    one: Ids
    two: Ids
    if request.param == "local":
        one = two = LocalIds(loop.reactor)
    elif request.param == "sqlite":
        one, two = (SqliteIds(loop.reactor, str(tmp_path / "ids.db")) for _ in range(2))
    else:
        server = request.getfixturevalue("zookeeper")
        prefix = f"/{tmp_path.name}"
        one, two = (ZooKeeperIds(loop.reactor, [Endpoint("127.0.0.1", server.port)], prefix=prefix) for _ in range(2))
    loop.run(one.open())
    loop.run(two.open())
    yield one, two
    loop.run(one.close())
    loop.run(two.close())


def test_nodes(ends: tuple[Ids, Ids], loop: Loop) -> None:
    one, two = ends
    path = "/api-server/subnets/d:p:blue:10.1.0.0/24/0167837694"
    assert loop.run(one.get(path)) is None and loop.run(one.age(path)) is None
    loop.run(one.create(path, "é"))
    with pytest.raises(NodeExists):
        loop.run(two.create(path, "other"))
    assert loop.run(two.get(path)) == "é"
    age = loop.run(two.age(path))
    assert age is not None and -1 < age < 60
    loop.run(one.create("/api-server/subnets/d:p:blue:10.1.0.0/24/0000000001", ""))
    assert loop.run(two.children("/api-server/subnets/d:p:blue:10.1.0.0/24")) == ["0000000001", "0167837694"]
    assert loop.run(two.children("/absent")) == []
    assert loop.run(two.delete(path)) and not loop.run(one.delete(path))
    assert loop.run(one.get(path)) is None


def test_two_processes_never_get_the_same_number(ends: tuple[Ids, Ids], loop: Loop) -> None:
    allocators = [Allocator(ids, ROUTE_TARGETS) for ids in ends]
    numbers = [loop.run(allocators[n % 2].allocate(f"ri{n}")) for n in range(10)]
    assert sorted(numbers) == list(range(8_000_000, 8_000_010))
    assert loop.run(ends[0].get("/id/bgp/route-targets/type0/0008000000")) == "ri0"


def test_a_name_is_locked_once(ends: tuple[Ids, Ids], loop: Loop) -> None:
    one, two = ends
    loop.run(lock_name(one, "virtual_network", "d:p:blue", "u1"))
    with pytest.raises(NameTaken) as caught:
        loop.run(lock_name(two, "virtual_network", "d:p:blue", "u2"))
    assert caught.value.uuid == "u1"
    assert loop.run(two.get("/fq-name-to-uuid/virtual_network:d:p:blue")) == "u1"
    loop.run(unlock_name(two, "virtual_network", "d:p:blue"))
    loop.run(lock_name(two, "virtual_network", "d:p:blue", "u2"))


def test_one_is_elected_and_the_next_follows(ends: tuple[Ids, Ids], loop: Loop) -> None:
    log: list[str] = []
    elections = []
    for name, ids in (("one", ends[0]), ("two", ends[1]), ("three", ends[1])):
        work = ids.elect("/schema-transformer", name, lambda name=name: log.append(name), lambda: None)  # type: ignore[misc]
        elections.append(loop.run(work))
        if name == "one":
            loop.wait(lambda: log == ["one"])
    with pytest.raises(TimeoutError):
        loop.wait(lambda: len(log) > 1, timeout=0.3)
    elections[0].leave()
    elections[0].leave()
    loop.wait(lambda: len(log) == 2)
    assert log[1] in ("two", "three")
    elections[1 if log[1] == "two" else 2].leave()
    loop.wait(lambda: len(log) == 3)
    assert sorted(log[1:]) == ["three", "two"]


def test_a_sqlite_tree_survives_its_process(loop: Loop, tmp_path: Path) -> None:
    for expected in (8_000_000, 8_000_001):
        ids = SqliteIds(loop.reactor, str(tmp_path / "ids.db"))
        loop.run(ids.open())
        assert loop.run(Allocator(ids, ROUTE_TARGETS).allocate("ri")) == expected
        loop.run(ids.close())
        with pytest.raises(IdsError, match="not open"):
            loop.run(ids.get("/x"))


# -- ZooKeeper


def test_a_zookeeper_killed_and_restarted(loop: Loop, tmp_path: Path, zookeeper: Server) -> None:
    server = ZooKeeper(tmp_path / "own")
    server.start()
    try:
        ids = ZooKeeperIds(loop.reactor, [Endpoint("127.0.0.1", server.port)], session_timeout=5.0)
        loop.run(ids.open())
        log: list[str] = []
        work = ids.elect("/schema-transformer", "me", lambda: log.append("elected"), lambda: log.append("lost"))
        election = loop.run(work)
        loop.run(ids.create("/id/x", "1"))
        loop.wait(lambda: log == ["elected"])
        server.kill()
        loop.wait(lambda: not ids.connected)
        with pytest.raises(IdsError, match="not connected"):
            loop.run(ids.get("/id/x"))
        server.start()
        loop.wait(lambda: ids.connected)
        assert loop.run(ids.get("/id/x")) == "1"
        loop.wait(lambda: election.elected and log[-1] == "elected")
        election.leave()
        loop.run(ids.close())
    finally:
        server.stop()


def test_a_zookeeper_that_is_not_there_is_named(loop: Loop, zookeeper: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("contrail_emulator.config.ids.zookeeper.CONNECT_SECONDS", 0.2)
    ids = ZooKeeperIds(loop.reactor, [Endpoint("127.0.0.1", 1)])
    with pytest.raises(IdsError, match=r"127\.0\.0\.1:1: no answer"):
        loop.run(ids.open())
    loop.run(ids.close())


@pytest.fixture
def mute() -> Iterator[int]:
    """The port of somebody who accepts connections and never says a word."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        yield listener.getsockname()[1]


def test_a_zookeeper_that_says_nothing_is_given_up(
    loop: Loop, zookeeper: Server, mute: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """kazoo alone would wait for as long as the session may last: two minutes."""
    monkeypatch.setattr("contrail_emulator.config.ids.zookeeper.CONNECT_SECONDS", 0.5)
    ids = ZooKeeperIds(loop.reactor, [Endpoint("127.0.0.1", mute)])
    with pytest.raises(IdsError, match="no answer"):
        loop.run(ids.open(), timeout=60)
    loop.run(ids.close(), timeout=60)


def test_a_zookeeper_that_hangs_does_not_keep_us_from_ending(
    loop: Loop, tmp_path: Path, zookeeper: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("contrail_emulator.config.ids.zookeeper.STOP_SECONDS", 0.5)
    server = ZooKeeper(tmp_path / "own")
    server.start()
    try:
        ids = ZooKeeperIds(loop.reactor, [Endpoint("127.0.0.1", server.port)])
        loop.run(ids.open())
        server.freeze()
        loop.run(ids.close(), timeout=60)
        server.thaw()
    finally:
        server.stop()

"""One suite for every store: identical results (issue 7)."""

import contextlib
import os
import sqlite3
import subprocess
import sys
import time
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from contrail_emulator.base.servers import Endpoint
from contrail_emulator.config.store import Cell, Delete, Put, SqliteStore, Store, StoreError
from contrail_emulator.config.store.cassandra import CassandraStore
from contrail_emulator.config.store.sqlite import fault_of
from contrail_emulator.config.testing.loop import Loop

TABLE = "obj_uuid_table"


def make(kind: str, loop: Loop, request: pytest.FixtureRequest, folder: Path) -> Store:
    if kind == "cassandra":
        server = request.getfixturevalue("cassandra")
        return CassandraStore(loop.reactor, [Endpoint("127.0.0.1", server.port)], clock=time.time)
    return SqliteStore(":memory:" if kind == "memory" else str(folder / "store.db"))


def opened(loop: Loop, store: Store) -> None:
    """As daemons do: a busy database is asked again."""
    for _ in range(5):
        try:
            loop.run(store.open())
        except StoreError:
            continue
        return
    loop.run(store.open())


@pytest.fixture(params=["memory", "file", "cassandra"])
def store(request: pytest.FixtureRequest, loop: Loop, tmp_path: Path) -> Iterator[Store]:
    store = make(request.param, loop, request, tmp_path)
    opened(loop, store)
    yield store
    loop.run(store.close())


@pytest.fixture
def key() -> str:
    """A row that no other test uses."""
    return str(uuid.uuid4())


def values(row: dict[str, Cell]) -> dict[str, str]:
    return {column: cell.value for column, cell in row.items()}


def test_columns_come_back_in_byte_order_with_growing_times(store: Store, loop: Loop, key: str) -> None:
    columns = ["type", "fq_name", "propl:a:10", "propl:a:2", "META:x", "ref:b:1", "é", "日本"]
    loop.run(store.write([Put(TABLE, key, column, f"<{column}>") for column in columns]))
    row = loop.run(store.rows(TABLE, [key]))[key]
    assert list(row) == sorted(columns, key=str.encode)
    assert all(cell.value == f"<{column}>" for column, cell in row.items())
    before = row["type"].time
    loop.run(store.write([Put(TABLE, key, "type", "<type>")]))
    again = loop.run(store.rows(TABLE, [key]))[key]
    assert again["type"].time > before and again["fq_name"] == row["fq_name"]


def test_readers_start_at_d(store: Store, loop: Loop, key: str) -> None:
    loop.run(store.write([Put(TABLE, key, c, "1") for c in ("META:a", "backref:a:b", "children:a:b", "fq_name")]))
    assert list(loop.run(store.rows(TABLE, [key], "d"))[key]) == ["fq_name"]
    loop.run(store.write([Delete(TABLE, key, "fq_name")]))
    assert loop.run(store.rows(TABLE, [key], "d")) == {}
    assert len(loop.run(store.rows(TABLE, [key]))[key]) == 3


def test_many_rows_at_once(store: Store, loop: Loop, key: str) -> None:
    keys = [f"{key}-{number}" for number in range(700)]
    loop.run(store.write([Put(TABLE, each, "a", each) for each in keys]))
    found = loop.run(store.rows(TABLE, [*keys, "absent"]))
    assert {each: row["a"].value for each, row in found.items()} == {each: each for each in keys}
    assert loop.run(store.rows(TABLE, [])) == {}


def test_ranges_and_pages(store: Store, loop: Loop, key: str) -> None:
    names = [f"n{number:04d}:u" for number in range(3000)]
    loop.run(store.write([Put("obj_fq_name_table", key, name, "null") for name in names]))
    found: list[str] = []
    after: str | None = None
    while page := loop.run(store.columns("obj_fq_name_table", key, after=after, limit=1000)):
        found += [column for column, _ in page]
        after = found[-1]
    assert found == names

    def some(start: str = "", end: str | None = None, after: str | None = None, limit: int = 10) -> list[str]:
        work = store.columns("obj_fq_name_table", key, start, end, after, limit)
        return [column for column, _ in loop.run(work)]

    assert some("n0005:", "n0005;") == ["n0005:u"]
    assert some("n0005:", "n0008:") == names[5:8]
    assert some("n0005:", "n0008:", after="n0005:u") == names[6:8]
    assert some("n0005:", after="n0001:u", limit=2) == names[5:7]
    assert some("zzz") == []


def test_a_row_and_a_column_go(store: Store, loop: Loop, key: str) -> None:
    loop.run(store.write([Put(TABLE, key, column, "1") for column in "abc"]))
    loop.run(store.write([Delete(TABLE, key, "b"), Delete(TABLE, key, "absent")]))
    assert list(loop.run(store.rows(TABLE, [key]))[key]) == ["a", "c"]
    loop.run(store.write([Delete(TABLE, key), Put(TABLE, key, "d", "2")]))
    assert values(loop.run(store.rows(TABLE, [key]))[key]) == {"d": "2"}
    loop.run(store.write([Put(TABLE, key, "e", "3"), Delete(TABLE, key)]))
    assert loop.run(store.rows(TABLE, [key])) == {}
    loop.run(store.write([]))


def test_tables_are_apart_and_unknown_ones_refused(store: Store, loop: Loop, key: str) -> None:
    loop.run(store.write([Put("route_target_table", key, "rtgt_num", "8000000")]))
    assert loop.run(store.rows(TABLE, [key])) == {}
    assert values(loop.run(store.rows("route_target_table", [key]))[key]) == {"rtgt_num": "8000000"}
    with pytest.raises(StoreError, match="no table nonsense"):
        loop.run(store.rows("nonsense", [key]))
    with pytest.raises(StoreError, match="no table nonsense"):
        loop.run(store.write([Put("nonsense", key, "a", "b")]))


def test_a_closed_store_says_so_and_opens_again(store: Store, loop: Loop, key: str) -> None:
    loop.run(store.open())
    loop.run(store.close())
    loop.run(store.close())
    with pytest.raises(StoreError, match="not open"):
        loop.run(store.rows(TABLE, [key]))
    opened(loop, store)
    assert loop.run(store.rows(TABLE, [key])) == {}


def test_two_processes_share_a_file(tmp_path: Path, loop: Loop) -> None:
    clocks: list[Callable[[], float]] = [lambda: 2_000_000_000.0, lambda: 1.0]
    one, two = (SqliteStore(str(tmp_path / "s.db"), clock) for clock in clocks)
    loop.run(one.open())
    loop.run(two.open())
    loop.run(one.write([Put(TABLE, "k", "a", "1")]))
    first = loop.run(two.rows(TABLE, ["k"]))["k"]["a"]
    loop.run(two.write([Put(TABLE, "k", "a", "2")]))
    second = loop.run(one.rows(TABLE, ["k"]))["k"]["a"]
    assert second.value == "2" and second.time > first.time, "whatever the other's clock says"
    loop.run(one.close())
    loop.run(two.close())


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("absent/s.db", "absent/s.db: there is no folder .*absent$"),
        ("folder", "folder: is a folder; expected an SQLite file"),
        ("text", "text: file is not a database"),
        ("pipe", "pipe: expected a regular file"),
    ],
)
@pytest.mark.parametrize("read_only", [False, True])
def test_a_file_that_cannot_be_opened_is_named_and_why(
    name: str, expected: str, read_only: bool, tmp_path: Path, loop: Loop
) -> None:
    (tmp_path / "folder").mkdir()
    (tmp_path / "text").write_text("name: a lab file, say")
    os.mkfifo(tmp_path / "pipe")
    store = SqliteStore(str(tmp_path / name), read_only=read_only)
    with pytest.raises(StoreError, match=expected):
        loop.run(store.open())
    assert (tmp_path / "text").read_text() == "name: a lab file, say"


OPEN_AND_CLOSE = """
import sqlite3, sys
with sqlite3.connect(sys.argv[1]) as found:
    found.execute("SELECT count(*) FROM sqlite_master").fetchall()
found.close()
"""


def test_looking_whether_a_file_is_a_database_keeps_our_locks_on_it(tmp_path: Path, loop: Loop) -> None:
    """The system frees a process's locks on a file when it closes any descriptor of it.

    Then another process takes itself for the last one that uses the file, and removes the log that we go on with.
    """
    path = str(tmp_path / "s.db")
    store, second = SqliteStore(path), SqliteStore(path)
    loop.run(store.open())
    loop.run(store.write([Put(TABLE, "k", "a", "1")]))
    loop.run(second.open())
    assert fault_of(path) == ""
    subprocess.run([sys.executable, "-c", OPEN_AND_CLOSE, path], check=True, timeout=60)
    assert os.path.exists(f"{path}-wal"), "it is still ours"
    loop.run(second.close())
    loop.run(store.close())


def _never_writable(monkeypatch: pytest.MonkeyPatch) -> None:
    """The tests may be root, for whom nothing is."""
    monkeypatch.setattr(os, "access", lambda path, mode: not mode & os.W_OK)


@pytest.mark.parametrize("may_write", [True, False])
def test_a_store_that_is_only_read_leaves_no_trace(
    may_write: bool, tmp_path: Path, loop: Loop, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "a?b%20#c.db"
    store = SqliteStore(str(path))
    loop.run(store.open())
    loop.run(store.write([Put(TABLE, "k", "a", "1")]))
    loop.run(store.close())
    before = path.read_bytes()
    if not may_write:
        _never_writable(monkeypatch)
    reader = SqliteStore(str(path), read_only=True)
    loop.run(reader.open())
    assert values(loop.run(reader.rows(TABLE, ["k"]))["k"]) == {"a": "1"}
    with pytest.raises(StoreError, match="attempt to write a readonly database"):
        loop.run(reader.write([Put(TABLE, "k", "a", "2")]))
    loop.run(reader.close())
    assert path.read_bytes() == before and os.listdir(tmp_path) == [path.name]


@pytest.mark.parametrize("may_write", [True, False])
def test_who_only_reads_sees_what_a_writer_has_in_the_log(
    may_write: bool, tmp_path: Path, loop: Loop, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = str(tmp_path / "s.db")
    writer = SqliteStore(path)
    loop.run(writer.open())
    loop.run(writer.write([Put(TABLE, "k", "a", "1")]))
    if not may_write:
        _never_writable(monkeypatch)
    reader = SqliteStore(path, read_only=True)
    loop.run(reader.open())
    assert values(loop.run(reader.rows(TABLE, ["k"]))["k"]) == {"a": "1"}
    loop.run(writer.write([Put(TABLE, "k", "a", "2")]))
    assert values(loop.run(reader.rows(TABLE, ["k"]))["k"]) == {"a": "2"}
    loop.run(reader.close())
    loop.run(writer.close())


def test_another_program_s_database_gets_no_tables_from_who_only_reads(tmp_path: Path, loop: Loop) -> None:
    path = tmp_path / "other.db"
    with contextlib.closing(sqlite3.connect(path)) as other:
        other.execute("CREATE TABLE things (name TEXT)")
        other.commit()
    before = path.read_bytes()
    reader = SqliteStore(str(path), read_only=True)
    with pytest.raises(StoreError, match=r"other\.db: no such table: obj_uuid_table"):
        loop.run(reader.open())
    loop.run(reader.close())
    assert path.read_bytes() == before


def test_a_cassandra_that_is_not_there_is_named(loop: Loop) -> None:
    store = CassandraStore(loop.reactor, [Endpoint("127.0.0.1", 1)], clock=time.time)
    with pytest.raises(StoreError, match=r"127\.0\.0\.1:1"):
        loop.run(store.open())
    loop.run(store.close())

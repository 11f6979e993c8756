"""The interface of a store: wide rows in named tables (reference/config.md 1.1-1.5).

A row is a key and sorted columns; a column has a text value and a write time in microseconds that grows with every
write, even of an equal value, because readers find changed fields by it.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import NamedTuple, Protocol

TABLES = MappingProxyType(
    {
        "obj_uuid_table": "config_db_uuid",
        "obj_fq_name_table": "config_db_uuid",
        "obj_shared_table": "config_db_uuid",
        "useragent_keyval_table": "useragent",
        "route_target_table": "to_bgp_keyspace",
        "service_chain_ip_address_table": "to_bgp_keyspace",
        "service_chain_table": "to_bgp_keyspace",
        "service_chain_uuid_table": "to_bgp_keyspace",
    }
)
"""Table -> keyspace."""


class StoreError(Exception):
    """The store cannot be read or written now; the message says which and why."""


class Cell(NamedTuple):
    """A column's value and the time it was written, in microseconds."""

    value: str
    time: int


Row = dict[str, Cell]


@dataclass(frozen=True, slots=True)
class Put:
    """Write one column."""

    table: str
    key: str
    column: str
    value: str


@dataclass(frozen=True, slots=True)
class Delete:
    """Delete one column, or the whole row when `column` is None."""

    table: str
    key: str
    column: str | None = None


Mutation = Put | Delete


class Store(Protocol):
    """What the configuration node asks of a store. Every method may raise StoreError."""

    async def open(self) -> None:
        """Connect and make what is missing. Harmless when open."""

    async def close(self) -> None:
        """Let go. Harmless when closed."""

    async def rows(self, table: str, keys: Sequence[str], start: str = "") -> dict[str, Row]:
        """The rows of those keys with their columns >= `start`, in order. A row that has none is left out."""

    async def columns(
        self, table: str, key: str, start: str = "", end: str | None = None, after: str | None = None, limit: int = 4096
    ) -> list[tuple[str, Cell]]:
        """At most `limit` columns of one row, in order: from `start`, before `end`, and greater than `after`."""

    async def write(self, mutations: Sequence[Mutation]) -> None:
        """Do all of these, in order. What one call writes in one row is seen at once; several rows need not be."""

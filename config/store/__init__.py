"""Where the rows lie: one interface, an embedded store and Cassandra."""

from .interface import TABLES, Cell, Delete, Mutation, Put, Row, Store, StoreError
from .sqlite import SqliteStore

__all__ = ["TABLES", "Cell", "Delete", "Mutation", "Put", "Row", "SqliteStore", "Store", "StoreError"]

"""Ids, name locks and elections: one interface; in this process, in the shared SQLite file, and ZooKeeper."""

from .allocator import Allocator, Exhausted
from .local import LocalIds
from .pools import ROUTE_TARGETS, ROUTE_TARGETS_4_BYTE, SECURITY_GROUPS, VIRTUAL_NETWORKS, Pool, subnet_pool
from .sqlite import SqliteIds
from .tree import Election, Ids, IdsError, NameTaken, NodeExists

__all__ = [
    "ROUTE_TARGETS",
    "ROUTE_TARGETS_4_BYTE",
    "SECURITY_GROUPS",
    "VIRTUAL_NETWORKS",
    "Allocator",
    "Election",
    "Exhausted",
    "Ids",
    "IdsError",
    "LocalIds",
    "NameTaken",
    "NodeExists",
    "Pool",
    "SqliteIds",
    "subnet_pool",
]

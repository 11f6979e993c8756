"""What a route becomes for BGP peers: UPDATE messages, packed once per update group."""

from __future__ import annotations

from collections.abc import Sequence

from contrail_emulator.control.bgp import update
from contrail_emulator.control.bgp.attributes import Attributes
from contrail_emulator.control.bgp.family import Family
from contrail_emulator.control.routing import GroupKey

Paths = tuple[tuple[Attributes, bytes], ...]


class BgpEncoder:
    """Whole messages, which may travel together in one write."""

    joins = True

    def reach(
        self, table: str, family: Family, instance: str, key: GroupKey, routes: Sequence[tuple[bytes, Paths]]
    ) -> Sequence[bytes]:
        attributes = routes[0][1][0][0]
        return update.write(family, attributes, [(nlri, paths[0][1]) for nlri, paths in routes], key.as4)

    def unreach(
        self, table: str, family: Family, instance: str, key: GroupKey, keys: Sequence[bytes]
    ) -> Sequence[bytes]:
        return update.write_withdrawn(family, keys)

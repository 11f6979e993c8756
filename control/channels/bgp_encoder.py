"""What a route becomes for BGP peers: UPDATE messages, packed once per update group."""

from __future__ import annotations

from collections.abc import Sequence

from twisted.logger import Logger

from contrail_emulator.base.behaviour import CONTRAIL, Behaviour
from contrail_emulator.control.bgp import update
from contrail_emulator.control.bgp.attributes import Attributes
from contrail_emulator.control.bgp.family import Family
from contrail_emulator.control.routing import GroupKey
from contrail_emulator.control.routing.olist import Olist

Paths = tuple[tuple[Attributes, bytes], ...]


class BgpEncoder:
    """Whole messages, which may travel together in one write.

    `build_errors` counts routes that no message can carry: their attributes leave no room, or their next hop is none
    for the family (reference/bgp.md 4.7). Such a route is withdrawn, for peers may have an earlier version of it.
    """

    joins = True
    log = Logger()

    def __init__(self, behaviour: Behaviour = CONTRAIL) -> None:
        self.build_errors = 0
        self._behaviour = behaviour
        self._writers: dict[tuple[Family, bool], update.UpdateWriter] = {}

    def reach(
        self, table: str, family: Family, instance: str, key: GroupKey, routes: Sequence[tuple[bytes, Paths]]
    ) -> Sequence[bytes]:
        return self.reach_set(table, family, key, routes[0][1][0][0], [(nlri, paths[0][1]) for nlri, paths in routes])

    def reach_set(
        self, table: str, family: Family, key: GroupKey, attributes: Attributes, routes: Sequence[tuple[bytes, bytes]]
    ) -> Sequence[bytes]:
        """Messages that announce `routes`, (key, payload) pairs, all with one attribute set."""
        kind = family, key.as4
        writer = self._writers.get(kind)
        if writer is None:
            writer = self._writers[kind] = update.UpdateWriter(family, key.as4, self._behaviour)
        try:
            return writer.write(attributes, routes)
        except ValueError as error:
            if len(routes) > 1:  # a shorter one may fit
                return [
                    message for route in routes for message in self.reach_set(table, family, key, attributes, [route])
                ]
            self.build_errors += 1
            if self.build_errors == 1:
                self.log.warn("{table}: a route not sent: {error}; more are counted only", table=table, error=error)
            return update.write_withdrawn(family, [routes[0][0]], self._behaviour)

    def reach_olist(
        self, table: str, family: Family, instance: str, key: GroupKey, routes: Sequence[tuple[bytes, Olist]]
    ) -> Sequence[bytes]:
        """Lists are for agents: no BGP group ever has one."""
        return ()

    def unreach(
        self, table: str, family: Family, instance: str, key: GroupKey, keys: Sequence[bytes]
    ) -> Sequence[bytes]:
        return update.write_withdrawn(family, keys, self._behaviour)

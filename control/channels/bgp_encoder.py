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
    for the family. Such a route is left out (reference/bgp.md 4.7).
    """

    joins = True
    log = Logger()

    def __init__(self, behaviour: Behaviour = CONTRAIL) -> None:
        self.build_errors = 0
        self._behaviour = behaviour

    def reach(
        self, table: str, family: Family, instance: str, key: GroupKey, routes: Sequence[tuple[bytes, Paths]]
    ) -> Sequence[bytes]:
        attributes = routes[0][1][0][0]
        entries = [(nlri, paths[0][1]) for nlri, paths in routes]
        try:
            return update.write(family, attributes, entries, key.as4, self._behaviour)
        except ValueError as error:
            if len(entries) > 1:  # a shorter one may fit
                return [message for route in routes for message in self.reach(table, family, instance, key, [route])]
            self.build_errors += 1
            if self.build_errors == 1:
                self.log.warn("{table}: a route not sent: {error}; more are counted only", table=table, error=error)
            return ()

    def reach_olist(
        self, table: str, family: Family, instance: str, key: GroupKey, routes: Sequence[tuple[bytes, Olist]]
    ) -> Sequence[bytes]:
        """Lists are for agents: no BGP group ever has one."""
        return ()

    def unreach(
        self, table: str, family: Family, instance: str, key: GroupKey, keys: Sequence[bytes]
    ) -> Sequence[bytes]:
        return update.write_withdrawn(family, keys, self._behaviour)

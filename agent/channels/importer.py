"""Received routes -> paths in the routing tables (reference/agent.md 4, reference/xmpp.md 2.4)."""

from __future__ import annotations

from collections import Counter

from contrail_emulator.base.behaviour import Behaviour
from contrail_emulator.control.xmpp.family import split_node
from contrail_emulator.control.xmpp.pubsub import Retract

from ..oper.oper import Oper
from ..oper.path import Path, Peer, PeerKind
from ..oper.vrf import Table, Vrf
from .decode import TABLES, Decoded, retracted

TREE_PEER = Peer(PeerKind.MULTICAST_FABRIC_TREE_BUILDER)


class Importer:
    """One control node's routes. `counters` says what was taken and what was left, and why."""

    __slots__ = ("_behaviour", "_oper", "counters", "peer")

    def __init__(self, oper: Oper, peer: Peer, behaviour: Behaviour) -> None:
        self._oper = oper
        self._behaviour = behaviour
        self.peer = peer
        self.counters: Counter[str] = Counter()

    def items(self, message: Decoded, sequence: int, builder: bool, tree_sequence: int) -> None:
        """Take every item; a bad one is counted and left out, in profile `contrail` with the rest of its message."""
        table = message.table
        vrf = self._vrf(table, message.instance, builder)
        if vrf is None or table is None:
            return
        peer = self.peer
        if table is Table.MULTICAST:
            peer, sequence = TREE_PEER, tree_sequence
        contents = message.contents
        if self._behaviour.agent_drops_rest_of_message:
            contents = contents[: message.ends + 1]
            self.counters["items after a bad prefix"] += len(message.contents) - len(contents)
        self.counters["ignored items"] += message.ignored
        for content in contents:
            if content is None:
                continue
            path = Path(peer, content.attributes, content.hops, None, sequence, content.label)
            self._oper.heard(vrf, table, content.key, path)
            self._oper.rib.update(vrf, table, content.key, path)
        taken = sum(content is not None for content in contents)
        self.counters["items"] += taken
        self.counters["bad items"] += len(contents) - taken

    def retract(self, form: Retract, builder: bool) -> None:
        family, instance = split_node(form.node)
        table = TABLES.get(family) if family is not None else None
        vrf = self._vrf(table, instance, builder)
        if vrf is None or table is None:
            return
        for ident in form.ids:
            key = retracted(table, ident)
            if key is None:
                self.counters["bad retracts"] += 1
                continue
            self.counters["retracts"] += 1
            self._oper.rib.withdraw(vrf, table, key, TREE_PEER if table is Table.MULTICAST else self.peer)

    def _vrf(self, table: Table | None, instance: str, builder: bool) -> Vrf | None:
        """Where the routes belong; None, and counted, when they are not wanted."""
        if table is None:
            self.counters["unknown family"] += 1
            return None
        vrf = self._oper.rib.vrfs.get(instance)
        if vrf is None:
            self.counters["unknown VRF"] += 1
        elif table is Table.MULTICAST and not builder:
            self.counters["not the tree builder"] += 1
            return None
        return vrf

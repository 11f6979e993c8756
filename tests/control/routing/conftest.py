"""A routing core with members that remember what they were told, and short ways to say routes."""

from __future__ import annotations

import pickle
from collections.abc import Callable, Sequence
from typing import Any

import pytest

from contrail_emulator.base.behaviour import CONTRAIL, Behaviour
from contrail_emulator.control.bgp import ext_community, rd
from contrail_emulator.control.bgp.attributes import Attributes
from contrail_emulator.control.bgp.counters import UpdateCounters
from contrail_emulator.control.bgp.family import Family
from contrail_emulator.control.routing import (
    CoreSettings,
    GroupKey,
    InstanceSettings,
    Membership,
    RoutingCore,
    Source,
    SourceKind,
)

AS = 64512
LENGTH = 4


class PickleEncoder:
    """Messages that a test can read back: one per call, so that a test sees what was packed together."""

    joins = True
    build_errors = 0

    def reach(self, table: str, family: Family, instance: str, key: GroupKey, routes: Sequence[Any]) -> list[bytes]:
        assert len({tuple(attributes.key for attributes, _ in paths) for _, paths in routes}) == 1
        return [self._pack("reach", table, instance, [(k, [(a.key, p) for a, p in ps]) for k, ps in routes], routes)]

    def unreach(self, table: str, family: Family, instance: str, key: GroupKey, keys: Sequence[bytes]) -> list[bytes]:
        return [self._pack("unreach", table, instance, list(keys), ())]

    def reach_olist(
        self, table: str, family: Family, instance: str, key: GroupKey, routes: Sequence[Any]
    ) -> list[bytes]:
        return [self._pack("olist", table, instance, [(k, olist) for k, olist in routes], ())]

    def _pack(self, verb: str, table: str, instance: str, body: Any, routes: Sequence[Any]) -> bytes:
        sets = {a.key: a for _, paths in routes for a, _ in paths}
        fields = {key: (a.values, a.next_hop) for key, a in sets.items()}
        data = pickle.dumps((verb, table, instance, body, fields))
        return len(data).to_bytes(LENGTH, "big") + data


def read_messages(data: bytes) -> list[Any]:
    messages = []
    while data:
        size = int.from_bytes(data[:LENGTH], "big")
        messages.append(pickle.loads(data[LENGTH : LENGTH + size]))
        data = data[LENGTH + size :]
    return messages


class Sink:
    """A member. `rib` is what it has been told: key -> list of (attributes, payload); the routes are in `tally` too."""

    def __init__(self, name: str, source: Source | None = None) -> None:
        self.name = name
        self.source = source
        self.rib: dict[bytes, list[tuple[Attributes, bytes]]] = {}
        self.olists: dict[bytes, Any] = {}
        self.log: list[tuple[str, bytes]] = []
        self.blocked = False
        self.block_next = False
        self.joined = 0
        self.membership: Membership | None = None
        self.tally = UpdateCounters()
        self.heard = UpdateCounters()

    def deliver(self, message: bytes) -> bool:
        assert not self.blocked, "sent to while blocked"
        for verb, _, _, body, fields in read_messages(message):
            if verb == "reach":
                self.heard.reach += len(body)
                for key, paths in body:
                    self.rib[key] = [(Attributes.of_values(*fields[a]), payload) for a, payload in paths]
                    self.log.append(("reach", key))
            elif verb == "olist":
                self.heard.reach += len(body)
                for key, olist in body:
                    self.olists[key] = olist
                    self.log.append(("olist", key))
            else:
                self.heard.unreach += len(body)
                for key in body:
                    assert key in self.rib or key in self.olists, f"{self.name}: needless withdrawal of {key.hex()}"
                    self.rib.pop(key, None)
                    self.olists.pop(key, None)
                    self.log.append(("unreach", key))
        assert self.tally == self.heard
        if self.block_next:
            self.block_next, self.blocked = False, True
        return not self.blocked

    def unblock(self) -> None:
        self.blocked = self.block_next = False
        if self.membership is not None:
            self.membership.unblocked()

    def attributes(self, key: bytes) -> Attributes:
        (pair,) = self.rib[key]
        return pair[0]

    def on_joined(self, membership: Membership) -> None:
        self.joined += 1


class Bench:
    """A core with short names for what tests say often."""

    def __init__(self, behaviour: Behaviour = CONTRAIL, **settings: Any) -> None:
        self.wakes = 0
        encoder = PickleEncoder()
        values: dict[str, Any] = {"autonomous_system": AS, "router_id": 0x0A000001} | settings
        self.core = RoutingCore(
            CoreSettings(**values), {"bgp": encoder, "xmpp": encoder}, behaviour, on_dirty=self._woken
        )
        self.empty = self.sizes()

    def _woken(self) -> None:
        self.wakes += 1

    def sizes(self) -> dict[str, int]:
        core = self.core
        counts = {
            "attributes": len(core.attributes),
            "dirty": len(core.dirty),
            "instances": len(core.instances),
            "tables": len(core.tables),
        }
        for table in core.tables.values():
            counts[table.name] = len(table.routes) + len(table.sources) + len(table.groups) + len(table.targets)
            counts[f"{table.name} paths"] = table.paths + table.secondary_paths
        return counts

    def assert_empty(self) -> None:
        assert self.sizes() == self.empty
        assert self.core.idle

    def flush(self) -> None:
        assert not self.core.flush()

    @staticmethod
    def prefix(text: str) -> bytes:
        address, _, length = text.partition("/")
        bits = int(length or 32)
        return bytes([bits]) + bytes(int(part) for part in address.split("."))[: (bits + 7) // 8]

    def vpn(self, distinguisher: str, text: str) -> bytes:
        return rd.parse(distinguisher) + self.prefix(text)

    @staticmethod
    def rt(*texts: str) -> tuple[bytes, ...]:
        return tuple(ext_community.route_target(text) for text in texts)

    def attributes(
        self, *targets: str, next_hop: str = "192.0.2.1", extra: tuple[bytes, ...] = (), **fields: Any
    ) -> Attributes:
        communities = self.rt(*targets) + extra
        return Attributes.make(
            next_hop=bytes(int(part) for part in next_hop.split(".")), ext_communities=communities, **fields
        )

    def instance(
        self,
        name: str,
        index: int,
        imports: Sequence[str] = (),
        exports: Sequence[str] = (),
        vn: int | None = None,
        **more: Any,
    ) -> InstanceSettings:
        return InstanceSettings(
            name=name,
            index=index,
            virtual_network=f"default-domain:demo:{name}",
            virtual_network_index=index + 100 if vn is None else vn,
            import_targets=frozenset(self.rt(*imports)),
            export_targets=frozenset(self.rt(*exports)),
            **more,
        )

    def add(self, name: str, index: int, imports: Sequence[str] = (), exports: Sequence[str] = (), **more: Any) -> None:
        self.core.add_instance(self.instance(name, index, imports, exports, **more))

    @staticmethod
    def ibgp(name: str, router_id: int = 1) -> Source:
        return Source(
            SourceKind.BGP, name, router_id=router_id, address=router_id.to_bytes(4, "big"), autonomous_system=AS
        )

    @staticmethod
    def ebgp(name: str, autonomous_system: int = 65001, router_id: int = 1) -> Source:
        return Source(
            SourceKind.BGP,
            name,
            router_id=router_id,
            address=router_id.to_bytes(4, "big"),
            autonomous_system=autonomous_system,
            ebgp=True,
        )

    @staticmethod
    def agent(name: str, router_id: int = 1) -> Source:
        return Source(SourceKind.XMPP, name, address=router_id.to_bytes(4, "big"))

    @staticmethod
    def key(peer_type: str = "ibgp", **fields: Any) -> GroupKey:
        if peer_type == "xmpp":
            return GroupKey(encoding="xmpp", peer_type="xmpp", **fields)
        values: dict[str, Any] = {"peer_as": AS if peer_type == "ibgp" else 65001, "local_as": AS} | fields
        return GroupKey(encoding="bgp", peer_type=peer_type, **values)

    def join(
        self, table: str, peer_type: str = "ibgp", name: str = "sink", source: Source | None = None, **fields: Any
    ) -> Sink:
        sink = Sink(name, source)
        self.rejoin(sink, table, self.key(peer_type, **fields))
        return sink

    def rejoin(self, sink: Sink, table: str, key: GroupKey, **more: Any) -> None:
        sink.membership = self.core.join(
            table, key, sink, source=sink.source, on_joined=sink.on_joined, tally=sink.tally, **more
        )

    def leave(self, sink: Sink) -> None:
        assert sink.membership is not None
        self.core.leave(sink.membership)
        sink.membership = None

    def keys(self, table: str) -> set[bytes]:
        return {key for key, route in self.core.tables[table].routes.items() if route.best is not None}

    def texts(self, table: str) -> set[str]:
        """The prefixes of an inet table."""
        return {f"{'.'.join(map(str, key[1:].ljust(4, bytes(1))))}/{key[0]}" for key in self.keys(table)}


@pytest.fixture
def bench() -> Bench:
    return Bench()


@pytest.fixture(scope="session")
def make_bench() -> Callable[..., Bench]:
    return Bench

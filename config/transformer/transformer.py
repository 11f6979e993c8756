"""The engine: notices what changed, works out what should be, writes what differs (reference/config.md 5.1).

Inputs are read from the transformer's own graph; what it writes is compared with the store itself, so a second run over
an unchanged configuration writes nothing.
"""

from collections.abc import Iterable
from typing import Any

from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.interfaces import IReactorTime
from twisted.internet.task import deferLater
from twisted.logger import Logger
from twisted.python.failure import Failure

from contrail_emulator.config.bus import Bus
from contrail_emulator.config.client import ConfigClient
from contrail_emulator.config.graph import Changes, Graph, Node
from contrail_emulator.config.ids import Election, Ids, IdsError
from contrail_emulator.config.layout import READER_START, UUID_TABLE, Link
from contrail_emulator.config.schema import Schema
from contrail_emulator.config.store import Store, StoreError
from contrail_emulator.config.writer import Conflict, NotFound, Writer, WriterError
from contrail_emulator.config.writer.names import uuid_in
from contrail_emulator.config.writer.networks import SYSTEM_NETWORKS
from contrail_emulator.config.writer.route_targets import TARGET, is_target

from . import reaction
from .access_lists import entries_hash, network_rules
from .mesh import ATTRIBUTE, mesh
from .numbers import TargetNumbers
from .policies import connections
from .reaction import Agenda, Unit
from .refusals import Refusals
from .routes import static_routes
from .security_groups import EGRESS, INGRESS, group_rules
from .targets import NO_TARGETS, configured_targets
from .wiring import default_instance, global_as, network_of, routes_vxlan

ELECTION = "/schema-transformer"
RETRY_SECONDS = 1.0
UNITS_A_TURN = 50


class Transformer:
    """One candidate for being the active transformer; only the active one reads and writes.

    `counters`: evaluations, writes, refusals (route targets that are none, and writes the API refused: each logged and
    counted once for an object until it changes), errors (store or ids away).
    """

    log = Logger()

    def __init__(
        self,
        reactor: IReactorTime,
        store: Store,
        bus: Bus,
        ids: Ids,
        schema: Schema,
        writer: Writer,
        *,
        name: str = "schema_transformer",
        logical_routers: bool = True,
    ) -> None:
        self.graph = Graph()
        self.active = False
        self.counters = dict.fromkeys(("evaluations", "writes", "refusals", "errors"), 0)
        self._failing = False
        self._stuck: Unit | None = None
        self._reactor = reactor
        self._store, self._bus, self._ids, self._schema = store, bus, ids, schema
        self._writer = writer
        self._name = name
        self._logical_routers = logical_routers
        self._client: ConfigClient | None = None
        self._numbers = TargetNumbers(store, ids)
        self._refusals = Refusals()
        self._dirty = Agenda()
        self._election: Election | None = None
        self._work: Deferred[None] | None = None
        self._working = False
        self._idle: list[Deferred[None]] = []
        self._running = False

    def start(self) -> Deferred[None]:
        """Stand for election; the Deferred fires when this transformer is active and has evaluated everything once."""
        self._running = True
        first: Deferred[None] = Deferred()
        self._idle.append(first)
        standing = Deferred.fromCoroutine(self._stand())
        standing.addErrback(self._failed)
        return first

    def stop(self) -> None:
        """End; the next in line takes over."""
        self._running = False
        self._retire()
        if self._election is not None:
            self._election.leave()
            self._election = None

    def settled(self) -> Deferred[None]:
        """Fires when there is nothing left to evaluate (at once when there is nothing now)."""
        done: Deferred[None] = Deferred()
        if self._working or self._dirty or not self.active:
            self._idle.append(done)
        else:
            done.callback(None)
        return done

    def evaluate_everything(self) -> None:
        """Look at every object again."""
        self._dirty.add(reaction.everything(self.graph))
        self._go()

    # -- election

    async def _stand(self) -> None:
        while self._running and self._election is None:
            try:
                await self._ids.open()
                self._election = await self._ids.elect(ELECTION, self._name, self._elected, self._retire)
            except IdsError as error:
                self._fails(error)
                await deferLater(self._reactor, RETRY_SECONDS)
            else:
                self._failing = False

    def _fails(self, error: Exception) -> None:
        """Counted each time, said once until it works again."""
        self.counters["errors"] += 1
        if not self._failing:
            self._failing = True
            self.log.warn("transformer: {error}; trying again", error=error)

    def _elected(self) -> None:
        if not self._running:
            return
        self.log.info("transformer: active")
        self.graph = Graph()
        self._numbers = TargetNumbers(self._store, self._ids)
        self._client = ConfigClient(self._reactor, self._store, self._bus, self._schema, self.graph, self._name)
        self._client.start().addCallback(self._synced)

    def _synced(self, _result: None) -> None:
        self.active = True
        self.graph.subscribe(self._changed)
        self._work = Deferred.fromCoroutine(self._first())
        self._work.addErrback(self._failed)

    async def _first(self) -> None:
        while self.active:
            try:
                await self._numbers.load(self._ids)
            except IdsError as error:
                self._fails(error)
                await deferLater(self._reactor, RETRY_SECONDS)
            else:
                self._failing = False
                break
        for owner in self._numbers.owners():
            kind = reaction.ROUTER if self.graph.get("routing-instance", owner) is None else reaction.INSTANCE
            self._dirty.add([(kind, owner)])
        self._dirty.add(reaction.orphans(self.graph))
        self.evaluate_everything()

    def _retire(self) -> None:
        self.active = False
        self._dirty.clear()
        if self._client is not None:
            self._client.stop()
            self._client = None
        if self._work is not None:
            self._work.cancel()
            self._work = None

    # -- the one coroutine that works

    def _changed(self, changes: Changes) -> None:
        if self.active:
            self._dirty.add(reaction.touched(self.graph, changes))
            self._go()

    def _go(self) -> None:
        if not self._working and self.active:
            self._working = True
            work = Deferred.fromCoroutine(self._drain())
            self._work = work
            work.addErrback(self._failed)
            work.addBoth(self._done)

    def _failed(self, failure: Failure) -> None:
        if not isinstance(failure.value, CancelledError):
            self.log.failure("transformer", failure)

    def _done(self, _result: None) -> None:
        self._working = False
        if not self._dirty and self.active:
            waiting, self._idle = self._idle, []
            for deferred in waiting:
                deferred.callback(None)

    async def _drain(self) -> None:
        count = 0
        while self._dirty and self.active:
            unit = self._dirty.pop()
            try:
                await self._evaluate(unit)
            except (StoreError, IdsError) as error:
                self._dirty.add([unit])
                self._stuck = unit
                self._fails(error)
                await deferLater(self._reactor, RETRY_SECONDS)
            except WriterError as error:
                self._refused(unit, [str(error)])
            else:
                if unit == self._stuck:  # another one may have needed nothing of what fails
                    self._stuck, self._failing = None, False
                self._refused(unit)
            count += 1
            if count % UNITS_A_TURN == 0:
                await deferLater(self._reactor, 0)

    def _refused(self, about: Unit, reasons: Iterable[str] = ()) -> None:
        """Tell what of this is new; about what has no reasons (any more), nothing."""
        for reason in self._refusals.news(about, reasons):
            self.counters["refusals"] += 1
            self.log.warn("transformer: {kind} {name}: {reason}", kind=about[0], name=about[1], reason=reason)

    async def _evaluate(self, unit: Unit) -> None:
        self.counters["evaluations"] += 1
        kind, name = unit
        await {
            reaction.ORPHAN: self._orphan,
            reaction.INSTANCE: self._instance,
            reaction.NETWORK: self._network,
            reaction.GROUP: self._group,
            reaction.ROUTER: self._router,
            reaction.TARGET: self._target,
            reaction.LIST: self._list,
            reaction.MESH: self._mesh,
        }[kind](name)

    # -- units

    def _node(self, type_name: str, name: str) -> Node | None:
        node = self.graph.get(type_name, name)
        return node if node is not None and node.present else None

    async def _orphan(self, name: str) -> None:
        """A routing instance whose network was deleted while no transformer ran is deleted, whoever made it.

        Not so those of the system, one that names no parent, and one whose network is there and only makes no sense.
        """
        fq_name = name.split(":")
        uuid = await self._writer.find("routing-instance", fq_name)
        stored = await self._writer.load(uuid) if uuid is not None else None
        if stored is None or stored.parent is None or fq_name[:-1] in SYSTEM_NETWORKS:
            return
        if await self._writer.find("virtual-network", fq_name[:-1]) is not None:
            return
        if await self._store.columns(UUID_TABLE, stored.parent.uuid, READER_START, limit=1):
            return
        self.log.info("transformer: routing-instance {name}: its network is gone, and so it goes", name=name)
        await self._delete("routing-instance", fq_name)

    async def _instance(self, name: str) -> None:
        """Route targets of one routing instance."""
        autonomous_system = global_as(self.graph)
        if autonomous_system is None:
            return
        node = self._node("routing-instance", name)
        if node is None or network_of(node) is None:
            if node is None:
                self._refused(("routing-instance", name))
                await self._released(name, autonomous_system)
            return
        wanted = configured_targets(self.graph, node)
        wrong = [target for target in wanted if not is_target(target)]
        self._refused(("routing-instance", name), [f"expected {TARGET}, not {target!r}" for target in wrong])
        for target in wrong:
            del wanted[target]
        if name not in NO_TARGETS:
            wanted[await self._numbers.target(name, autonomous_system)] = None
        uuid = await self._writer.find("routing-instance", name.split(":"))
        if uuid is not None:
            attributes = {target: {"import_export": value} for target, value in wanted.items()}
            await self._set_targets("routing-instance", uuid, attributes)
            await self._set_routes(uuid, static_routes(node))

    async def _router(self, name: str) -> None:
        """The route target of one logical router."""
        autonomous_system = global_as(self.graph)
        if autonomous_system is None:
            return
        node = self._node("logical-router", name)
        if node is None:
            await self._released(name, autonomous_system)
            return
        if routes_vxlan(node):
            return
        target = await self._numbers.target(name, autonomous_system)
        uuid = await self._writer.find("logical-router", name.split(":"))
        if uuid is not None:
            await self._set_targets("logical-router", uuid, {target: None})

    async def _set_routes(self, uuid: str, routes: list[dict[str, Any]]) -> None:
        wanted = {"route": routes} if routes else None
        stored = await self._writer.load(uuid)
        if stored is None or stored.properties.get("static_route_entries") == wanted:
            return
        if await self._writer.update("routing-instance", uuid, {"static_route_entries": wanted}):
            self.counters["writes"] += 1

    async def _released(self, owner: str, autonomous_system: int) -> None:
        target = await self._numbers.release(owner, autonomous_system)
        if target is not None:
            self._dirty.add([(reaction.TARGET, target)])

    async def _set_targets(self, type_name: str, uuid: str, wanted: dict[str, Any]) -> None:
        """Make the references to route targets exactly these, making the targets first."""
        links: dict[str, Link] = {}
        for target, attribute in wanted.items():
            found = await self._writer.find("route-target", [target])
            if found is None:
                found = await self._make("route-target", {"fq_name": [target]})
            if found is not None:
                links[found] = Link("route-target", found, attribute)
        stored = await self._writer.load(uuid)
        if stored is None:
            return
        present = {link.uuid: link for link in stored.references if link.type == "route-target"}
        for target_uuid, link in links.items():
            if target_uuid not in present or not _same(present[target_uuid].attribute, link.attribute):
                await self._refer(type_name, uuid, "route-target", target_uuid, "ADD", link.attribute)
        for target_uuid in present.keys() - links.keys():
            await self._refer(type_name, uuid, "route-target", target_uuid, "DELETE")

    async def _target(self, name: str) -> None:
        """A route target that nothing refers to is deleted."""
        node = self._node("route-target", name)
        if node is None or any(node.neighbours(via=via) for via in ("instance-target", "logical-router-target")):
            return
        await self._delete("route-target", [name])

    async def _network(self, name: str) -> None:
        """Connections and access list of one network."""
        node = self._node("virtual-network", name)
        if node is None:
            return
        await self._connect(node)
        for list_name, dynamic in ((node.name.rpartition(":")[2], False), ("dynamic", True)):
            rules = network_rules(self.graph, node, self._logical_routers, dynamic)
            await self._access_list("virtual-network", node, list_name, rules or None, dynamic)

    async def _connect(self, network: Node) -> None:
        instance = default_instance(network)
        uuid = await self._writer.find("routing-instance", instance.name.split(":")) if instance is not None else None
        if uuid is None:
            return
        wanted: set[str] = set()
        for other in connections(self.graph, network):
            other_instance = default_instance(other)
            if other_instance is not None:
                found = await self._writer.find("routing-instance", other_instance.name.split(":"))
                if found is not None:
                    wanted.add(found)
        stored = await self._writer.load(uuid)
        if stored is None:
            return
        present = {link.uuid for link in stored.references if link.type == "routing-instance"}
        for other_uuid in sorted(wanted - present):
            await self._refer("routing-instance", uuid, "routing-instance", other_uuid, "ADD", {})
        for other_uuid in sorted(present - wanted):
            if await self._is_default_instance(other_uuid):
                await self._refer("routing-instance", uuid, "routing-instance", other_uuid, "DELETE")

    async def _is_default_instance(self, uuid: str) -> bool:
        """Connections to other instances are somebody else's (service chains)."""
        stored = await self._writer.load(uuid)
        return stored is not None and bool(stored.properties.get("routing_instance_is_default"))

    async def _group(self, name: str) -> None:
        """The two access lists of one security group, always both."""
        node = self._node("security-group", name)
        if node is not None:
            ingress, egress = group_rules(self.graph, node)
            await self._access_list("security-group", node, INGRESS, ingress)
            await self._access_list("security-group", node, EGRESS, egress)

    async def _access_list(
        self, parent: str, node: Node, name: str, rules: list[dict[str, Any]] | None, dynamic: bool = False
    ) -> None:
        """Make, change or (None) delete one access list under a network or group."""
        fq_name = [*node.name.split(":"), name]
        if rules is None:
            await self._delete("access-control-list", fq_name)
            return
        uuid = await self._writer.find("access-control-list", fq_name)
        entries = {"dynamic": dynamic or None, "acl_rule": rules}
        properties = {
            "access_control_list_entries": entries,
            "access_control_list_hash": entries_hash(entries),
        }
        if uuid is None:
            await self._make("access-control-list", {"fq_name": fq_name, "parent_type": parent, **properties})
            return
        stored = await self._writer.load(uuid)
        if stored is None or stored.properties.get("access_control_list_hash") == entries_hash(entries):
            return
        if await self._writer.update("access-control-list", uuid, properties):
            self.counters["writes"] += 1

    async def _list(self, name: str) -> None:
        """An access list whose parent is gone is deleted."""
        node = self._node("access-control-list", name)
        if node is None or any(parent.present for parent in node.neighbours()):
            return
        await self._delete("access-control-list", name.split(":"))

    async def _mesh(self, _name: str) -> None:
        """Peerings of all BGP routers."""
        plan = mesh(self.graph)
        autonomous_system = global_as(self.graph)
        for name in plan.wrong_as:
            node = self._node("bgp-router", name)
            uuid = await self._writer.find("bgp-router", name.split(":"))
            if node is not None and uuid is not None:
                parameters = {**node.properties["bgp_router_parameters"], "autonomous_system": autonomous_system}
                if await self._writer.update("bgp-router", uuid, {"bgp_router_parameters": parameters}):
                    self.counters["writes"] += 1
        for pairs, operation in ((plan.wanted, "ADD"), (plan.unwanted, "DELETE")):
            for one, two in pairs:
                await self._peer(one, two, operation)

    async def _peer(self, one: str, two: str, operation: str) -> None:
        first = await self._writer.find("bgp-router", one.split(":"))
        second = await self._writer.find("bgp-router", two.split(":"))
        stored = await self._writer.load(first) if first is not None else None
        if first is None or second is None or stored is None:
            return
        present = any(link.uuid == second for link in stored.references if link.type == "bgp-router")
        if present == (operation == "DELETE"):  # one that is there keeps its attribute: it may be somebody's own
            attribute = ATTRIBUTE if operation == "ADD" else None
            await self._refer("bgp-router", first, "bgp-router", second, operation, attribute)

    # -- writing; what another did meanwhile is no error (reference/config.md 5.1)

    async def _make(self, type_name: str, obj: dict[str, Any]) -> str | None:
        try:
            uuid = await self._writer.create(type_name, obj)
        except Conflict:
            return await self._writer.find(type_name, obj["fq_name"])
        self.counters["writes"] += 1
        return uuid

    async def _delete(self, type_name: str, fq_name: list[str]) -> None:
        """Delete what is there; a delete that got stuck when the store failed took the name away, but not the row."""
        uuid = await self._writer.find(type_name, fq_name)
        if uuid is None:
            node = self._node(type_name, ":".join(fq_name))
            uuid = None if node is None else uuid_in(node.properties.get("id_perms"))
            if uuid is None or await self._writer.name_of(uuid) != fq_name:
                return
        try:
            await self._writer.delete(type_name, uuid)
        except (Conflict, NotFound):
            return
        self.counters["writes"] += 1

    async def _refer(
        self,
        type_name: str,
        uuid: str,
        ref_type: str,
        ref_uuid: str,
        operation: str,
        attribute: dict[str, Any] | None = None,
    ) -> None:
        try:
            if await self._writer.ref_update(type_name, uuid, ref_type, ref_uuid, operation, attribute):
                self.counters["writes"] += 1
        except NotFound:
            return


def _same(one: Any, two: Any) -> bool:
    """Are two attributes the same, absent and null members alike?"""
    return bool(_without_nulls(one) == _without_nulls(two))


def _without_nulls(value: Any) -> Any:
    return {key: inner for key, inner in value.items() if inner is not None} if isinstance(value, dict) else value

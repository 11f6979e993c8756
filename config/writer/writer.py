"""The one place that writes configuration: name lock, ids, rows, message, in this order (reference/config.md 0.2)."""

import json
import uuid as uuid_module
from collections.abc import Callable, Mapping
from typing import Any, TypeVar, cast

from contrail_emulator.config import layout
from contrail_emulator.config.bus import Bus, Message
from contrail_emulator.config.ids import Allocator, Ids, NameTaken, Pool
from contrail_emulator.config.ids.tree import lock_name, lock_path, unlock_name
from contrail_emulator.config.layout import NAME_TABLE, UUID_TABLE, Link, RowError, StoredObject
from contrail_emulator.config.schema import (
    ObjectType,
    Schema,
    SchemaError,
    check_object,
    check_property,
    check_reference,
)
from contrail_emulator.config.store import Delete, Mutation, Put, Store, StoreError

from . import names
from .addresses import AliasIpHook, FloatingIpHook, InstanceIpHook
from .dns import VirtualDnsHook, VirtualDnsRecordHook
from .draft import Draft
from .errors import BadRequest, Conflict, NotFound, Unavailable
from .groups import SecurityGroupHook
from .hooks import Hook
from .initial import initialise
from .interfaces import InterfaceHook
from .ipams import IpamHook
from .logical_routers import LogicalRouterHook
from .networks import NetworkHook
from .routers import RouterHook

JSON = TypeVar("JSON")
STALE_LOCK_SECONDS = 5.0
MOST_PENDING = 4096
"""rabbit_max_pending_updates of the real API server."""
NOT_PROPERTIES = frozenset({"uuid", "fq_name", "name", "parent_type", "parent_uuid", "parent_href", "href"})


class Writer:
    """Objects are JSON as the REST API has it: `fq_name`, `parent_type`, properties and `<type>_refs` with underscores,
    each reference `{"to": fq-name, "attr": …}` (or `"uuid"`). Type names may have dashes or underscores.

    `uuid` makes uuids, `clock` gives seconds since 1970. Every method raises WriterError for what it refuses and
    StoreError or IdsError for what cannot be reached.
    """

    def __init__(
        self,
        store: Store,
        bus: Bus,
        ids: Ids,
        schema: Schema,
        *,
        uuid: Callable[[], uuid_module.UUID],
        clock: Callable[[], float],
    ) -> None:
        self.store = store
        self.bus = bus
        self.ids = ids
        self.schema = schema
        self.uuid = uuid
        self.clock = clock
        self._allocators: dict[object, Allocator] = {}
        self._plain = Hook(self)
        self._hooks: Mapping[str, Hook] = {
            "virtual-network": NetworkHook(self),
            "network-ipam": IpamHook(self),
            "virtual-machine-interface": InterfaceHook(self),
            "security-group": SecurityGroupHook(self),
            "instance-ip": InstanceIpHook(self),
            "floating-ip": FloatingIpHook(self),
            "alias-ip": AliasIpHook(self),
            "bgp-router": RouterHook(self),
            "logical-router": LogicalRouterHook(self),
            "virtual-DNS": VirtualDnsHook(self),
            "virtual-DNS-record": VirtualDnsRecordHook(self),
        }

    async def initialise(self, autonomous_system: int = 64512) -> None:
        """Make the objects of a first start (reference/config.md 3.7); those that are there are left alone."""
        await initialise(self, autonomous_system)

    # -- reading

    async def find(self, type_name: str, fq_name: list[str]) -> str | None:
        """The uuid of a name, or None."""
        name = ":".join(fq_name)
        object_type = self._type(type_name).object_type
        after: str | None = None
        while page := await self.store.columns(NAME_TABLE, object_type, f"{name}:", f"{name};", after):
            for column, _ in page:
                found, _, uuid = column.rpartition(":")
                if found == name:
                    return uuid
            after = page[-1][0]
        return None

    async def load(self, uuid: str, full: bool = False) -> StoredObject | None:
        """The object in a row, or None when there is none or it makes no sense.

        Children and back references, which may be thousands, are read only when it is to be `full`.
        """
        start = "" if full else layout.READER_START
        row = (await self.store.rows(UUID_TABLE, [uuid], start)).get(uuid)
        if row is None:
            return None
        try:
            return layout.decode(self.schema, uuid, row)
        except RowError:
            return None

    async def name_of(self, uuid: str) -> list[str] | None:
        """The fq-name of a uuid, or None."""
        columns = await self.store.columns(UUID_TABLE, uuid, "fq_name", "fq_name\0", limit=1)
        try:
            return layout.read_fq_name(dict(columns)) if columns else None
        except RowError:
            return None

    async def objects(self, type_name: str) -> list[tuple[list[str], str]]:
        """The (fq-name, uuid) of every object of a type, by name."""
        object_type = self._type(type_name).object_type
        found: list[tuple[list[str], str]] = []
        after: str | None = None
        while page := await self.store.columns(NAME_TABLE, object_type, after=after):
            for column, _ in page:
                name, _, uuid = column.rpartition(":")
                parts = [name] if object_type == "route_target" else name.split(":")
                found.append((parts, uuid))
            after = page[-1][0]
        return found

    async def read(self, type_name: str, uuid: str) -> dict[str, Any]:
        """The object as the REST API shows it (without hrefs), or NotFound."""
        return await self._show(await self._must_load(self._type(type_name), uuid, full=True))

    async def _show(self, stored: StoredObject) -> dict[str, Any]:
        links = [*stored.references, *stored.back_references, *stored.children]
        wanted = list(dict.fromkeys(link.uuid for link in links))
        found = await self.store.rows(UUID_TABLE, wanted, "fq_name") if wanted else {}
        known: dict[str, list[str]] = {}
        for other, row in found.items():
            try:
                known[other] = layout.read_fq_name(row)
            except RowError:
                continue
        return self._shown(stored, known)

    def _shown(self, stored: StoredObject, known: Mapping[str, list[str]]) -> dict[str, Any]:
        result: dict[str, Any] = {"uuid": stored.uuid, "fq_name": stored.fq_name, "name": stored.fq_name[-1]}
        if stored.parent is not None:
            result["parent_type"] = stored.parent.type
            result["parent_uuid"] = stored.parent.uuid
        result.update(stored.properties)
        for link in stored.references:
            entry = {"to": known.get(link.uuid, ["ERROR"]), "uuid": link.uuid, "attr": link.attribute}
            result.setdefault(f"{self._object_type(link.type)}_refs", []).append(entry)
        for link in stored.back_references:
            if link.uuid in known:
                entry = {"to": known[link.uuid], "uuid": link.uuid}
                result.setdefault(f"{self._object_type(link.type)}_back_refs", []).append(entry)
        for link in stored.children:
            if link.uuid in known:
                entry = {"to": known[link.uuid], "uuid": link.uuid}
                result.setdefault(f"{self._object_type(link.type)}s", []).append(entry)
        return result

    # -- creating

    async def create(self, type_name: str, obj: Mapping[str, Any]) -> str:
        """Make an object with all that belongs to it; gives its uuid."""
        self._check_bus()
        found = self._type(type_name)
        fq_name = names.check_name(found, obj.get("fq_name"))
        name = ":".join(fq_name)
        parent = await self._parent(found, fq_name, obj.get("parent_type"))
        uuid = str(self.uuid()) if obj.get("uuid") is None else names.check_uuid(obj["uuid"])
        if obj.get("uuid") is not None and await self.name_of(uuid) is not None:
            raise Conflict(f"{found.name} {name}: uuid {uuid} exists already")
        properties, references = self._split(found, name, obj)
        draft = Draft(found, uuid, fq_name, parent, self._checked(found, name, properties))
        draft.references = await self._references(found, name, references)
        await self._lock(draft)
        try:
            await self._common_properties(draft)
            await self._hook(found).before_create(draft)
            draft.properties = json_copy(draft.properties)
            links = draft.all_references()
            ends = await self._ends(found, links)
        except BaseException:
            await self._undo(draft)
            raise
        mutations = layout.create_mutations(self.schema, found, uuid, fq_name, parent, draft.properties, links)
        try:
            await self._write("CREATE", draft, mutations)
        except StoreError:
            if await self._is_absent(uuid):
                await self._undo(draft)
                raise
            await self.store.write(mutations)  # half of it may be there: all of it now, or the ids stay taken
        await self._announce("CREATE", found, uuid, fq_name, await self._dictionary_if_readable(uuid))
        await self._announce_ends(found, ends)
        await self._hook(found).after_create(draft)
        return uuid

    async def _undo(self, draft: Draft) -> None:
        for undo in reversed(draft.undo):
            await undo()

    async def _is_absent(self, uuid: str) -> bool:
        try:
            return await self.name_of(uuid) is None
        except StoreError:
            return False

    async def _parent(self, found: ObjectType, fq_name: list[str], given: str | None) -> Link | None:
        parent_type = names.parent_of(found, fq_name, given)
        if not parent_type:
            return None
        uuid = await self.find(parent_type, fq_name[:-1])
        if uuid is None:
            raise BadRequest(f"{found.name} {':'.join(fq_name)}: no {parent_type} {':'.join(fq_name[:-1])}")
        return self.link(parent_type, uuid)

    async def _lock(self, draft: Draft) -> None:
        object_type = draft.type.object_type
        taken = await self.find(draft.type.name, draft.fq_name)
        if taken is not None:
            raise Conflict(f"{draft.fq_name} already exists with uuid: {taken}")
        try:
            await lock_name(self.ids, object_type, draft.name, draft.uuid)
        except NameTaken as error:
            age = await self.ids.age(lock_path(object_type, draft.name))
            if age is not None and age < STALE_LOCK_SECONDS:
                raise Conflict(f"{draft.fq_name} already exists with uuid: {error.uuid}") from error
            await self._clear_away(draft, error.uuid)
            await unlock_name(self.ids, object_type, draft.name)  # whoever took it never wrote its row
            await lock_name(self.ids, object_type, draft.name, draft.uuid)
        draft.undo.append(lambda: unlock_name(self.ids, object_type, draft.name))

    async def _clear_away(self, draft: Draft, uuid: str) -> None:
        """End a delete that got stuck when the store failed: the name was gone, the row was not.

        Conflict when the row is no such thing: one that is just being written, or that others need. A row of another
        name only has the uuid that the lock names.
        """
        row = (await self.store.rows(UUID_TABLE, [uuid])).get(uuid)
        stored = await self.load(uuid)
        if not row or stored is None or stored.type is not draft.type or stored.fq_name != draft.fq_name:
            return
        taken = f"{draft.fq_name} already exists with uuid: {uuid}"
        if max(cell.time for cell in row.values()) / 1e6 > self.clock() - STALE_LOCK_SECONDS:
            raise Conflict(taken)
        try:
            await self.delete(draft.type.name, uuid)
        except Conflict as error:
            raise Conflict(f"{taken}, which is not in the index of names: {error}") from error

    async def _common_properties(self, draft: Draft) -> None:
        properties = draft.properties
        properties["id_perms"] = names.id_perms(draft.uuid, self.clock(), properties.get("id_perms"))
        owner = names.OWNER
        if draft.type.name == "project":
            owner = draft.uuid.replace("-", "")
        elif draft.parent is not None and draft.parent.type != "domain":
            stored = await self.load(draft.parent.uuid)
            owner = (stored.properties.get("perms2") or {}).get("owner") or owner if stored else owner
        properties["perms2"] = names.perms2(owner, properties.get("perms2"))
        properties.setdefault("display_name", draft.fq_name[-1])

    # -- changing

    async def update(self, type_name: str, uuid: str, changes: Mapping[str, Any]) -> bool:
        """Change properties (None takes one away) and whole reference lists. False when nothing was different."""
        self._check_bus()
        found = self._type(type_name)
        stored = await self._must_load(found, uuid)
        properties, references = self._split(found, stored.name, changes)
        draft = Draft(found, uuid, stored.fq_name, stored.parent)
        for name, value in properties.items():
            draft.properties[name] = self._property(found, stored.name, name, value)
        draft.references = await self._references(found, stored.name, references)
        given = draft.properties.pop("id_perms", None)
        await self._hook(found).before_update(stored, draft)
        mutations = await self._property_mutations(stored, draft.properties)
        linked, unlinked = self._reference_changes(stored, draft.references)
        for link in unlinked:
            mutations.extend(layout.unreference_mutations(self.schema, found, uuid, link))
        for link in linked:
            weak = found.references[link.type].derived
            mutations.extend(layout.reference_mutations(self.schema, found, uuid, link, weak))
        if not mutations and not given:
            return False
        ends = await self._ends(found, [*linked, *unlinked])
        await self._write_change(stored, mutations, given)
        await self._announce("UPDATE", found, uuid, stored.fq_name)
        await self._announce_ends(found, ends)
        await self._hook(found).after_update(stored, draft)
        return True

    async def completed(self, type_name: str, uuid: str, changes: Mapping[str, Any]) -> dict[str, Any]:
        """What `update` would make of these changes, as `read` shows it; nothing is written."""
        found = self._type(type_name)
        stored = await self._must_load(found, uuid)
        properties, references = self._split(found, stored.name, changes)
        draft = Draft(found, uuid, stored.fq_name, stored.parent)
        for name, value in properties.items():
            draft.properties[name] = self._property(found, stored.name, name, value)
        draft.references = await self._references(found, stored.name, references)
        self._hook(found).complete(stored, draft)
        result = dict(draft.properties)
        for target, links in draft.references.items():
            shown = [{"to": await self.name_of(link.uuid), "uuid": link.uuid, "attr": link.attribute} for link in links]
            result[f"{self._object_type(target)}_refs"] = shown
        return result

    async def ref_update(
        self,
        type_name: str,
        uuid: str,
        ref_type: str,
        ref_uuid: str,
        operation: str = "ADD",
        attr: dict[str, Any] | None = None,
    ) -> bool:
        """Add one reference (or change its attribute), or DELETE it. False when nothing was different."""
        self._check_bus()
        found, target = self._type(type_name), self._type(ref_type)
        stored = await self._must_load(found, uuid)
        present = next((link for link in stored.references if link.uuid == ref_uuid), None)
        if operation == "DELETE":
            if present is None:
                return False
            await self._hook(found).before_unreference(stored, present)
            changed = present
            mutations = layout.unreference_mutations(self.schema, found, uuid, present)
        elif operation == "ADD":
            if await self.name_of(ref_uuid) is None:
                raise NotFound(f"No {target.name} object found for id {ref_uuid}")
            changed = Link(target.name, ref_uuid, self._attribute(found, stored.name, target.name, attr))
            if present is not None and present.attribute == changed.attribute:
                return False
            draft = Draft(found, uuid, stored.fq_name, stored.parent)
            others = [link for link in stored.references if link.type == target.name and link.uuid != ref_uuid]
            draft.references[target.name] = [*others, changed]
            await self._hook(found).before_update(stored, draft)
            weak = found.references[target.name].derived
            mutations = layout.reference_mutations(self.schema, found, uuid, changed, weak)
        else:
            raise BadRequest(f"operation: expected ADD or DELETE, not {operation}")
        ends = await self._ends(found, [changed])
        await self._write_change(stored, mutations, None)
        await self._announce("UPDATE", found, uuid, stored.fq_name)
        await self._announce_ends(found, ends)
        return True

    async def relax_reference(self, holder: str, target: str) -> None:
        """Say that the reference of `holder` does not keep `target` from being deleted."""
        await self.store.write([Put(UUID_TABLE, target, f"relaxbackref:{holder}", "null")])

    async def _property_mutations(self, stored: StoredObject, changes: Mapping[str, Any]) -> list[Mutation]:
        row = (await self.store.rows(UUID_TABLE, [stored.uuid])).get(stored.uuid, {})
        mutations: list[Mutation] = []
        for name, value in changes.items():
            if stored.properties.get(name) == value:
                continue
            found = stored.type.properties[name]
            wanted = {} if value is None else layout.property_columns(found, value)
            for column in layout.columns_of(row, found):
                if column not in wanted:
                    mutations.append(Delete(UUID_TABLE, stored.uuid, column))
            for column, text in wanted.items():
                if column not in row or row[column].value != text:
                    mutations.append(Put(UUID_TABLE, stored.uuid, column, text))
        return mutations

    def _reference_changes(
        self, stored: StoredObject, wanted: Mapping[str, list[Link]]
    ) -> tuple[list[Link], list[Link]]:
        linked: list[Link] = []
        unlinked: list[Link] = []
        for target, links in wanted.items():
            old = {link.uuid: link for link in stored.references if link.type == target}
            new = {link.uuid: link for link in links}
            unlinked.extend(link for uuid, link in old.items() if uuid not in new)
            linked.extend(
                link for uuid, link in new.items() if uuid not in old or old[uuid].attribute != link.attribute
            )
        return linked, unlinked

    async def _write_change(
        self, stored: StoredObject, mutations: list[Mutation], given: dict[str, Any] | None
    ) -> None:
        perms = dict(stored.properties.get("id_perms") or names.id_perms(stored.uuid, self.clock(), None))
        for key in ("enable", "description"):
            if given and given.get(key) is not None:
                perms[key] = given[key]
        perms["last_modified"] = names.timestamp(self.clock())
        mutations.append(Put(UUID_TABLE, stored.uuid, "prop:id_perms", layout.dump(perms)))
        mutations.append(layout.touch(stored.uuid))
        await self._write("UPDATE", stored, mutations)

    async def _write(self, oper: str, changed: Draft | StoredObject, mutations: list[Mutation]) -> None:
        """Write the rows. What fails may be there all the same (a time-out), so readers are told to look then too."""
        try:
            await self.store.write(mutations)
        except StoreError:
            await self._announce(oper, changed.type, changed.uuid, changed.fq_name)
            raise

    # -- deleting

    async def delete(self, type_name: str, uuid: str) -> None:
        """Delete an object; Conflict when it has children or is referred to."""
        self._check_bus()
        found = self._type(type_name)
        stored = await self._must_load(found, uuid, full=True)
        await self._refuse_if_needed(stored)
        await self._hook(found).before_delete(stored)
        for child in stored.children:
            if await self._is_default(child):
                await self.delete(child.type, child.uuid)
        dictionary = await self._dictionary(uuid)
        stored = await self._must_load(found, uuid, full=True)
        ends = await self._ends(found, stored.references)
        await self._write("DELETE", stored, layout.delete_mutations(self.schema, stored))
        await unlock_name(self.ids, found.object_type, stored.name)
        await self._announce("DELETE", found, uuid, stored.fq_name, dictionary)
        await self._announce_ends(found, ends)
        await self._hook(found).after_delete(stored)

    async def _refuse_if_needed(self, stored: StoredObject) -> None:
        children = []
        for child in stored.children:
            entry = stored.type.children.get(child.type)
            derived = entry is not None and entry.derived
            if not derived and await self.name_of(child.uuid) is not None and not await self._is_default(child):
                children.append(f"/{child.type}/{child.uuid}")
        if children:
            raise Conflict(f"Delete when children still present: {children}")
        holders = []
        for link in stored.back_references:
            reference = self.schema.types[link.type].references.get(stored.type.name)
            derived = reference is not None and reference.derived
            if not derived and link.uuid not in stored.relaxed and await self.name_of(link.uuid) is not None:
                holders.append(f"/{link.type}/{link.uuid}")
        if holders:
            raise Conflict(f"Delete when resource still referred: {holders}")

    async def _is_default(self, child: Link) -> bool:
        name = await self.name_of(child.uuid)
        return name is not None and name[-1] == f"default-{child.type}"

    # -- shared

    def link(self, type_name: str, uuid: str, attribute: Any = None) -> Link:
        """One end, with the type's name in dashes."""
        return Link(self._type(type_name).name, uuid, attribute)

    def address_allocator(
        self, pool: Pool, downward: bool, reserved: frozenset[int], ranges: tuple[tuple[int, int], ...]
    ) -> Allocator:
        """The allocator of one subnet; one that is asked for again keeps what it knows."""
        key = (pool, downward, reserved, ranges)
        if key not in self._allocators:
            self._allocators[key] = Allocator(self.ids, pool, downward=downward, reserved=reserved, ranges=ranges)
        return self._allocators[key]

    def _check_bus(self) -> None:
        if self.bus.pending > MOST_PENDING:
            raise Unavailable(f"Too many pending updates to RabbitMQ: {self.bus.pending}")

    def _type(self, name: str) -> ObjectType:
        found = self.schema.find(name)
        if found is None:
            raise BadRequest(f"no such type: {name}")
        return found

    def _object_type(self, name: str) -> str:
        return self.schema.types[name].object_type

    def _hook(self, found: ObjectType) -> Hook:
        return self._hooks.get(found.name, self._plain)

    async def _must_load(self, found: ObjectType, uuid: str, full: bool = False) -> StoredObject:
        stored = await self.load(uuid, full)
        if stored is None or stored.type is not found:
            raise NotFound(f"No {found.name} object found for id {uuid}")
        return stored

    def _split(
        self, found: ObjectType, name: str, obj: Mapping[str, Any]
    ) -> tuple[dict[str, Any], dict[str, list[Any]]]:
        """The properties and the reference lists (by target type) of an object in JSON."""
        properties: dict[str, Any] = {}
        references: dict[str, list[Any]] = {}
        for key, value in obj.items():
            if key in NOT_PROPERTIES:
                continue
            target = self.schema.find(key.removesuffix("_refs")) if key.endswith("_refs") else None
            if target is not None and key not in found.properties:
                if target.name not in found.references:
                    raise BadRequest(f"{found.name} {name}: {key}: expected a type that {found.name} may refer to")
                if value is not None and not isinstance(value, list):
                    raise BadRequest(f"{found.name} {name}: {key}: expected a list of references")
                references[target.name] = value or []
            elif key in found.properties:
                properties[key] = value
            else:
                raise BadRequest(f"{found.name} {name}: {key}: expected a property of {found.name}")
        return properties, references

    def _checked(self, found: ObjectType, name: str, properties: Mapping[str, Any]) -> dict[str, Any]:
        try:
            return json_copy(check_object(self.schema, f"{found.name} {name}", found, properties))
        except SchemaError as error:
            raise BadRequest(str(error)) from error

    def _property(self, found: ObjectType, name: str, key: str, value: Any) -> Any:
        try:
            return json_copy(check_property(self.schema, f"{found.name} {name}", found.name, key, value))
        except SchemaError as error:
            raise BadRequest(str(error)) from error

    def _attribute(self, found: ObjectType, name: str, target: str, attribute: Any) -> Any:
        try:
            return json_copy(check_reference(self.schema, f"{found.name} {name}", found.name, target, attribute))
        except SchemaError as error:
            raise BadRequest(str(error)) from error

    async def _references(
        self, found: ObjectType, name: str, references: Mapping[str, list[Any]]
    ) -> dict[str, list[Link]]:
        result: dict[str, list[Link]] = {}
        for target, entries in references.items():
            links: dict[str, Link] = {}
            for entry in entries:
                uuid = await self._reference_uuid(found, name, target, entry)
                links[uuid] = Link(target, uuid, self._attribute(found, name, target, entry.get("attr")))
            result[target] = list(links.values())
        return result

    async def _reference_uuid(self, found: ObjectType, name: str, target: str, entry: Any) -> str:
        if isinstance(entry, dict):
            to, uuid = entry.get("to"), entry.get("uuid")
            if isinstance(to, list) and to and all(isinstance(part, str) for part in to):
                resolved = await self.find(target, to)
                if resolved is not None:
                    return resolved
                raise BadRequest(f"{found.name} {name}: no {target} {':'.join(to)} to refer to")
            if isinstance(uuid, str) and await self.name_of(uuid) is not None:
                return uuid
        raise BadRequest(f"{found.name} {name}: a reference to {target}: expected {{'to': fq-name}} or a known 'uuid'")

    async def _dictionary(self, uuid: str) -> dict[str, Any] | None:
        stored = await self.load(uuid, full=True)
        return await self._show(stored) if stored is not None else None

    async def _dictionary_if_readable(self, uuid: str) -> dict[str, Any] | None:
        """What the message of a creation carries; nobody must have it, so a store that is gone again is no failure."""
        try:
            return await self._dictionary(uuid)
        except StoreError:
            return None

    async def _announce(
        self, oper: str, found: ObjectType, uuid: str, fq_name: list[str], obj_dict: dict[str, Any] | None = None
    ) -> None:
        request_id = f"req-{self.uuid()}"
        await self.bus.publish(Message(oper, found.object_type, uuid, tuple(fq_name), request_id, obj_dict))

    async def _ends(self, found: ObjectType, links: list[Link]) -> list[tuple[str, list[str]]]:
        """The other ends of references between objects of one type, which change too: uuid and name of each."""
        names_of = [(link.uuid, await self.name_of(link.uuid)) for link in links if link.type == found.name]
        return [(uuid, name) for uuid, name in names_of if name is not None]

    async def _announce_ends(self, found: ObjectType, ends: list[tuple[str, list[str]]]) -> None:
        for uuid, name in ends:
            await self._announce("UPDATE-IMPLICIT", found, uuid, name)


def json_copy(value: JSON) -> JSON:
    """A deep copy of JSON, so that what a caller holds and what is stored never share a part."""
    return cast(JSON, json.loads(json.dumps(value)))

"""Configuration as a document: load it into a store, dump a store, compare the two.

A document is `{"objects": [{"type": "virtual-network", "fq_name": […], …}]}`, each object as the REST API has it. What
the system gives (ids, id-perms, owners) is not in a dump and is ignored when loaded.
"""

import json
from collections.abc import Awaitable, Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import yaml

from .schema import is_text
from .writer import BadRequest, Conflict, NotFound, Writer, WriterError

GIVEN_BY_SYSTEM = frozenset({"id_perms", "perms2", "virtual_network_network_id", "security_group_id"})
NOT_DUMPED = GIVEN_BY_SYSTEM | {"name", "parent_uuid"}
Key = tuple[str, tuple[str, ...]]
Pause = Callable[[], Awaitable[None]]
TRIES = 5
"""How often an object is tried before its refusal is an error."""


class DocumentError(ValueError):
    """A document, or an object in it, that cannot be used: says where and what was expected."""


@dataclass(frozen=True, slots=True)
class Difference:
    """One field of one object: what the document says and what the store says (None: nothing)."""

    type: str
    name: str
    field: str
    wanted: Any
    stored: Any


async def no_pause() -> None:
    """For a store that nobody else writes."""


def parse(text: str, name: str = "document") -> list[dict[str, Any]]:
    """The objects of a YAML or JSON text. Raises DocumentError."""
    try:
        value = yaml.safe_load(text)
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        line = f":{mark.line + 1}" if mark is not None else ""
        raise DocumentError(f"{name}{line}: expected YAML or JSON") from error
    objects = value.get("objects") if isinstance(value, dict) else None
    if not isinstance(objects, list):
        raise DocumentError(f"{name}: expected an object with a list called objects")
    places: dict[Key, int] = {}
    for place, obj in enumerate(objects):
        where = f"{name}: objects[{place}]"
        key = _check(obj, where)
        if key in places:
            raise DocumentError(f"{where}: {key[0]} {':'.join(key[1])} is objects[{places[key]}] already")
        places[key] = place
    return objects


def _check(obj: Any, where: str) -> Key:
    """Is it shaped like an object, whatever it says? Gives what it is called."""
    if not isinstance(obj, dict) or not isinstance(obj.get("type"), str):
        raise DocumentError(f"{where}: expected an object with a type")
    if not _is_name(obj.get("fq_name")):
        raise DocumentError(f"{where}: fq_name: expected a list of texts")
    if not isinstance(obj.get("parent_type", ""), str):
        raise DocumentError(f"{where}: parent_type: expected a text")
    for field, value in obj.items():
        if not isinstance(field, str):
            raise DocumentError(f"{where}: {field}: expected the name of a property")
        if field.endswith("_refs") and not _are_references(value):
            raise DocumentError(f"{where}: {field}: expected a list of references, each with `to`, a list of texts")
    return _dashes(obj["type"]), tuple(obj["fq_name"])


def _is_name(value: Any) -> bool:
    return isinstance(value, list) and bool(value) and all(is_text(part) for part in value)


def _are_references(value: Any) -> bool:
    if value is None:
        return True
    return isinstance(value, list) and all(
        isinstance(entry, dict) and (_is_name(entry.get("to")) or ("to" not in entry and "uuid" in entry))
        for entry in value
    )


def render(objects: list[dict[str, Any]]) -> str:
    """A document as YAML."""
    return yaml.safe_dump({"objects": json.loads(json.dumps(objects))}, sort_keys=False, allow_unicode=True)


async def dump(writer: Writer) -> list[dict[str, Any]]:
    """Every object of a store, parents and what is referred to before those that need them."""
    objects = []
    for type_name in sorted(writer.schema.types):
        for _, uuid in await writer.objects(type_name):
            try:
                read = await writer.read(type_name, uuid)
            except WriterError:
                continue  # a name without a row
            obj: dict[str, Any] = {"type": type_name, "fq_name": read["fq_name"]}
            for field, value in read.items():
                if field not in NOT_DUMPED and field != "fq_name" and not _is_back(writer, type_name, field):
                    obj[field] = _references(value) if field.endswith("_refs") else value
            objects.append(obj)
    return _ordered(objects)


async def load(writer: Writer, objects: list[dict[str, Any]], pause: Pause = no_pause) -> tuple[int, int]:
    """Make what is missing and change what differs; gives (made, changed). Raises DocumentError at the first refusal.

    References to objects that come later (two that refer to each other) are made at the end. Others, such as a schema
    transformer, may make and delete objects meanwhile: what is refused is tried again after a `pause`, a few
    times. A uuid that another object has by now is not insisted on.
    """
    loading = _Loading(writer, objects, pause)
    for obj in _ordered(objects):
        await loading.take(obj)
    for obj, fields in loading.later:
        await loading.refer(obj, fields)
    return loading.made, loading.changed


class _Loading:
    """One document on its way into a store."""

    def __init__(self, writer: Writer, objects: list[dict[str, Any]], pause: Pause) -> None:
        self.made = self.changed = 0
        self.later: list[tuple[dict[str, Any], frozenset[str]]] = []
        self._writer = writer
        self._pause = pause
        self._by_key = {_key(obj): obj for obj in objects}
        self._used_uuids = {entry["uuid"] for obj in objects for entry in _entries(obj) if "to" not in entry}

    async def take(self, obj: dict[str, Any]) -> None:
        """Make or change one object, but for references to what is not there yet."""
        writer = self._writer

        async def work(uuid: str | None) -> None:
            missing = frozenset([name for name, value in obj.items() if await _points_ahead(writer, name, value)])
            now = {name: value for name, value in _fields(obj).items() if name not in missing}
            if uuid is None:
                await writer.create(obj["type"], await self._with_free_uuid(now))
                self.made += 1
            else:
                self.changed += await writer.update(obj["type"], uuid, _changes(now))
            if missing:
                self.later.append((obj, missing))

        await self._persist(obj, work)

    async def refer(self, obj: dict[str, Any], fields: frozenset[str]) -> None:
        """Make the references that had to wait. A target that somebody has deleted since is made again."""

        async def work(uuid: str | None) -> None:
            if uuid is None:
                return
            for target in _targets(obj, fields):
                if target in self._by_key and await self._writer.find(target[0], list(target[1])) is None:
                    await self.take(self._by_key[target])
            await self._writer.update(obj["type"], uuid, {name: obj[name] for name in fields})

        await self._persist(obj, work)

    async def _persist(self, obj: dict[str, Any], work: Callable[[str | None], Awaitable[None]]) -> None:
        """`work` with the object's uuid, anew when it is refused: others may have made or deleted what it needs."""
        try:
            for left in reversed(range(TRIES)):
                try:
                    return await work(await self._writer.find(obj["type"], obj["fq_name"]))
                except (BadRequest, Conflict, NotFound):
                    if not left:
                        raise
                    await self._pause()
        except WriterError as error:
            what = f"{obj['type']} {':'.join(obj['fq_name'])}: "
            raise DocumentError(what + str(error).removeprefix(what)) from error

    async def _with_free_uuid(self, fields: dict[str, Any]) -> dict[str, Any]:
        """Without the uuid when another object has it: one that was renamed, in the file or in the store."""
        uuid = fields.get("uuid")
        if not isinstance(uuid, str) or uuid in self._used_uuids or await self._writer.name_of(uuid) is None:
            return fields
        return {name: value for name, value in fields.items() if name != "uuid"}


async def diff(writer: Writer, objects: list[dict[str, Any]]) -> list[Difference]:
    """What the document says otherwise than the store; objects that only the store has are not looked at."""
    found: list[Difference] = []
    for obj in objects:
        name = ":".join(obj["fq_name"])
        uuid = await writer.find(obj["type"], obj["fq_name"])
        if uuid is None:
            found.append(Difference(obj["type"], name, "", "an object", None))
            continue
        stored = await writer.read(obj["type"], uuid)
        for field, wanted in obj.items():
            if field in ("type", "uuid") or field in GIVEN_BY_SYSTEM:
                continue
            have = stored.get(field)
            meant = await _meant(writer, obj["type"], uuid, field, wanted)
            if field.endswith("_refs"):
                wanted, have = _sorted(_references(wanted or [])), _sorted(_references(have or []))
                meant = _sorted(_references(meant or []))
            if meant != have:
                found.append(Difference(obj["type"], name, field, wanted, have))
    return found


async def _meant(writer: Writer, type_name: str, uuid: str, field: str, value: Any) -> Any:
    """What `load` would store of a field: left out members of a subnet filled in, numbers given as text as numbers."""
    try:
        meant = await writer.completed(type_name, uuid, {field: value})
    except WriterError:
        return value  # what cannot be loaded differs
    return meant.get(field, value)


def _is_back(writer: Writer, type_name: str, field: str) -> bool:
    """A back reference or a list of children: somebody else's business."""
    if field.endswith("_back_refs"):
        return True
    children = writer.schema.types[type_name].children
    return any(field == f"{child.replace('-', '_')}s" for child in children)


def _references(entries: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [
        {"to": entry["to"]} | ({"attr": entry["attr"]} if entry.get("attr") is not None else {})
        for entry in entries
        if isinstance(entry, dict) and "to" in entry
    ]


def _sorted(entries: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return sorted(entries, key=lambda entry: json.dumps(entry, sort_keys=True))


def _key(obj: Mapping[str, Any]) -> Key:
    return _dashes(obj["type"]), tuple(obj["fq_name"])


def _fields(obj: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in obj.items() if name != "type" and name not in GIVEN_BY_SYSTEM}


def _entries(obj: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    """The references of an object."""
    for field, value in obj.items():
        if field.endswith("_refs") and isinstance(value, list):
            yield from (entry for entry in value if isinstance(entry, dict))


def _targets(obj: Mapping[str, Any], fields: Iterable[str]) -> Iterator[Key]:
    """What the references of these fields name."""
    for field in fields:
        for entry in obj[field]:
            if isinstance(entry.get("to"), list):
                yield _dashes(field.removesuffix("_refs")), tuple(entry["to"])


def _changes(fields: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in fields.items() if name not in ("fq_name", "parent_type", "uuid")}


async def _points_ahead(writer: Writer, field: str, value: Any) -> bool:
    if not field.endswith("_refs") or not isinstance(value, list):
        return False
    target = field.removesuffix("_refs")
    for entry in value:
        to = entry.get("to") if isinstance(entry, dict) else None
        if isinstance(to, list) and writer.schema.find(target) and await writer.find(target, to) is None:
            return True
    return False


def _ordered(objects: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Parents and targets before those that name them, otherwise as given; a cycle is cut at its first object."""
    by_key = {_key(obj): obj for obj in objects}
    result: list[dict[str, Any]] = []
    state: dict[Key, bool] = {}  # False while its needs are being placed, True when it is placed
    for start in by_key:
        stack: list[tuple[Key, bool]] = [(start, False)]
        while stack:
            key, needs_placed = stack.pop()
            if needs_placed:
                if not state[key]:
                    state[key] = True
                    result.append(by_key[key])
            elif key not in state:
                state[key] = False
                stack.append((key, True))
                stack.extend((need, False) for need in reversed(_needs(key, by_key)) if need not in state)
    return result


def _needs(key: Key, by_key: Mapping[Key, dict[str, Any]]) -> list[Key]:
    obj = by_key[key]
    needs: list[Key] = []
    parent = obj.get("parent_type")
    parents = [_dashes(parent)] if isinstance(parent, str) else {type_name for type_name, _ in by_key}
    needs.extend((name, key[1][:-1]) for name in parents if (name, key[1][:-1]) in by_key)
    for field, value in obj.items():
        if field.endswith("_refs") and isinstance(value, list):
            for entry in value:
                to = entry.get("to") if isinstance(entry, dict) else None
                target = (_dashes(field.removesuffix("_refs")), tuple(to)) if isinstance(to, list) else None
                if target is not None and target in by_key and target[0] != key[0]:
                    needs.append(target)
    return list(dict.fromkeys(needs))


def _dashes(name: str) -> str:
    return name.replace("_", "-")

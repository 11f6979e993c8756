"""Objects <-> rows of `obj_uuid_table` and its name index (reference/config.md 1.3, 1.4)."""

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from .schema import ObjectType, Property, Schema, SchemaError, check_property, check_reference, is_text
from .store import Delete, Mutation, Put, Row

UUID_TABLE = "obj_uuid_table"
NAME_TABLE = "obj_fq_name_table"
READER_START = "d"
"""Readers that only consume start here: META, backref and children columns sort before it."""

META = "META:latest_col_ts"


@dataclass(frozen=True, slots=True)
class Fault:
    """Something wrong in a row: the column or field, and what was expected."""

    field: str
    expected: str


@dataclass(slots=True)
class Link:
    """The other end of a reference, parent or child link: its type (dashes), uuid and a reference's attribute."""

    type: str
    uuid: str
    attribute: Any = None


@dataclass(slots=True)
class StoredObject:
    """What a row says. `children` come in order of creation; `relaxed` are holders that do not block deletion."""

    uuid: str
    type: ObjectType
    fq_name: list[str]
    parent_type: str = ""
    parent: Link | None = None
    properties: dict[str, Any] = field(default_factory=dict)
    references: list[Link] = field(default_factory=list)
    back_references: list[Link] = field(default_factory=list)
    children: list[Link] = field(default_factory=list)
    relaxed: set[str] = field(default_factory=set)
    faults: list[Fault] = field(default_factory=list)

    @property
    def name(self) -> str:
        """The fq-name joined by colons."""
        return ":".join(self.fq_name)


class RowError(ValueError):
    """A row that cannot be an object at all: `field` and what was `expected` of it."""

    def __init__(self, field: str, expected: str) -> None:
        self.field, self.expected = field, expected
        super().__init__(f"{field}: expected {expected}")


def _json(column: str, text: str) -> Any:
    try:
        return json.loads(text)
    except (ValueError, RecursionError) as error:
        raise RowError(column, "JSON") from error


def read_type(row: Row) -> str:
    """The `type` column; RowError when it is absent or not a text."""
    if "type" not in row:
        raise RowError("type", "a column")
    value = _json("type", row["type"].value)
    if not isinstance(value, str) or not value:
        raise RowError("type", "the name of a type")
    return value


def read_fq_name(row: Row) -> list[str]:
    """The `fq_name` column; RowError when it is absent or not a list of texts."""
    if "fq_name" not in row:
        raise RowError("fq_name", "a column")
    value = _json("fq_name", row["fq_name"].value)
    if not isinstance(value, list) or not value or not all(is_text(part) for part in value):
        raise RowError("fq_name", "a list of texts")
    return value


def decode(schema: Schema, uuid: str, row: Row) -> StoredObject:
    """The object in a row. RowError when type or name are unusable; lesser wrongs are left out and in `faults`."""
    fq_name = read_fq_name(row)
    type_name = read_type(row)
    found = schema.find(type_name)
    if found is None:
        raise RowError("type", f"a type of the schema, not {type_name}")
    stored = StoredObject(uuid, found, fq_name)
    elements: dict[str, list[tuple[str, str]]] = {}
    children: list[tuple[int, Link]] = []
    for column, cell in row.items():
        kind, _, rest = column.partition(":")
        try:
            if kind == "prop":
                _decode_property(schema, stored, rest, column, cell.value)
            elif kind in ("propl", "propm"):
                elements.setdefault(rest.partition(":")[0], []).append((column, cell.value))
            elif kind == "ref":
                stored.references.append(_decode_reference(schema, stored, rest, column, cell.value))
            elif kind == "backref":
                stored.back_references.append(_decode_end(schema, column, rest))
            elif kind == "children":
                children.append((cell.time, _decode_end(schema, column, rest)))
            elif kind == "parent":
                stored.parent = _decode_end(schema, column, rest)
            elif kind == "relaxbackref":
                stored.relaxed.add(rest)
            elif column == "parent_type":
                value = _json(column, cell.value)
                stored.parent_type = value if isinstance(value, str) else ""
        except RowError as error:
            stored.faults.append(Fault(error.field, error.expected))
        except SchemaError as error:
            stored.faults.append(Fault(error.field, error.expected))
    for name, cells in elements.items():
        _decode_elements(schema, stored, name, cells)
    children.sort(key=lambda entry: (entry[0], entry[1].uuid))
    stored.children = [link for _, link in children]
    return stored


def _decode_property(schema: Schema, stored: StoredObject, name: str, column: str, text: str) -> None:
    value = check_property(schema, stored.name, stored.type.name, name, _json(column, text), strict=False)
    if value is not None:
        stored.properties[name] = value


def _decode_elements(schema: Schema, stored: StoredObject, name: str, cells: list[tuple[str, str]]) -> None:
    found = stored.type.properties.get(name)
    if found is None or not found.wrapper:
        stored.faults.append(Fault(name, f"a list or map property of {stored.type.name}"))
        return
    items: list[Any] = []
    for column, text in sorted(cells):  # positions sort as text: "10" before "2"
        try:
            wrapped = {found.wrapper: [_json(column, text)]}
            checked = check_property(schema, stored.name, stored.type.name, name, wrapped, strict=False)
        except RowError as error:
            stored.faults.append(Fault(error.field, error.expected))
        except SchemaError as error:
            stored.faults.append(Fault(column, error.expected))
        else:
            items.extend(item for item in checked[found.wrapper] if item is not None)
    if items:
        stored.properties[name] = {found.wrapper: items}


def _decode_end(schema: Schema, column: str, rest: str) -> Link:
    type_name, _, uuid = rest.partition(":")
    found = schema.find(type_name)
    if found is None or not uuid:
        raise RowError(column, "<type>:<uuid> with a type of the schema")
    return Link(found.name, uuid)


def _decode_reference(schema: Schema, stored: StoredObject, rest: str, column: str, text: str) -> Link:
    link = _decode_end(schema, column, rest)
    value = _json(column, text)
    attribute = value.get("attr") if isinstance(value, dict) and "attr" in value else value
    if isinstance(value, dict) and set(value) == {"is_weakref"}:
        attribute = None
    link.attribute = check_reference(schema, stored.name, stored.type.name, link.type, attribute, strict=False)
    return link


# -- writing


def dump(value: Any) -> str:
    """JSON as the rows hold it."""
    return json.dumps(value)


def property_columns(found: Property, value: Any) -> dict[str, str]:
    """The columns that hold one property: one, or one for each element of a list or map."""
    if not found.wrapper:
        return {f"prop:{found.name}": dump(value)}
    items = (value or {}).get(found.wrapper) or []
    if found.is_map:
        return {f"propm:{found.name}:{item.get(found.map_key)}": dump(item) for item in items}
    return {f"propl:{found.name}:{position}": dump(item) for position, item in enumerate(items)}


def columns_of(row: Row, found: Property) -> list[str]:
    """The columns of `row` that hold this property."""
    if not found.wrapper:
        return [column for column in row if column == f"prop:{found.name}"]
    starts = (f"propm:{found.name}:", f"propl:{found.name}:")
    return [column for column in row if column.startswith(starts) or column == f"prop:{found.name}"]


def name_column(fq_name: Iterable[str], uuid: str) -> str:
    """The column of the name index."""
    return f"{':'.join(fq_name)}:{uuid}"


def reference_value(attribute: Any, weak: bool = False) -> str:
    """The value of a `ref:` or `backref:` column."""
    return dump({"attr": attribute, "is_weakref": weak})


def touch(uuid: str) -> Put:
    """Say that a row changed: only the write time matters."""
    return Put(UUID_TABLE, uuid, META, "null")


def create_mutations(
    schema: Schema,
    found: ObjectType,
    uuid: str,
    fq_name: list[str],
    parent: Link | None,
    properties: Mapping[str, Any],
    references: Iterable[Link],
) -> list[Mutation]:
    """Everything that making an object writes: its row, the other rows that learn of it, and last the name index."""
    me = found.object_type
    result: list[Mutation] = [
        Put(UUID_TABLE, uuid, "fq_name", dump(fq_name)),
        Put(UUID_TABLE, uuid, "type", dump(me)),
    ]
    if parent is not None:
        parent_object = schema.types[parent.type].object_type
        result.append(Put(UUID_TABLE, uuid, "parent_type", dump(parent.type)))
        result.append(Put(UUID_TABLE, uuid, f"parent:{parent_object}:{parent.uuid}", "null"))
    for name, value in properties.items():
        for column, text in property_columns(found.properties[name], value).items():
            result.append(Put(UUID_TABLE, uuid, column, text))
    result.append(touch(uuid))
    if parent is not None:
        result.append(Put(UUID_TABLE, parent.uuid, f"children:{me}:{uuid}", "null"))
        result.append(touch(parent.uuid))
    for reference in references:
        result.extend(reference_mutations(schema, found, uuid, reference))
    result.append(Put(NAME_TABLE, me, name_column(fq_name, uuid), "null"))
    return result


def reference_mutations(
    schema: Schema, found: ObjectType, uuid: str, reference: Link, weak: bool = False
) -> list[Mutation]:
    """Both rows of a reference. Between objects of one type both say `ref:`: readers look at nothing else."""
    target = schema.types[reference.type].object_type
    value = reference_value(reference.attribute, weak)
    back = "ref" if target == found.object_type else "backref"
    return [
        Put(UUID_TABLE, uuid, f"ref:{target}:{reference.uuid}", value),
        touch(uuid),
        Put(UUID_TABLE, reference.uuid, f"{back}:{found.object_type}:{uuid}", value),
        touch(reference.uuid),
    ]


def unreference_mutations(schema: Schema, found: ObjectType, uuid: str, reference: Link) -> list[Mutation]:
    """Take both rows' columns of a reference away, and the mark that it does not block deletion."""
    target = schema.types[reference.type].object_type
    back = "ref" if target == found.object_type else "backref"
    return [
        Delete(UUID_TABLE, uuid, f"ref:{target}:{reference.uuid}"),
        touch(uuid),
        Delete(UUID_TABLE, reference.uuid, f"{back}:{found.object_type}:{uuid}"),
        Delete(UUID_TABLE, reference.uuid, f"relaxbackref:{uuid}"),
        touch(reference.uuid),
    ]


def delete_mutations(schema: Schema, stored: StoredObject) -> list[Mutation]:
    """Everything that deleting an object writes: the name index first, so that no reader finds a name without a row."""
    result: list[Mutation] = [
        Delete(NAME_TABLE, stored.type.object_type, name_column(stored.fq_name, stored.uuid)),
    ]
    for reference in stored.references:
        result.extend(
            mutation
            for mutation in unreference_mutations(schema, stored.type, stored.uuid, reference)
            if mutation.key != stored.uuid
        )
    if stored.parent is not None:
        result.append(Delete(UUID_TABLE, stored.parent.uuid, f"children:{stored.type.object_type}:{stored.uuid}"))
        result.append(touch(stored.parent.uuid))
    result.append(Delete(UUID_TABLE, stored.uuid))
    return result

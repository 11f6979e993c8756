"""Is a value what the schema says? Every error names the object, the property and what was expected."""

import re
from collections.abc import Mapping
from typing import Any

from .model import Member, ObjectType, Schema

INTEGERS = frozenset({"integer", "unsignedLong"})
MOST_DIGITS = 20
"""Of a number given as text: unsigned 64 bits, or signed."""

_SURROGATE = re.compile("[\ud800-\udfff]")


class SchemaError(ValueError):
    """Something in an object is not what the schema says. `subject` is the object, `field` the path within it."""

    def __init__(self, subject: str, field: str, expected: str, got: object = None) -> None:
        self.subject, self.field, self.expected = subject, field, expected
        found = "" if got is None else f", not {_shown(got)}"
        super().__init__(f"{subject}: {field}: expected {expected}{found}")


def _shown(value: object) -> str:
    text = repr(value)
    return text if len(text) <= 80 else text[:77] + "..."


def check_property(schema: Schema, subject: str, type_name: str, name: str, value: Any, strict: bool = True) -> Any:
    """The value with numbers given as text converted, or SchemaError. None stands for an absent property, and in a list
    for no element.

    A reader of what others wrote is not `strict`: it drops members it does not know, and takes any text or number.
    """
    found = schema.property_of(type_name, name)
    if found is None:
        raise SchemaError(subject, name, f"a property of {type_name}")
    if not strict:
        return _value(schema, subject, name, found.type, value, strict=False)
    return _value(schema, subject, name, found.type, value, found.enum, found.range)


def check_reference(
    schema: Schema, subject: str, type_name: str, target: str, attribute: Any, strict: bool = True
) -> Any:
    """The attribute of a reference from `type_name` to `target`, converted, or SchemaError."""
    owner = schema.types[type_name]
    reference = owner.references.get(target)
    field = f"{target.replace('-', '_')}_refs"
    if reference is None:
        raise SchemaError(subject, field, f"a type that {type_name} may refer to")
    if attribute is None:
        return {} if reference.attribute else None
    if not reference.attribute:
        if not strict:
            return None
        raise SchemaError(subject, field, "no attribute", attribute)
    return _value(schema, subject, f"{field}.attr", reference.attribute, attribute, strict=strict)


def check_object(schema: Schema, subject: str, found: ObjectType, properties: Mapping[str, Any]) -> dict[str, Any]:
    """All properties, converted, those that are None left out, or SchemaError for the first that is wrong."""
    return {
        name: check_property(schema, subject, found.name, name, value)
        for name, value in properties.items()
        if value is not None
    }


def _value(
    schema: Schema,
    subject: str,
    field: str,
    type_name: str,
    value: Any,
    enum: tuple[Any, ...] = (),
    limits: tuple[int, ...] = (),
    strict: bool = True,
) -> Any:
    if value is None:
        return None
    members = schema.classes.get(type_name)
    if members is None:
        return _simple(subject, field, type_name, value, enum, limits)
    if not isinstance(value, dict):
        raise SchemaError(subject, field, f"an object ({type_name})", value)
    known = {member.name: member for member in members}
    result = {}
    for name, inner in value.items():
        member = known.get(name)
        if member is not None:
            result[name] = _member_value(schema, subject, f"{field}.{name}", member, inner, strict)
        elif strict:
            raise SchemaError(subject, f"{field}.{name}", f"a member of {type_name} ({', '.join(known)})")
    return result


def _member_value(schema: Schema, subject: str, field: str, member: Member, value: Any, strict: bool) -> Any:
    enum, limits = (member.enum, member.range) if strict else ((), ())
    if not member.array or value is None:
        return _value(schema, subject, field, member.type, value, enum, limits, strict)
    if not isinstance(value, list):
        raise SchemaError(subject, field, f"a list of {member.type}", value)
    return [
        _value(schema, subject, f"{field}[{index}]", member.type, item, enum, limits, strict)
        for index, item in enumerate(value)
        if item is not None
    ]


def _simple(
    subject: str, field: str, type_name: str, value: Any, enum: tuple[Any, ...], limits: tuple[int, ...]
) -> Any:
    if type_name == "boolean":
        if isinstance(value, bool):
            return value
        if value in ("true", "false"):
            return value == "true"
        raise SchemaError(subject, field, "true or false", value)
    if type_name in INTEGERS:
        number = _integer(subject, field, value)
        if len(limits) == 2 and not limits[0] <= number <= limits[1]:
            raise SchemaError(subject, field, f"a number from {limits[0]} to {limits[1]}", number)
        return number
    if not is_text(value):
        raise SchemaError(subject, field, "a text", value)
    if enum and value not in enum:
        raise SchemaError(subject, field, f"one of {', '.join(map(str, enum))}", value)
    return value


def is_text(value: object) -> bool:
    """A text that can be written: JSON's escapes can make lone surrogates, which nothing can encode."""
    return isinstance(value, str) and (value.isascii() or not _SURROGATE.search(value))


def _integer(subject: str, field: str, value: Any) -> int:
    if isinstance(value, int) and not isinstance(value, bool):
        return value
    if isinstance(value, str):
        text = value.strip()
        if len(text) <= MOST_DIGITS and text.removeprefix("-").isdecimal() and text.isascii():
            return int(text)
    raise SchemaError(subject, field, "a whole number", value)

"""A property's JSON value <-> the elements of the configuration message (reference/xmpp.md 3.2).

An element is named by the property, with dashes; a complex type nests its members in XSD order; a member that is a list
repeats its element; scalars are text. What is absent or null has no element. Reading restores numbers, booleans and
lists from the schema.
"""

from typing import Any

from lxml import etree

from .model import Member, Schema, load
from .validate import SchemaError, check_property


def to_xml(type_name: str, name: str, value: Any, schema: Schema | None = None) -> list[bytes]:
    """The elements of one property; none for a value of None. `value` of a link's type is the link's attribute.

    Raises SchemaError when the schema has no such property or the value is not of its type. Which texts and numbers
    make sense is the API server's business: a real control node sends an agent whatever stands in the row.
    """
    schema = schema or load()
    found = schema.property_of(type_name, name)
    if found is None:
        raise SchemaError(type_name, name, f"a property of {type_name}")
    checked = check_property(schema, type_name, type_name, name, value, strict=False)
    return [etree.tostring(element) for element in _elements(schema, found.xml_name, found.type, False, checked)]


def from_xml(type_name: str, element: etree._Element, schema: Schema | None = None) -> tuple[str, Any]:
    """The property's JSON name and value. Raises SchemaError for an unknown property or a value not of its type."""
    schema = schema or load()
    tag = etree.QName(element).localname
    found = schema.property_of(type_name, tag.replace("-", "_"))
    if found is None:
        raise SchemaError(type_name, tag, f"a property of {type_name}")
    value = _read(schema, found.name, found.type, element)
    return found.name, check_property(schema, type_name, type_name, found.name, value, strict=False)


def _elements(schema: Schema, tag: str, type_name: str, array: bool, value: Any) -> list[etree._Element]:
    if value is None:
        return []
    if array:
        return [element for item in value for element in _elements(schema, tag, type_name, False, item)]
    element = etree.Element(tag)
    members = schema.classes.get(type_name)
    if members is None:
        element.text = _text(tag, value)
        return [element]
    for member in members:
        element.extend(_elements(schema, member.xml_name, member.type, member.array, value.get(member.name)))
    return [element]


def _text(tag: str, value: Any) -> str:
    text = str(value).lower() if isinstance(value, bool) else str(value)
    if not all(char in "\t\n\r" or " " <= char <= "\ud7ff" or "\ue000" <= char <= "\ufffd" or char >= "\U00010000"
               for char in text):  # fmt: skip
        raise SchemaError("message", tag, "characters that XML can carry", text)
    return text


def _read(schema: Schema, field: str, type_name: str, element: etree._Element) -> Any:
    members = schema.classes.get(type_name)
    if members is None:
        text = element.text or ""
        if type_name in ("string", "dateTime", "time"):
            return text
        return text.strip() or None
    by_tag: dict[str, Member] = {member.xml_name: member for member in members}
    value: dict[str, Any] = {}
    for child in element:
        if not isinstance(child.tag, str):
            continue
        member = by_tag.get(etree.QName(child).localname)
        if member is None:
            continue  # a newer sender's member: known ones still count
        item = _read(schema, f"{field}.{member.name}", member.type, child)
        if member.array:
            value.setdefault(member.name, []).append(item)
        else:
            value[member.name] = item
    return value

"""Names, parents and the properties every object has (reference/config.md 1.3, 3.2)."""

import uuid
from datetime import UTC, datetime
from typing import Any

from contrail_emulator.config.schema import ObjectType, is_text

from .errors import BadRequest

OWNER = "cloud-admin"
GROUP = "cloud-admin-group"
ROOT = "config-root"
RWX = 7


def timestamp(now: float) -> str:
    """ISO text in UTC with microseconds and no zone."""
    return datetime.fromtimestamp(now, UTC).replace(tzinfo=None).isoformat(timespec="microseconds")


def uuid_halves(text: str) -> dict[str, int]:
    """The two halves of a uuid as id-perms has them, unsigned."""
    value = uuid.UUID(text).int
    return {"uuid_mslong": value >> 64, "uuid_lslong": value & 0xFFFF_FFFF_FFFF_FFFF}


def uuid_in(id_perms: Any) -> str | None:
    """The uuid whose halves are in an id-perms, or None when there is none that makes sense."""
    halves = id_perms.get("uuid") if isinstance(id_perms, dict) else None
    if not isinstance(halves, dict):
        return None
    high, low = halves.get("uuid_mslong"), halves.get("uuid_lslong")
    if not isinstance(high, int) or not isinstance(low, int):
        return None
    mask = 0xFFFF_FFFF_FFFF_FFFF  # the real API server writes either sign
    return str(uuid.UUID(int=(high & mask) << 64 | low & mask))


def id_perms(text: str, now: float, given: dict[str, Any] | None) -> dict[str, Any]:
    """The id_perms of a new object; of what the caller gave only four members count."""
    given = given or {}
    written = timestamp(now)
    return {
        "permissions": {
            "owner": OWNER,
            "owner_access": RWX,
            "group": GROUP,
            "group_access": RWX,
            "other_access": RWX,
        },
        "uuid": uuid_halves(text),
        "enable": True if given.get("enable") is None else given["enable"],
        "created": written,
        "last_modified": written,
        "description": given.get("description"),
        "user_visible": True if given.get("user_visible") is None else given["user_visible"],
        "creator": given.get("creator"),
    }


def perms2(owner: str, given: dict[str, Any] | None) -> dict[str, Any]:
    """The perms2 of a new object."""
    given = given or {}
    return {
        "owner": given.get("owner") or owner,
        "owner_access": RWX if given.get("owner_access") is None else given["owner_access"],
        "global_access": given.get("global_access") or 0,
        "share": given.get("share") or [],
    }


def check_name(found: ObjectType, fq_name: Any) -> list[str]:
    """The fq-name of a new object, or BadRequest."""
    if not isinstance(fq_name, list) or not fq_name or not all(isinstance(part, str) and part for part in fq_name):
        raise BadRequest(f"{found.name}: fq_name: expected a list of texts that are not empty")
    last = fq_name[-1]
    if ":" in last and found.name != "route-target":
        raise BadRequest(f"{found.name} {last}: name: expected no colon")
    if any((ord(char) < 0x20 and char not in "\t\n\r") or not is_text(char) for part in fq_name for char in part):
        raise BadRequest(f"{found.name}: name: expected characters that XML can carry")
    return list(fq_name)


def check_uuid(text: Any) -> str:
    """A uuid in its canonical spelling, or BadRequest."""
    try:
        canonical = str(uuid.UUID(text))
    except (ValueError, TypeError, AttributeError) as error:
        raise BadRequest(f"Invalid UUID format {text!r}") from error
    if canonical != text:
        raise BadRequest(f"Invalid UUID format {text!r}: expected {canonical}")
    return canonical


def parent_of(found: ObjectType, fq_name: list[str], given: str | None) -> str:
    """The parent's type (dashes), or empty for an object under the root; BadRequest when it cannot be told."""
    name = ":".join(fq_name)
    if given and given.replace("_", "-") != ROOT:
        wanted = next((parent for parent in found.parents if parent.replace("_", "-") == given.replace("_", "-")), None)
        if wanted is None:
            expected = ", ".join(found.parents)
            raise BadRequest(f"{found.name} {name}: parent_type: expected one of {expected}, not {given}")
        parent = wanted
    elif given or not found.parents or (ROOT in found.parents and (len(found.parents) == 1 or len(fq_name) == 1)):
        parent = ""
    else:
        possible = [parent for parent in found.parents if parent != ROOT]
        if len(possible) != 1:
            raise BadRequest(f"{found.name} {name}: parent_type: expected one of {', '.join(possible)}")
        parent = possible[0]
    if parent and len(fq_name) < 2:
        raise BadRequest(f"{found.name} {name}: fq_name: expected at least two parts under a {parent}")
    if not parent and len(fq_name) != 1:
        raise BadRequest(f"{found.name} {name}: fq_name: expected one part, as it has no parent")
    return parent

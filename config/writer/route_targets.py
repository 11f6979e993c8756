"""Route targets that a user may write: none from the automatic range of the own AS (reference/config.md 3.8)."""

from __future__ import annotations

from ipaddress import IPv4Address
from typing import TYPE_CHECKING, Any

from .errors import BadRequest
from .routers import GLOBAL_CONFIG

if TYPE_CHECKING:
    from .writer import Writer

LISTS = (
    "route_target_list", "import_route_target_list", "export_route_target_list", "configured_route_target_list"
)  # fmt: skip
TARGET = "target:<AS or IPv4 address>:<number>"
TWO_BYTES = 0xFFFF
AUTOMATIC_2_BYTE = range(8_000_000, (1 << 24) + 1)
AUTOMATIC_4_BYTE = range(8_000, (1 << 15) + 1)


async def check_targets(writer: Writer, subject: str, properties: dict[str, Any]) -> None:
    """Check every target in the lists of a network or logical router; see `check_target`."""
    targets = [target for name in LISTS for target in (properties.get(name) or {}).get("route_target") or []]
    if not targets:
        return
    uuid = await writer.find("global-system-config", GLOBAL_CONFIG)
    stored = await writer.load(uuid) if uuid is not None else None
    own = stored.properties.get("autonomous_system") if stored is not None else None
    for target in targets:
        check_target(subject, target, own)


def is_target(text: str) -> bool:
    """Is this text a route target, `target:<AS or IPv4 address>:<number>`?"""
    kind, _, rest = text.partition(":")
    left, _, right = rest.rpartition(":")
    return kind == "target" and _is_number(right) and (_is_number(left) or _is_address(left))


def check_target(subject: str, target: str, autonomous_system: int | None) -> None:
    """BadRequest for what is no target, or is in the automatic range of the own AS."""
    if not is_target(target):
        raise BadRequest(f"{subject}: expected {TARGET}, not {target}")
    left, right = target.split(":")[1:]
    if not _is_number(left) or int(left) != autonomous_system:
        return
    reserved = AUTOMATIC_4_BYTE if int(left) > TWO_BYTES else AUTOMATIC_2_BYTE
    if int(right) in reserved:
        raise BadRequest(f"{subject}: {target} is in the range {reserved[0]}..{reserved[-1]} that the system gives out")


def _is_number(text: str) -> bool:
    return text.isascii() and text.isdecimal() and len(text) <= 10


def _is_address(text: str) -> bool:
    try:
        IPv4Address(text)
    except ValueError:
        return False
    return True

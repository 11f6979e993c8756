"""Route targets, and the two that every instance imports (reference/bgp.md 4.1)."""

from __future__ import annotations

from collections.abc import Iterable

from contrail_emulator.control.bgp import ext_community

ROUTER_ID_BYTES = 4


def read_targets(ext_communities: Iterable[bytes]) -> tuple[bytes, ...]:
    """The route targets among extended communities, in their order; one that a peer wrote twice is one."""
    return tuple(dict.fromkeys(value for value in ext_communities if is_target(value)))


def is_target(value: bytes) -> bool:
    """Whether an extended community is a route target of any of the three forms."""
    return value[1] == 2 and value[0] < 3


def import_target(router_id: int, index: int) -> bytes:
    """`target:<router-id>:<index>`: the VRF route import of MVPN as a route target."""
    return b"\x01\x02" + router_id.to_bytes(ROUTER_ID_BYTES, "big") + (index & 0xFFFF).to_bytes(2, "big")


def es_import_target(autonomous_system: int) -> bytes:
    """`target:<AS>:7999999`, for a 4-byte AS `target:<AS>:7999`: EVPN's import of Ethernet segments."""
    if autonomous_system > 0xFFFF:
        return ext_community.as_specific(2, 2, autonomous_system, 7999)
    return ext_community.as_specific(0, 2, autonomous_system, 7999999)

"""Which virtual network a route comes from: reading, adding and deriving origin-vn (reference/bgp.md 4.2, 3.3)."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from contrail_emulator.control.bgp import ext_community

FIRST_GLOBAL_INDEX = 8000000
"""Network indexes from here on are the same in every cluster (reference/bgp.md 3.3)."""

_HEADS = (b"\x80\x71", b"\x82\x71")


def is_origin_vn(value: bytes) -> bool:
    return value[:2] in _HEADS


def read(ext_communities: Iterable[bytes], asn: int) -> tuple[int, int] | None:
    """(AS, network index) of a route, our own AS preferred; of a value in two parts, the AS of the one and the index
    of the other. None without origin-vn."""
    found = [pair for value in ext_communities if value[1] == 0x71 and (pair := ext_community.read_origin_vn(value))]
    if not found:
        return None
    if len(found) > 1:
        wide = next((pair for pair in found if pair[1] == ext_community.AS_TRANS and pair[0] > 0xFFFF), None)
        index = next((pair for pair in found if pair[0] == ext_community.AS_TRANS), None)
        if wide is not None and index is not None:
            return wide[0], index[1]
    return next((pair for pair in found if pair[0] == asn), found[0])


def is_ours(origin: tuple[int, int] | None, asn: int) -> bool:
    """Whether an origin-vn means something here: our AS, or a global index."""
    return origin is not None and (origin[0] == asn or origin[1] >= FIRST_GLOBAL_INDEX)


def add(ext_communities: tuple[bytes, ...], asn: int, index: int) -> tuple[bytes, ...]:
    """With this origin-vn instead of any other."""
    return remove(ext_communities) + ext_community.origin_vn_values(asn, index)


def remove(ext_communities: tuple[bytes, ...]) -> tuple[bytes, ...]:
    return tuple(value for value in ext_communities if not is_origin_vn(value))


def derive(targets: Iterable[bytes], networks_of: Callable[[bytes], set[int]]) -> int:
    """The one network whose instances import and export one of these targets; 0 when none or several do."""
    networks: set[int] = set()
    for target in targets:
        networks |= networks_of(target)
    return networks.pop() if len(networks) == 1 else 0

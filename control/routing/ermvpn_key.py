"""Keys of the erm-vpn family, reference/bgp.md 2.3: type, length 22, RD, router id, source and group with lengths."""

from __future__ import annotations

from typing import NamedTuple

from contrail_emulator.control.bgp import rd as route_distinguisher

NATIVE, LOCAL_TREE, GLOBAL_TREE = 0, 1, 2
_BODY_LENGTH = 22


class ErmVpnKey(NamedTuple):
    """The fields of a key; addresses are 4 bytes each."""

    type: int
    rd: bytes
    router_id: bytes
    source: bytes
    group: bytes

    @classmethod
    def read(cls, key: bytes) -> ErmVpnKey:
        return cls(key[0], key[2:10], key[10:14], key[15:19], key[20:24])

    def write(self) -> bytes:
        head = bytes((self.type, _BODY_LENGTH)) + self.rd + self.router_id
        return head + b"\x20" + self.source + b"\x20" + self.group


def tree_key(type: int, router_id: bytes, source: bytes, group: bytes) -> bytes:
    """The key of a tree route in a VRF table, where its RD is zero."""
    return ErmVpnKey(type, route_distinguisher.ZERO, router_id, source, group).write()

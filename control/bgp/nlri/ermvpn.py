"""erm-vpn, Contrail's edge-replicated multicast: reference/bgp.md 2.3. Keys are the NLRI itself."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

from .. import rd
from ..label import WITHDRAWN
from .base import Route, overrun
from .prefix import address_text

NATIVE, LOCAL_TREE, GLOBAL_TREE = 0, 1, 2
"""Route types. Native routes never leave a control node."""

_BODY = 22


class ErmVpnRoute(NamedTuple):
    """The parts of a key; addresses are 4 bytes each."""

    type: int
    rd: bytes
    router_id: bytes
    source: bytes
    group: bytes

    def key(self) -> bytes:
        return bytes((self.type, _BODY)) + self.rd + self.router_id + b"\x20" + self.source + b"\x20" + self.group

    @classmethod
    def of(cls, key: bytes) -> ErmVpnRoute:
        return cls(key[0], key[2:10], key[10:14], key[15:19], key[20:24])


class ErmVpnCodec:
    """Types 1 (local tree) and 2 (global tree); anything else is named in `faults` and left out."""

    __slots__ = ()

    def read(self, data: bytes, withdrawn: bool = False, faults: list[str] | None = None) -> list[Route]:
        routes: list[Route] = []
        offset, end = 0, len(data)
        while offset < end:
            after = offset + 2 + data[offset + 1] if offset + 1 < end else end + 1
            if after > end:
                raise overrun("erm-vpn", offset, data)
            key = data[offset:after]
            if len(key) == _BODY + 2 and key[0] in (LOCAL_TREE, GLOBAL_TREE) and key[14] == key[19] == 32:
                routes.append((key, b""))
            elif faults is not None:
                faults.append(f"erm-vpn: route {key.hex()} ignored")
            offset = after
        return routes

    def write(self, key: bytes, payload: bytes) -> bytes:
        return key

    def write_all(self, routes: Iterable[Route]) -> list[bytes]:
        return [key for key, _ in routes]

    def write_withdrawn(self, key: bytes, label: bytes = WITHDRAWN) -> bytes:
        return key

    def text(self, key: bytes) -> str:
        """`type-RD-router id,group,source`."""
        route = ErmVpnRoute.of(key)
        addresses = ",".join(address_text(raw) for raw in (route.router_id, route.group, route.source))
        return f"{route.type}-{rd.text(route.rd)}-{addresses}"

    def key(self, text: str) -> bytes:
        kind, _, rest = text.partition("-")
        distinguisher, _, addresses = rest.partition("-")
        parts = addresses.split(",")
        if kind not in ("0", "1", "2") or len(parts) != 3:
            raise ValueError(f"not an erm-vpn route: {text!r}")
        router_id, group, source = (rd.ipv4_bytes(part) for part in parts)
        return ErmVpnRoute(int(kind), rd.parse(distinguisher), router_id, source, group).key()

"""What each kind of router cannot do in a lab: said of the lab file's line, before anything is started."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from types import MappingProxyType
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from .model import BgpPeer
    from .yaml_lines import Location

TITLES: Mapping[str, str] = MappingProxyType(
    {"exabgp": "ExaBGP", "bird": "BIRD 2", "frr": "FRR", "gobgp": "GoBGP", "openbgpd": "OpenBGPD"}
)
_EVERYBODY = frozenset({"inet", "inet6", "inet-vpn", "inet6-vpn"})
SPOKEN: Mapping[str, frozenset[str]] = MappingProxyType(
    {
        "exabgp": _EVERYBODY | {"inet-labeled", "e-vpn"},
        "bird": _EVERYBODY,
        "frr": _EVERYBODY | {"inet-labeled", "e-vpn"},
        "gobgp": _EVERYBODY | {"route-target", "e-vpn"},
        "openbgpd": _EVERYBODY,
    }
)
"""The families that a lab can configure; a test compares them with those of the routers' classes."""


def router_faults(here: Location, peer: BgpPeer, autonomous_system: int) -> Iterator[tuple[Location, str]]:
    """What the router of this peer would not do, as (where in the lab file, what was expected)."""
    if peer.kind == "external":
        return
    spoken, title = SPOKEN[peer.kind], TITLES[peer.kind]
    for number, family in enumerate(peer.families):
        if family not in spoken:
            known = ", ".join(sorted(spoken))
            yield (*here, "families", number), f"{title} does not speak {family} (it speaks {known})"
    for number, route in enumerate(peer.routes):
        if route.family != "inet-vpn":
            continue
        where = (*here, "routes", number)
        if peer.kind == "openbgpd":
            yield where, "OpenBGPD originates inet routes only; use another kind"
        if peer.kind == "bird" and peer.autonomous_system != autonomous_system:
            yield (
                (*here, "autonomous_system"),
                "over eBGP BIRD 2 sends its own VPN routes with label 3 instead of theirs: "
                f"expected {autonomous_system}, or another kind",
            )

"""What happens to a BGP peer's path attribute set on its way into a table (reference/bgp.md 1.10, 1.11, 4.3, 4.7)."""

from __future__ import annotations

from dataclasses import dataclass

from contrail_emulator.control.bgp import ext_community
from contrail_emulator.control.bgp.attributes import Attributes
from contrail_emulator.control.bgp.family import Family
from contrail_emulator.control.routing import Flag

REMEMBERED = 4096
"""Attribute sets whose verdict is kept per peer; a burst of routes shares few."""
FEDERATED = ("control-node", "external-control-node")
ORIGINS = {"IGP": 0, "EGP": 1, "INCOMPLETE": 2}


@dataclass(frozen=True, slots=True, kw_only=True)
class ImportSettings:
    """One session's side of the rules: `loop_counts` by family beside the session's `loop_count`."""

    local_as: int
    peer_as: int
    router_id: int
    cluster_id: int = 0
    loop_count: int = 0
    loop_counts: tuple[tuple[Family, int], ...] = ()
    default_tunnel_encap: tuple[tuple[Family, tuple[str, ...]], ...] = ()
    router_type: str = ""
    origin_override: str | None = None

    @property
    def ebgp(self) -> bool:
        return self.local_as != self.peer_as


class ImportPolicy:
    """Edits and flags per attribute set, computed once for each."""

    def __init__(self, settings: ImportSettings) -> None:
        self._settings = settings
        self._encapsulations = {
            family: tuple(ext_community.encapsulation(name) for name in names)
            for family, names in settings.default_tunnel_encap
        }
        self._loop_counts = dict(settings.loop_counts)
        self._known: dict[tuple[Family, Attributes], tuple[Attributes, int]] = {}

    def apply(self, family: Family, attributes: Attributes) -> tuple[Attributes, int]:
        """The set to store and the path's flags."""
        known = self._known.get((family, attributes))
        if known is None:
            if len(self._known) >= REMEMBERED:
                self._known.clear()
            known = self._known[family, attributes] = (self._edit(family, attributes), self._flags(family, attributes))
        return known

    def _edit(self, family: Family, attributes: Attributes) -> Attributes:
        settings = self._settings
        if settings.ebgp and settings.router_type in FEDERATED and attributes.med:
            attributes = attributes.replace(local_pref=local_preference_of(attributes.med))
        elif attributes.local_pref is None:
            attributes = attributes.replace(local_pref=100)
        if settings.origin_override is not None:
            attributes = attributes.replace(origin=ORIGINS[settings.origin_override.upper()])
        missing = self._encapsulations.get(family, ())
        if missing and not ext_community.encapsulations(attributes.ext_communities):
            communities = tuple(sorted({*attributes.ext_communities, *missing}))
            attributes = attributes.replace(ext_communities=communities)
        return attributes

    def _flags(self, family: Family, attributes: Attributes) -> int:
        settings = self._settings
        flags = 0
        path = attributes.as_path
        allowed = self._loop_counts.get(family, settings.loop_count)
        if path is not None and path.count(settings.local_as) > allowed:
            flags |= Flag.AS_PATH_LOOPED
        if settings.ebgp and (path is None or path.first != settings.peer_as):
            flags |= Flag.NO_NEIGHBOR_AS
        if attributes.originator_id == settings.router_id:
            flags |= Flag.ORIGINATOR_ID_LOOPED
        if settings.cluster_id and settings.cluster_id in attributes.cluster_list:
            flags |= Flag.CLUSTER_LIST_LOOPED
        return int(flags)


def local_preference_of(med: int) -> int:
    """The inverse of the MED that a control node derives from LOCAL_PREF: so it survives between federated systems."""
    match med:
        case 100:
            return 200
        case 200:
            return 100
    return 0xFFFFFFFF - med

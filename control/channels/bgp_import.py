"""What happens to a BGP peer's path attribute set on its way into a table (reference/bgp.md 1.10, 1.11, 4.3, 4.7)."""

from __future__ import annotations

from dataclasses import dataclass

from contrail_emulator.control.bgp import ext_community
from contrail_emulator.control.bgp.attributes import Attributes
from contrail_emulator.control.bgp.attributes.table import AttributeType
from contrail_emulator.control.bgp.family import Family
from contrail_emulator.control.routing import Flag

REMEMBERED = 4096
"""Attribute sets whose edited form is kept per peer; a burst of routes shares few."""
FEDERATED = ("control-node", "external-control-node")
_LOCAL_PREF = 1 << AttributeType.LOCAL_PREF
_REFLECTED = 1 << AttributeType.ORIGINATOR_ID | 1 << AttributeType.CLUSTER_LIST
_AS_PATH_LOOPED = int(Flag.AS_PATH_LOOPED)
_NO_NEIGHBOR_AS = int(Flag.NO_NEIGHBOR_AS)
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
    """Edits and flags per attribute set, kept while the next route has the same set."""

    def __init__(self, settings: ImportSettings) -> None:
        self._settings = settings
        self._encapsulations = {
            family: tuple(ext_community.encapsulation(name) for name in names)
            for family, names in settings.default_tunnel_encap
            if names
        }
        self._loop_counts = dict(settings.loop_counts)
        self._own_as = settings.local_as.to_bytes(4, "big")
        self._edited: dict[tuple[Family, Attributes], Attributes] = {}
        self._edits_all = settings.origin_override is not None or (
            settings.ebgp and settings.router_type in FEDERATED
        )
        self._last: tuple[Family, Attributes, int] | None = None
        self._last_set: Attributes | None = None

    def apply(self, family: Family, attributes: Attributes) -> tuple[Attributes, int]:
        """The set to store and the path's flags."""
        last = self._last
        if last is not None and self._last_set is attributes and last[0] is family:
            return last[1], last[2]
        edited = attributes
        if self._edits_all or not attributes.present & _LOCAL_PREF or family in self._encapsulations:
            edited = self._edited_once(family, attributes)
        flags = self._flags(family, attributes)
        self._last_set = attributes
        self._last = family, edited, flags
        return edited, flags

    def _edited_once(self, family: Family, attributes: Attributes) -> Attributes:
        edited = self._edited.get((family, attributes))
        if edited is None:
            if len(self._edited) >= REMEMBERED:
                self._edited.clear()
            edited = self._edited[family, attributes] = self._edit(family, attributes)
        return edited

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
        if self._own_as in attributes.key:  # it may be in the path
            allowed = self._loop_counts.get(family, settings.loop_count)
            if attributes.passes(settings.local_as) > allowed:
                flags |= _AS_PATH_LOOPED
        if settings.ebgp and attributes.as_path.first != settings.peer_as:
            flags |= _NO_NEIGHBOR_AS
        if not attributes.present & _REFLECTED:
            return flags
        if attributes.originator_id == settings.router_id:
            flags |= int(Flag.ORIGINATOR_ID_LOOPED)
        if settings.cluster_id and settings.cluster_id in attributes.cluster_list:
            flags |= int(Flag.CLUSTER_LIST_LOOPED)
        return flags


def local_preference_of(med: int) -> int:
    """The inverse of the MED that a control node derives from LOCAL_PREF: so it survives between federated systems."""
    match med:
        case 100:
            return 200
        case 200:
            return 100
    return 0xFFFFFFFF - med

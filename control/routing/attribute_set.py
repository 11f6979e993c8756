"""Interned path attribute sets with what routing derives from them.

Thousands of paths share one attribute set. What the decision process, replication and export need to know of a set is
read once and kept beside it; the entry goes when the last path that uses it goes.
"""

from __future__ import annotations

from collections.abc import Hashable
from typing import Any, Final

from contrail_emulator.control.bgp import community, ext_community
from contrail_emulator.control.bgp.attributes import Attributes
from contrail_emulator.control.bgp.attributes.table import AttributeType

from .targets import read_targets

_COMMUNITIES: Final = 1 << AttributeType.COMMUNITIES
MISSING: Final[Any] = object()
"""Nothing is remembered."""


class Ranking:
    """What path selection compares of a set (reference/bgp.md 4.3).

    `grade` orders by the steps that need nothing but the set (2 to 5): a smaller tuple is better.
    """

    __slots__ = ("as_length", "grade", "has_origin_vn_path", "med", "neighbor_as", "origin")

    def __init__(self, attributes: Attributes, sticky_loses: bool) -> None:
        local_pref = attributes.local_pref
        leaf = sticky = False
        sequence = 0
        for value in attributes.ext_communities:
            if value[0] == 6:
                if value[1] == 0:
                    sticky, sequence = ext_community.read_mac_mobility(value) or (False, 0)
                elif value[1] == 5:
                    leaf, _ = ext_community.read_etree(value) or (False, 0)
        self.grade = (
            -(100 if local_pref is None else local_pref),
            leaf,
            sticky if sticky_loses else not sticky,
            -sequence,
        )
        self.as_length = attributes.as_path.length
        self.neighbor_as = attributes.as_path.first
        self.has_origin_vn_path = bool(attributes.origin_vn_path)
        self.origin = attributes.origin or 0
        self.med = attributes.med or 0


class AttributeSet:
    """One distinct attribute set and how many paths use it.

    What is derived under some policy is remembered for one generation of the configuration.
    """

    __slots__ = (
        "_first",
        "_first_slot",
        "_memo",
        "_ranking",
        "_sticky_loses",
        "_targets",
        "attributes",
        "count",
        "generation",
        "llgr_stale",
    )

    def __init__(self, attributes: Attributes, sticky_loses: bool) -> None:
        self.attributes = attributes
        self.count = 0
        self.generation = 0
        self.llgr_stale = bool(attributes.present & _COMMUNITIES) and community.LLGR_STALE in attributes.communities
        self._memo: dict[Hashable, Any] | None = None
        self._first_slot: Hashable = None  # most sets are derived from once: no dictionary for that
        self._first: Any = MISSING
        self._targets: tuple[bytes, ...] | None = None
        self._ranking: Ranking | None = None
        self._sticky_loses = sticky_loses

    @property
    def ranking(self) -> Ranking:
        """What path selection compares; read when there are two paths to choose from."""
        found = self._ranking
        if found is None:
            found = self._ranking = Ranking(self.attributes, self._sticky_loses)
        return found

    def recall(self, slot: Hashable, generation: int) -> Any:
        """What `remember` kept under `slot` in this generation of the configuration, or MISSING."""
        if self.generation != generation:
            self.generation = generation
            if self._first_slot is not None:
                self.forget()
            return MISSING
        if self._first_slot == slot:
            return self._first
        return self._memo.get(slot, MISSING) if self._memo is not None else MISSING

    def remember(self, slot: Hashable, value: Any) -> None:
        """Keep something derived from the set until the configuration changes."""
        if self._first_slot is None:
            self._first_slot = slot
            self._first = value
            return
        if self._memo is None:
            self._memo = {}
        self._memo[slot] = value

    def forget(self) -> None:
        """Drop everything derived."""
        self._first_slot = self._memo = None
        self._first = MISSING

    @property
    def targets(self) -> tuple[bytes, ...]:
        """The route targets."""
        if self._targets is None:
            self._targets = read_targets(self.attributes.ext_communities)
        return self._targets


class AttributeTable:
    """The distinct attribute sets of a node. `len()` is their number; it returns to zero when all paths are gone."""

    __slots__ = ("_sets", "_sticky_loses")

    def __init__(self, sticky_loses: bool = True) -> None:
        self._sets: dict[bytes, AttributeSet] = {}
        self._sticky_loses = sticky_loses

    def acquire(self, attributes: Attributes) -> AttributeSet:
        """The entry of this set with one more reference, which `release` gives back."""
        found = self._sets.get(attributes.key)
        if found is None:
            found = self._sets[attributes.key] = AttributeSet(attributes, self._sticky_loses)
        found.count += 1
        return found

    def acquire_set(self, shared: AttributeSet) -> AttributeSet:
        """Like `acquire`, for an entry met before, which may have been given up since."""
        if not shared.count:
            return self.acquire(shared.attributes)
        shared.count += 1
        return shared

    def release(self, shared: AttributeSet) -> None:
        """Give back one reference."""
        shared.count -= 1
        if not shared.count:
            del self._sets[shared.attributes.key]
            shared.forget()  # whoever still holds the entry is not to keep tables alive

    def forget_memos(self) -> None:
        """Drop everything derived, so that nothing derived keeps a deleted table alive."""
        for shared in self._sets.values():
            shared.forget()

    def __len__(self) -> int:
        return len(self._sets)

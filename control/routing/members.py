"""Who is in an update group: each member has a bit, and sets of members are the sums of their bits."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

from .group_key import Member, Tally
from .ring import Marker, Walk
from .source import Source

if TYPE_CHECKING:
    from .groups import UpdateGroup


class Membership:
    """One member's place in a group. `joined` turns true when it has been told all that there was when it joined."""

    __slots__ = ("bit", "blocked", "group", "joined", "marker", "member", "on_joined", "paused", "source", "tally")

    def __init__(
        self,
        group: UpdateGroup,
        member: Member,
        bit: int,
        source: Source | None,
        on_joined: Callable[[Membership], None] | None,
        marker: Marker,
        tally: Tally | None = None,
    ) -> None:
        self.group: UpdateGroup | None = group
        self.member = member
        self.bit = bit
        self.source = source
        self.on_joined = on_joined
        self.tally = tally
        self.joined = False
        self.blocked = False
        self.marker = marker
        """Up to where it has read the ring."""
        self.paused: list[Walk] = []

    def unblocked(self) -> None:
        """The member can be sent to again."""
        if self.blocked and self.group is not None:
            self.group.unblock(self)

    def refresh(self) -> None:
        """Send everything again (RFC 2918)."""
        if self.group is not None:
            self.group.refresh(self)

    def has_joined(self) -> None:
        """It has been told all that there was."""
        self.joined = True
        if self.on_joined is not None:
            self.on_joined(self)


class Members:
    """The members of one group.

    `all` has the bits of everyone who is a member now, `by_source` each one's by what it is as an originator of paths,
    `filtered` those of members with a route-target filter. A bit is used again only after `release`.
    """

    __slots__ = ("_by_bit", "_departed", "_free", "_interest", "_sets", "all", "by_source", "filtered", "target_bits")

    def __init__(self, target_bits: Callable[[Members, bytes], int]) -> None:
        """`target_bits`: the members that asked for one target, or for all (an empty target)."""
        self.all = 0
        self.filtered = 0
        self.by_source: dict[Source, int] = {}
        self.target_bits = target_bits
        self._interest: dict[bytes, int] = {}
        self._free: list[int] = []
        self._departed = 0
        self._by_bit: dict[int, Membership] = {}
        self._sets: dict[int, tuple[Membership, ...]] = {}

    def new_bit(self) -> int:
        """A bit that nobody has, nor is remembered by."""
        return self._free.pop() if self._free else 1 << (self.all | self._departed).bit_length()

    def add(self, membership: Membership, filtered: bool) -> None:
        bit = membership.bit
        self.all |= bit
        if filtered:
            self.filtered |= bit
        self._by_bit[bit] = membership
        if membership.source is not None:
            self.by_source[membership.source] = bit
        self._forget_sets()

    def remove(self, membership: Membership) -> None:
        bit = membership.bit
        self.all &= ~bit
        self._departed |= bit
        self.filtered &= ~bit
        del self._by_bit[bit]
        if membership.source is not None and self.by_source.get(membership.source) == bit:
            del self.by_source[membership.source]
        self._forget_sets()

    def release(self, bits: int) -> None:
        """Departed members' bits are clear everywhere and may be used again."""
        self._departed &= ~bits
        while bits:
            bit = bits & -bits
            self._free.append(bit)
            bits ^= bit

    def of(self, bits: int) -> tuple[Membership, ...]:
        """Those with one of these bits."""
        found = self._sets.get(bits)
        if found is None:
            found = tuple(membership for bit, membership in self._by_bit.items() if bit & bits)
            self._sets[bits] = found
        return found

    def interested(self, targets: tuple[bytes, ...]) -> int:
        """The filtered members that asked for one of these targets."""
        interest = self._interest
        bits = 0
        for target in (b"", *targets):
            found = interest.get(target)
            if found is None:
                found = interest[target] = self.target_bits(self, target)
            bits |= found
        return bits

    def forget_interest(self, target: bytes) -> None:
        """Who asked for a target (or for all: empty) changed."""
        self._interest.pop(target, None)

    def _forget_sets(self) -> None:
        self._interest.clear()
        self._sets.clear()

    def __iter__(self) -> Iterator[Membership]:
        return iter(list(self._by_bit.values()))

    def __len__(self) -> int:
        return len(self._by_bit)

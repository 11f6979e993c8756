"""How many routes a member of an update group has been told and not had withdrawn."""

from __future__ import annotations

from contrail_emulator.control.routing import Membership


def told(membership: Membership) -> int:
    """Counts the table through: for introspect, not for anything done often."""
    group = membership.group
    if group is None:
        return 0
    adverts = (group.find(route) for route in group.table.routes.values())
    return sum(1 for advert in adverts if advert is not None and advert.told & membership.bit)

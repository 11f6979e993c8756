"""What the configuration asks for and cannot be had: told once for each object and reason, until it changes."""

from collections.abc import Hashable, Iterable


class Refusals:
    """Remembers what was told, only while it holds."""

    def __init__(self) -> None:
        self._told: dict[Hashable, frozenset[str]] = {}

    def news(self, about: Hashable, reasons: Iterable[str] = ()) -> list[str]:
        """Which of all the reasons there are now were not there when this object was last looked at, sorted."""
        now = frozenset(reasons)
        before = self._told.pop(about, frozenset())
        if now:
            self._told[about] = now
        return sorted(now - before)

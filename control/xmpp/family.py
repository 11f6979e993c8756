"""Address families as item nodes name them: 241 and 242 for ERMVPN and EVPN (reference/xmpp.md 2.1)."""

from __future__ import annotations

from enum import Enum
from typing import Final


class ItemFamily(Enum):
    """One family of items; `afi`, `safi` and the node prefix `text` (`25/242`)."""

    INET = (1, 1)
    INET_LABELED = (1, 4)
    MVPN = (1, 5)
    ERM_VPN = (1, 241)
    INET6 = (2, 1)
    E_VPN = (25, 242)

    def __init__(self, afi: int, safi: int) -> None:
        self.afi: Final = afi
        self.safi: Final = safi
        self.text: Final = f"{afi}/{safi}"

    @property
    def unicast(self) -> bool:
        """Whether the items are of the unicast type (inet, inet6, labelled)."""
        return self in (ItemFamily.INET, ItemFamily.INET6, ItemFamily.INET_LABELED)

    def node(self, rest: str) -> str:
        """`AFI/SAFI/rest`: an items node when `rest` is an instance name."""
        return f"{self.text}/{rest}"


_BY_TEXT: Final = {family.text: family for family in ItemFamily}


def split_node(node: str) -> tuple[ItemFamily | None, str]:
    """Split a node at its first two `/`: (family or None when it is unknown or missing, the rest)."""
    parts = node.split("/", 2)
    if len(parts) < 3:
        return None, ""
    return _BY_TEXT.get(f"{parts[0]}/{parts[1]}"), parts[2]

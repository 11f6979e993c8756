"""Real BGP routers that a lab starts, configures and stops."""

from collections.abc import Mapping
from types import MappingProxyType

from .bird import Bird
from .exabgp import ExaBgp
from .frr import Frr
from .gobgp import GoBgp
from .openbgpd import OpenBgpd
from .router import Neighbour, Router

KINDS: Mapping[str, type[Router]] = MappingProxyType(
    {"exabgp": ExaBgp, "bird": Bird, "frr": Frr, "gobgp": GoBgp, "openbgpd": OpenBgpd}
)

__all__ = ["KINDS", "Neighbour", "Router"]

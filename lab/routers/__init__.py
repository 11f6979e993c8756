"""Real BGP routers that a lab starts, configures and stops."""

from .exabgp import ExaBgp
from .router import Neighbour, Router

KINDS: dict[str, type[Router]] = {"exabgp": ExaBgp}

__all__ = ["KINDS", "ExaBgp", "Neighbour", "Router"]

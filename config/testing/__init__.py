"""For tests: a configuration node in memory on a virtual clock, and real back ends to run against."""

from .site import Site

__all__ = ["Site"]

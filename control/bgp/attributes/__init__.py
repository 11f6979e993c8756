"""Path attributes: one module per attribute or small group; `Attributes` is a whole set, `table` the numbers."""

from .aggregator import Aggregator
from .as_path import AsPath
from .attributes import Attributes, UnknownAttribute
from .edge import Edge, ForwardingEdge
from .intern import InternTable
from .pmsi import PmsiTunnel

__all__ = [
    "Aggregator",
    "AsPath",
    "Attributes",
    "Edge",
    "ForwardingEdge",
    "InternTable",
    "PmsiTunnel",
    "UnknownAttribute",
]

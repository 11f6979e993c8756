"""UPDATE messages, both ways: RFC 4271 4.3, RFC 4760; what a control node does is in reference/bgp.md 1.6, 2 and 3."""

from .update_reader import Reach, Received, Unreach, read
from .update_writer import AttributesTooLong, UpdateWriter, end_of_rib, write, write_withdrawn

__all__ = [
    "AttributesTooLong",
    "Reach",
    "Received",
    "Unreach",
    "UpdateWriter",
    "end_of_rib",
    "read",
    "write",
    "write_withdrawn",
]

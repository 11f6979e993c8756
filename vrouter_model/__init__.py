"""The userspace forwarding model: tables, pipeline, encapsulation, flows and ports."""

from .drops import Drop, FlowDrop
from .vrouter import VRouter

__all__ = ["Drop", "FlowDrop", "VRouter"]

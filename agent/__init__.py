"""The vRouter agent stand-in: channels, operational tables, services, port API and the one door to a data plane."""

from .agent import Agent
from .channels.decode import Decoder
from .ksync import DataPlane, ModelDataPlane, NoDataPlane
from .port import Port, PortError, PortType
from .settings import AgentSettings, DnsServerAddress, Timers

__all__ = [
    "Agent",
    "AgentSettings",
    "DataPlane",
    "Decoder",
    "DnsServerAddress",
    "ModelDataPlane",
    "NoDataPlane",
    "Port",
    "PortError",
    "PortType",
    "Timers",
]

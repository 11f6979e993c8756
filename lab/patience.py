"""How long a lab may take, by its size, when nobody says: measured with 10,000 machines on two cores, and doubled."""

from __future__ import annotations

from .model import LabFile

SECONDS = 30.0
MANY = 1000
START_SECONDS, CONVERGE_SECONDS = 40.0, 20.0
"""More for each `MANY` machines."""


def start_seconds(file: LabFile) -> float:
    """For everything to run."""
    return SECONDS + START_SECONDS * _thousands(file)


def converge_seconds(file: LabFile) -> float:
    """From then on, for all sessions and routes."""
    return SECONDS + CONVERGE_SECONDS * _thousands(file)


def _thousands(file: LabFile) -> int:
    return sum(len(agent.machines) for agent in file.agents) // MANY

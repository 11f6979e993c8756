"""A port in memory: frames in and out as bytes, for machines inside a lab and for tests."""

from __future__ import annotations

from collections.abc import Callable

from ..vrouter import VRouter


class MemoryPort:
    """One end of a wire whose other end is a vif. `on_frame` is called with each frame the vRouter sends here."""

    def __init__(self, vrouter: VRouter, vif_index: int, on_frame: Callable[[bytes], None]) -> None:
        self.vif_index = vif_index
        self._vrouter = vrouter
        vrouter.connect(vif_index, on_frame)

    def send(self, frame: bytes) -> None:
        """One Ethernet frame into the vRouter."""
        self._vrouter.receive(self.vif_index, frame)

    def close(self) -> None:
        """Unplug: what the vRouter sends here from now on is dropped and counted."""
        self._vrouter.connect(self.vif_index, None)

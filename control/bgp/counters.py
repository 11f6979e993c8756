"""What a peer counts (reference/bgp.md 6.2: rx/tx_proto_stats, rx/tx_update_stats, rx/tx_socket_stats)."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field


@dataclass(slots=True)
class MessageCounters:
    """Messages one way by type, octets of all of them."""

    open: int = 0
    update: int = 0
    notification: int = 0
    keepalive: int = 0
    route_refresh: int = 0
    octets: int = 0

    @property
    def total(self) -> int:
        return self.open + self.update + self.notification + self.keepalive + self.route_refresh


@dataclass(slots=True)
class UpdateCounters:
    """Routes one way."""

    reach: int = 0
    unreach: int = 0
    end_of_rib: int = 0


@dataclass(slots=True)
class ErrorCounters:
    """Faults received, and timers that ended something."""

    connect_error: int = 0
    connect_timer: int = 0
    hold_timer: int = 0
    header_error: int = 0
    open_error: int = 0
    update_error: int = 0
    update_fault: int = 0
    unexpected: int = 0


@dataclass(slots=True)
class Counters:
    """Everything counted since the peer was configured. `flaps`: sessions that were established and ended."""

    rx: MessageCounters = field(default_factory=MessageCounters)
    tx: MessageCounters = field(default_factory=MessageCounters)
    rx_updates: UpdateCounters = field(default_factory=UpdateCounters)
    tx_updates: UpdateCounters = field(default_factory=UpdateCounters)
    errors: ErrorCounters = field(default_factory=ErrorCounters)
    flaps: int = 0
    established: int = 0
    blocked: int = 0

    def rows(self) -> dict[str, dict[str, int]]:
        """The statistics blocks of a neighbour row."""
        return {
            "rx_proto_stats": _proto(self.rx),
            "tx_proto_stats": _proto(self.tx),
            "rx_update_stats": {"total": self.rx_updates.reach + self.rx_updates.unreach, **asdict(self.rx_updates)},
            "tx_update_stats": {"total": self.tx_updates.reach + self.tx_updates.unreach, **asdict(self.tx_updates)},
            "rx_error_stats": asdict(self.errors),
            "rx_socket_stats": {"bytes": self.rx.octets},
            "tx_socket_stats": {"bytes": self.tx.octets, "blocked_count": self.blocked},
        }


def _proto(messages: MessageCounters) -> dict[str, int]:
    return {"total": messages.total, **asdict(messages)}

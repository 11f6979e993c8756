"""The last things that happened to a peer, for introspect and logs."""

from __future__ import annotations

from .fsm import Event, State


class History:
    """Times are seconds of the caller's clock, None when it never happened."""

    __slots__ = (
        "closed_at",
        "flap_at",
        "last_error",
        "last_event",
        "last_event_at",
        "last_state",
        "last_state_at",
        "notification_in",
        "notification_in_at",
        "notification_out",
        "notification_out_at",
    )

    def __init__(self) -> None:
        self.forget()

    def forget(self) -> None:
        """As at the start: what admin-up does."""
        self.last_event: Event | None = None
        self.last_event_at: float | None = None
        self.last_state = State.IDLE
        self.last_state_at: float | None = None
        self.last_error = ""
        self.notification_in = ""
        self.notification_in_at: float | None = None
        self.notification_out = ""
        self.notification_out_at: float | None = None
        self.flap_at: float | None = None
        self.closed_at: float | None = None

    def event(self, now: float, event: Event) -> None:
        self.last_event = event
        self.last_event_at = now

    def left(self, now: float, state: State) -> None:
        self.last_state = state
        self.last_state_at = now

    def sent(self, now: float, text: str) -> None:
        self.notification_out = self.last_error = text
        self.notification_out_at = now

    def received(self, now: float, text: str) -> None:
        self.notification_in = self.last_error = text
        self.notification_in_at = now

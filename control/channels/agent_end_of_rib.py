"""The End-of-RIB marker of a control node to an agent: once per session, when the channel has been quiet
(reference/xmpp.md 1.10)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

from twisted.internet.interfaces import IDelayedCall, IReactorTime

CHECK_SECONDS = 1.0
QUIET_SECONDS = 6.0
START_UP_SHARE = 0.2
LATEST_SECONDS = 300.0


class Channel(Protocol):
    """What the sender looks at."""

    @property
    def last_sent(self) -> float: ...
    @property
    def waiting(self) -> bool: ...
    def send_end_of_rib(self) -> None: ...


class EndOfRibSender:
    """Checks once a second until it may send, then is done.

    `timeout` is the End-of-RIB time in seconds. Without `hold_back` the marker goes as soon as all that the agent asked
    for so far was delivered.
    """

    def __init__(
        self,
        clock: IReactorTime,
        channel: Channel,
        uptime: Callable[[], float],
        timeout: float,
        hold_back: bool = True,
    ) -> None:
        self._clock = clock
        self._channel = channel
        self._uptime = uptime
        self._timeout = timeout
        self._hold_back = hold_back
        self._asked = False
        self._since = self._last_active = clock.seconds()
        self._call: IDelayedCall | None = clock.callLater(CHECK_SECONDS, self._check)

    def active(self) -> None:
        """Something was received."""
        self._last_active = self._clock.seconds()

    def subscribed(self) -> None:
        """The agent asked for an instance: the longest wait begins anew."""
        self._asked = True
        self._since = self._clock.seconds()

    def stop(self) -> None:
        """Send nothing any more."""
        if self._call is not None:
            self._call.cancel()
            self._call = None

    def _check(self) -> None:
        self._call = None
        now = self._clock.seconds()
        settled = not self._channel.waiting and (self._quiet(now) if self._hold_back else self._asked)
        if settled or now - self._since >= LATEST_SECONDS:
            self._channel.send_end_of_rib()
        else:
            self._call = self._clock.callLater(CHECK_SECONDS, self._check)

    def _quiet(self, now: float) -> bool:
        """Nothing was sent or received for a while, and the control node is past its start-up."""
        quiet = now - max(self._last_active, self._channel.last_sent) >= QUIET_SECONDS
        return quiet and self._uptime() >= self._timeout * START_UP_SHARE

"""Back-pressure: what is pending towards a transport, and when a session counts as blocked (reference/xmpp.md 5)."""

from __future__ import annotations

from collections import deque
from typing import Any, Final

BLOCKED_ABOVE: Final = 256 * 1024
UNBLOCKED_BELOW: Final = 64 * 1024
TRANSPORT_SHARE: Final = 64 * 1024
"""What a transport holds when it pauses its producer (twisted.internet.abstract.FileDescriptor.bufferSize)."""


class Outbox:
    """Writes through while the transport takes it, holds the rest. All accepted is sent unless the session ends."""

    __slots__ = ("_held", "_paused", "_transport", "blocked", "held_bytes")

    def __init__(self, transport: Any) -> None:
        self._transport = transport
        self._held: deque[tuple[bytes, ...]] | None = None
        self._paused = False
        self.held_bytes = 0
        self.blocked = False

    @property
    def pending(self) -> int:
        """Bytes not yet taken by the kernel, as well as can be known."""
        return self.held_bytes + (TRANSPORT_SHARE if self._paused else 0)

    def write(self, *parts: bytes) -> bool:
        """Accept what `parts` are together; False when the session is blocked now.

        They are not joined here: one of them may be what a thousand sessions are sent, and all hold the same bytes.
        """
        if not self._paused:
            self._pass_on(parts)
        else:
            if self._held is None:
                self._held = deque()
            self._held.append(parts)
            self.held_bytes += sum(map(len, parts))
        if not self.blocked and self.pending > BLOCKED_ABOVE:
            self.blocked = True
        return not self.blocked

    def pause(self) -> None:
        """The transport's buffer is full."""
        self._paused = True

    def resume(self) -> bool:
        """The transport's buffer is empty: write on until it pauses again. True when this ends being blocked."""
        self._paused = False
        while self._held and not self._paused:
            parts = self._held.popleft()
            self.held_bytes -= sum(map(len, parts))
            self._pass_on(parts)  # may pause us
        if not self._held:
            self._held = None
        if self.blocked and self.pending < UNBLOCKED_BELOW:
            self.blocked = False
            return True
        return False

    def _pass_on(self, parts: tuple[bytes, ...]) -> None:
        if len(parts) == 1:
            self._transport.write(parts[0])
        else:
            self._transport.writeSequence(parts)

    def clear(self) -> None:
        """The connection is over."""
        self._held = None
        self.held_bytes = 0
        self.blocked = False

"""The interface of a bus: a fanout of messages to named queues."""

from collections.abc import Callable
from typing import Protocol

from .message import Message


class Subscription(Protocol):
    """One queue being read."""

    def close(self) -> None:
        """Stop reading. Messages that come later are lost to this reader. Harmless when closed."""


class Bus(Protocol):
    """What writers and readers ask of a bus."""

    @property
    def pending(self) -> int:
        """Messages published but not yet safe with the broker."""

    async def open(self) -> None:
        """Connect; harmless when open. A bus that loses its connection reconnects by itself."""

    async def close(self) -> None:
        """Let go. Subscriptions end."""

    async def publish(self, message: Message) -> None:
        """Announce a change; call it after the rows are written (reference/config.md 10.9)."""

    async def subscribe(
        self, queue: str, on_message: Callable[[Message], None], on_gap: Callable[[], None]
    ) -> Subscription:
        """Read a new queue called `queue`: from when this returns, every message published reaches `on_message`.

        `on_gap` is called when messages may have been lost (the connection or the broker went away): read everything
        again. Both are called from the reactor, never from inside `publish`.
        """

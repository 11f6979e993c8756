"""The bus within one process."""

from collections.abc import Callable
from typing import Any

from twisted.internet.interfaces import IReactorTime

from .message import Message


class LocalSubscription:
    """One reader of a LocalBus."""

    def __init__(self, bus: "LocalBus", on_message: Callable[[Message], None]) -> None:
        self._bus = bus
        self._on_message = on_message
        self._waiting: list[bytes] = []
        self._call: Any = None

    def offer(self, body: bytes) -> None:
        """Deliver in a later turn of the reactor, in order."""
        self._waiting.append(body)
        if self._call is None:
            self._call = self._bus.reactor.callLater(0, self._deliver)

    def _deliver(self) -> None:
        self._call = None
        waiting, self._waiting = self._waiting, []
        for body in waiting:
            self._on_message(Message.decode(body))

    def close(self) -> None:
        """Stop reading."""
        self._bus.forget(self)
        if self._call is not None:
            self._call.cancel()
            self._call = None


class LocalBus:
    """Every message published reaches every subscription, as bytes that were encoded and decoded."""

    def __init__(self, reactor: IReactorTime) -> None:
        self.reactor = reactor
        self.published = 0
        self._subscriptions: list[LocalSubscription] = []

    @property
    def pending(self) -> int:
        """Never any: what is published is delivered."""
        return 0

    async def open(self) -> None:
        """Nothing to do."""

    async def close(self) -> None:
        for subscription in tuple(self._subscriptions):
            subscription.close()

    async def publish(self, message: Message) -> None:
        body = message.encode()
        self.published += 1
        for subscription in self._subscriptions:
            subscription.offer(body)

    async def subscribe(
        self, queue: str, on_message: Callable[[Message], None], on_gap: Callable[[], None]
    ) -> LocalSubscription:
        subscription = LocalSubscription(self, on_message)
        self._subscriptions.append(subscription)
        return subscription

    def forget(self, subscription: LocalSubscription) -> None:
        """Called by a subscription that closes."""
        if subscription in self._subscriptions:
            self._subscriptions.remove(subscription)

"""The bus over RabbitMQ, as the real daemons use it (reference/config.md 2.1-2.3).

One connection, a channel to publish (with confirms) and one per queue to read. Whatever happens to the connection, it
is made again: servers in list order, a pause after a round in which none answered. Unlike the real control node a
reader is told of every reconnection (`on_gap`), because a broker that restarted has lost its queues. What could not be
published waits in memory, in order.
"""

from collections import deque
from collections.abc import Callable, Coroutine, Sequence
from typing import Any

from OpenSSL.SSL import Error as TlsFault
from twisted.internet.abstract import isIPAddress
from twisted.internet.defer import CancelledError, Deferred, DeferredList
from twisted.internet.defer import TimeoutError as DeferredTimeout
from twisted.internet.endpoints import HostnameEndpoint, TCP4ClientEndpoint
from twisted.internet.error import ConnectError, ConnectionClosed, DNSLookupError
from twisted.internet.interfaces import IStreamClientEndpoint
from twisted.internet.protocol import Factory
from twisted.internet.task import deferLater
from twisted.logger import Logger
from twisted.protocols.tls import TLSMemoryBIOFactory
from twisted.python.failure import Failure

from contrail_emulator.base.servers import Endpoint
from contrail_emulator.config.drivers import driver

from .message import Message, MessageError

EXCHANGE = "vnc_config.object-update"
ROUND_SECONDS = 5.0
CONNECT_SECONDS = 5.0
PUBLISH_AT_ONCE = 200


class RabbitMqSubscription:
    """One queue. `poisoned` counts messages that were set aside."""

    log = Logger()

    def __init__(
        self, bus: "RabbitMqBus", queue: str, on_message: Callable[[Message], None], on_gap: Callable[[], None]
    ) -> None:
        self.queue = queue
        self.poisoned = 0
        self.closed = False
        self._bus = bus
        self._on_message = on_message
        self._on_gap = on_gap
        self._fresh = True
        self._channel: Any = None

    async def attach(self, protocol: Any) -> None:
        """Declare the queue on a new connection and begin to read; the first time without its history."""
        channel = await protocol.channel()
        await declare_exchange(channel)
        if self._fresh:
            await channel.queue_delete(queue=self.queue)
        await channel.queue_declare(
            queue=self.queue, durable=False, exclusive=False, auto_delete=False, arguments=self._bus.queue_arguments
        )
        await channel.queue_bind(queue=self.queue, exchange=EXCHANGE, routing_key="")
        messages, _ = await channel.basic_consume(queue=self.queue, auto_ack=False, consumer_tag=self.queue)
        self._channel = channel
        reading = Deferred.fromCoroutine(self._read(messages))
        reading.addErrback(self._bus.broken)
        if not self._fresh:
            self._on_gap()
        self._fresh = False

    async def _read(self, messages: Any) -> None:
        while not self.closed:
            received = await messages.get()
            try:
                message = Message.decode(received.body)
            except MessageError as error:
                self.poisoned += 1
                self.log.warn("bus: {queue}: message set aside: {error}", queue=self.queue, error=error)
            else:
                self._on_message(message)
            received.channel.basic_ack(received.method.delivery_tag)

    def close(self) -> None:
        """Stop reading and take the queue away, or it would fill for ever."""
        if self.closed:
            return
        self.closed = True
        self._bus.forget(self)
        if self._channel is not None and self._channel.is_open:
            gone: Deferred[Any] = self._channel.queue_delete(queue=self.queue)
            gone.addErrback(lambda failure: None)  # the connection went first: so did we


async def declare_exchange(channel: Any) -> None:
    """With the flags that everybody uses: others would close the channel."""
    await channel.exchange_declare(exchange=EXCHANGE, exchange_type="fanout", durable=False, auto_delete=False)


class RabbitMqBus:
    """`servers` in the order to try. `tls` is a Twisted client connection creator, or None for plain TCP.

    `pending` messages wait to be confirmed; the writer refuses work when they are too many. `connections` counts.
    """

    log = Logger()

    def __init__(
        self,
        reactor: Any,
        servers: Sequence[Endpoint],
        *,
        user: str = "guest",
        password: str = "guest",
        vhost: str = "",
        heartbeat: int = 60,
        ha_mode: bool = False,
        tls: Any = None,
    ) -> None:
        self.connections = 0
        self.server: Endpoint | None = None
        self.queue_arguments = {"x-ha-policy": "all"} if ha_mode else {}
        self._reactor = reactor
        self._servers = tuple(servers)
        self._user, self._password, self._vhost = user, password, vhost
        self._heartbeat = heartbeat
        self._tls = tls
        self._subscriptions: list[RabbitMqSubscription] = []
        self._waiting: deque[bytes] = deque()
        self._protocol: Any = None
        self._publisher: Any = None
        self._publishing = False
        self._running = False
        self._keeping: Deferred[None] | None = None
        self._first: list[Deferred[None]] = []

    @property
    def pending(self) -> int:
        """Messages that the broker has not confirmed."""
        return len(self._waiting)

    async def open(self) -> None:
        """Begin to keep a connection; returns when the first one is there."""
        if not self._running:
            self._running = True
            self._keeping = Deferred.fromCoroutine(self._keep())
            self._keeping.addErrback(self._ended)
        if self._publisher is None:
            there: Deferred[None] = Deferred()
            self._first.append(there)
            await there

    async def close(self) -> None:
        self._running = False
        for subscription in tuple(self._subscriptions):
            subscription.close()
        if self._keeping is not None:
            self._keeping.cancel()
            self._keeping = None
        self._drop()

    def move(self, servers: Sequence[Endpoint]) -> None:
        """A new list of servers: connect anew, to one of these."""
        self._servers = tuple(servers)
        self._drop()

    async def publish(self, message: Message) -> None:
        self._waiting.append(message.encode())
        self._flush_soon()

    async def subscribe(
        self, queue: str, on_message: Callable[[Message], None], on_gap: Callable[[], None]
    ) -> RabbitMqSubscription:
        subscription = RabbitMqSubscription(self, queue, on_message, on_gap)
        self._subscriptions.append(subscription)
        while True:
            await self.open()
            protocol = self._protocol
            pika = driver("pika", "pika")
            try:
                if protocol is not None:
                    await subscription.attach(protocol)
                    return subscription
            except (pika.exceptions.AMQPError, ConnectionClosed, TlsFault) as error:
                self.log.warn("bus: queue {queue}: {error!r}; trying again", queue=queue, error=error)
            await deferLater(self._reactor, ROUND_SECONDS)

    def forget(self, subscription: RabbitMqSubscription) -> None:
        """Called by a subscription that closes."""
        if subscription in self._subscriptions:
            self._subscriptions.remove(subscription)

    def broken(self, failure: Failure) -> None:
        """Reading a queue ended: unless we are closing, so does the connection, and a new one reads on."""
        if not isinstance(failure.value, CancelledError) and self._running:
            self._drop()

    # -- the connection

    def _ended(self, failure: Failure) -> None:
        if not isinstance(failure.value, CancelledError):
            self.log.failure("bus", failure)

    def _drop(self) -> None:
        protocol, self._protocol, self._publisher = self._protocol, None, None
        if protocol is not None and protocol.transport is not None:
            protocol.transport.abortConnection()

    async def _keep(self) -> None:
        while self._running:
            protocol = None
            for server in self._servers:
                protocol = await self._connect(server)
                if protocol is not None:
                    await self._use(server, protocol)
                    break
            if self._running and self._protocol is None:
                await deferLater(self._reactor, ROUND_SECONDS if protocol is None else 0)

    def _parameters(self) -> Any:
        pika = driver("pika", "pika")
        return pika.ConnectionParameters(
            virtual_host=self._vhost or "/",
            credentials=pika.PlainCredentials(self._user, self._password),
            heartbeat=self._heartbeat,
        )

    async def _connect(self, server: Endpoint) -> Any:
        pika = driver("pika", "pika")
        adapter = driver("pika.adapters.twisted_connection", "pika")
        factory = Factory.forProtocol(lambda: adapter.TwistedProtocolConnection(self._parameters(), self._reactor))
        factory.noisy = False
        protocol: Any = None
        try:
            protocol = await self._reach(server, factory)
            protocol.transport.setTcpNoDelay(True)  # small messages: Nagle would hold them for 40 ms
            ready: Deferred[Any] = protocol.ready
            ready.addTimeout(CONNECT_SECONDS, self._reactor)
            await ready
        except (
            ConnectError, ConnectionClosed, DNSLookupError, DeferredTimeout, TlsFault, pika.exceptions.AMQPError
        ) as error:  # fmt: skip
            self.log.warn("bus: {server}: {error!r}", server=server, error=error)
            if protocol is not None and protocol.transport is not None:
                protocol.transport.abortConnection()
            return None
        return protocol

    async def _reach(self, server: Endpoint, factory: Factory) -> Any:
        if self._tls is None:
            return await self._endpoint(server).connect(factory)
        wrapped = TLSMemoryBIOFactory(self._tls, True, factory, clock=self._reactor)
        outer: Any = await self._endpoint(server).connect(wrapped)
        return outer.wrappedProtocol

    def _endpoint(self, server: Endpoint) -> IStreamClientEndpoint:
        if isIPAddress(server.host):  # no thread to look up what needs no looking up
            return TCP4ClientEndpoint(self._reactor, server.host, server.port, timeout=CONNECT_SECONDS)
        return HostnameEndpoint(self._reactor, server.host.encode(), server.port, timeout=CONNECT_SECONDS)

    async def _use(self, server: Endpoint, protocol: Any) -> None:
        """Set up channels on a new connection and wait until it ends."""
        pika = driver("pika", "pika")
        closed: Deferred[Any] = protocol.closed
        try:
            publisher = await protocol.channel()
            await publisher.confirm_delivery()
            await declare_exchange(publisher)
            self._protocol = protocol
            for subscription in tuple(self._subscriptions):
                await subscription.attach(protocol)
        except (pika.exceptions.AMQPError, ConnectionClosed, TlsFault) as error:
            self.log.warn("bus: {server}: {error!r}", server=server, error=error)
            self._drop()
            if protocol.transport is not None:
                protocol.transport.abortConnection()
            await deferLater(self._reactor, ROUND_SECONDS)
            return
        self._publisher, self.server = publisher, server
        self.connections += 1
        self.log.info("bus: connected to {server}", server=server)
        first, self._first = self._first, []
        for there in first:
            there.callback(None)
        self._flush_soon()
        reason = await closed
        self._protocol = self._publisher = self.server = None
        if self._running:
            self.log.warn("bus: lost {server}: {reason!r}", server=server, reason=reason)

    # -- publishing

    def _flush_soon(self) -> None:
        if self._publisher is not None and not self._publishing and self._waiting:
            self._publishing = True
            self._go(self._flush(self._publisher))

    def _go(self, work: Coroutine[Deferred[Any], Any, None]) -> None:
        going = Deferred.fromCoroutine(work)
        going.addErrback(self._ended)

    async def _flush(self, publisher: Any) -> None:
        """Publish in order until nothing waits; what is not confirmed stays, and is sent again on a new connection."""
        pika = driver("pika", "pika")
        properties = pika.BasicProperties(
            content_type="application/json", content_encoding="utf-8", delivery_mode=2, priority=0, headers={}
        )
        try:
            while self._waiting and publisher is self._publisher:
                bodies = [body for body, _ in zip(self._waiting, range(PUBLISH_AT_ONCE), strict=False)]
                confirms = [
                    publisher.basic_publish(exchange=EXCHANGE, routing_key="", body=body, properties=properties)
                    for body in bodies
                ]
                results = await DeferredList(confirms, consumeErrors=True)
                if not all(success for success, _ in results):
                    break
                for _ in bodies:
                    self._waiting.popleft()
        finally:
            self._publishing = False
        if publisher is not self._publisher:
            self._flush_soon()

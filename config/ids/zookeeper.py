"""Ids, name locks and elections in ZooKeeper (reference/config.md 4). kazoo's threads stay behind this wall."""

import contextlib
import socket
import threading
import time
import uuid
from collections.abc import Callable, Sequence
from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.defer import TimeoutError as DeferredTimeout
from twisted.logger import Logger
from twisted.python.failure import Failure

from contrail_emulator.base.servers import Endpoint
from contrail_emulator.config.drivers import driver
from contrail_emulator.config.threads import Threads
from contrail_emulator.config.tls import TlsFiles

from .tree import IdsError, NodeExists

SESSION_SECONDS = 120.0
CONNECT_SECONDS = 10.0
REQUEST_SECONDS = 10.0
STOP_SECONDS = 3.0
CONTENDER = "__lock__"


class ZooKeeperElection:
    """A contender `<uuid>__lock__<number>`, as kazoo's own recipe makes it: the lowest number is elected."""

    log = Logger()

    def __init__(
        self, ids: "ZooKeeperIds", path: str, name: str, on_elected: Callable[[], None], on_lost: Callable[[], None]
    ) -> None:
        self.elected = False
        self._ids = ids
        self._path = path
        self._name = name
        self._on_elected, self._on_lost = on_elected, on_lost
        self._node: str | None = None
        self._left = False

    async def stand(self) -> None:
        """Enter the queue, or look again who is first in it. IdsError when ZooKeeper does not answer."""
        if self._left:
            return
        if self._node is None:
            wanted = f"{self._path}/{uuid.uuid4().hex}{CONTENDER}"
            node = await self._ids.contend(wanted, self._name)
            self._node = node.rpartition("/")[2]
        contenders = [entry for entry in await self._ids.children(self._path) if CONTENDER in entry]
        contenders.sort(key=lambda entry: entry[-10:])
        if self._left or self._node not in contenders:
            self._node = None
            return
        place = contenders.index(self._node)
        if place == 0:
            if not self.elected:
                self.elected = True
                self._on_elected()
        elif not await self._ids.watch(f"{self._path}/{contenders[place - 1]}", self._again):
            self._again()

    def _again(self) -> None:
        """The one before us went: look again."""
        self._ids.stand_soon(self)

    def lost(self) -> None:
        """The session is over, and with it our place."""
        self._node = None
        if self.elected:
            self.elected = False
            self._on_lost()

    def leave(self) -> None:
        """Step down or withdraw."""
        if self._left:
            return
        self._left = True
        self.elected = False
        self._ids.forget(self, None if self._node is None else f"{self._path}/{self._node}")


class _Sockets:
    """Gives kazoo's `handler` a `shut_down()`: it ends the connection there is, and at once any made later."""

    def __init__(self, handler: Any) -> None:
        self.handler = handler
        self._create = handler.create_connection
        self._lock = threading.Lock()
        self._newest: Any = None
        self._over = False
        handler.create_connection = self._connect
        handler.shut_down = self._shut_down

    def _connect(self, *args: Any, **named: Any) -> Any:
        made = self._create(*args, **named)
        with self._lock:
            self._newest = made
            if self._over:
                _shut(made)
        return made

    def _shut_down(self) -> None:
        with self._lock:
            self._over = True
            if self._newest is not None:
                _shut(self._newest)


def _shut(connection: Any) -> None:
    with contextlib.suppress(OSError):  # it went by itself
        connection.shutdown(socket.SHUT_RDWR)


class ZooKeeperIds:
    """`servers` in the order to try; `prefix` is the cluster id (empty, or a path that starts with a slash)."""

    log = Logger()

    def __init__(
        self,
        reactor: Any,
        servers: Sequence[Endpoint],
        *,
        prefix: str = "",
        session_timeout: float = SESSION_SECONDS,
        clock: Callable[[], float] = time.time,
        tls: TlsFiles | None = None,
    ) -> None:
        self._reactor = reactor
        self._servers = tuple(servers)
        self._prefix = prefix
        self._session_timeout = session_timeout
        self._clock = clock
        self._tls = tls
        self._threads = Threads(reactor, "zookeeper")
        self._client: Any = None
        self._elections: list[ZooKeeperElection] = []

    async def open(self) -> None:
        if self._client is None:
            client = await self._threads.run(self._start)
            if self._client is None:
                self._client = client
            else:
                await self._threads.run(self._stop, client)

    async def close(self) -> None:
        for election in tuple(self._elections):
            election.leave()
        client, self._client = self._client, None
        if client is not None:
            await self._threads.run(self._stop, client)
        self._threads.stop()

    @property
    def connected(self) -> bool:
        """Is there a session now?"""
        return self._client is not None and bool(self._client.connected)

    # -- in a thread

    def _start(self) -> Any:
        kazoo = driver("kazoo.client", "kazoo")
        handler = driver("kazoo.handlers.threading", "kazoo").SequentialThreadingHandler()
        client = kazoo.KazooClient(
            handler=_Sockets(handler).handler,
            hosts=",".join(map(str, self._servers)),
            timeout=self._session_timeout,
            randomize_hosts=False,
            connection_retry={"max_tries": -1, "max_delay": 1.0},
            **self._tls_options(),
        )
        client.add_listener(self._state_changed)
        if not client.start_async().wait(CONNECT_SECONDS) or not client.connected:
            self._stop(client)
            raise IdsError(f"ZooKeeper {self._where()}: no answer")
        return client

    def _tls_options(self) -> dict[str, Any]:
        if self._tls is None:
            return {}
        files = {"ca": self._tls.ca, "certfile": self._tls.certificate, "keyfile": self._tls.key}
        given = {name: path or None for name, path in files.items()}
        return {"use_ssl": True, "verify_certs": bool(self._tls.ca), "check_hostname": False, **given}

    def _stop(self, client: Any) -> None:
        """kazoo itself waits up to the session's time-out for a server that does not say good-bye."""
        client.remove_listener(self._state_changed)
        late = threading.Timer(STOP_SECONDS if client.connected else 0, client.handler.shut_down)
        late.start()
        client.stop()
        late.cancel()
        late.join()
        client.close()

    def _state_changed(self, state: str) -> None:
        self._reactor.callFromThread(self._session, str(state))

    # -- in the reactor

    def _session(self, state: str) -> None:
        if state == "LOST":
            self.log.warn("ZooKeeper {where}: the session is over", where=self._where())
            for election in tuple(self._elections):
                election.lost()
        elif state == "CONNECTED":
            for election in tuple(self._elections):
                self.stand_soon(election)

    def stand_soon(self, election: ZooKeeperElection) -> None:
        """Have an election looked at; what fails is tried again when the connection is back."""
        if election in self._elections:
            Deferred.fromCoroutine(self._stand(election)).addErrback(self._wrong)

    def _wrong(self, failure: Failure) -> None:
        self.log.failure("ZooKeeper", failure)

    async def _take_away(self, node: str) -> None:
        with contextlib.suppress(IdsError):  # then the session's end takes it away
            await self.delete(node)

    async def _stand(self, election: ZooKeeperElection) -> None:
        with contextlib.suppress(IdsError):
            await election.stand()

    async def create(self, path: str, data: str) -> None:
        await self._ask("create", path, data.encode(), makepath=True)

    async def contend(self, path: str, data: str) -> str:
        """Make an ephemeral, numbered node; gives its path."""
        made = await self._ask("create", path, data.encode(), ephemeral=True, sequence=True, makepath=True)
        return str(made)

    async def watch(self, path: str, changed: Callable[[], None]) -> bool:
        """Call `changed` once when the node changes or goes; False when it is not there now."""

        def told(event: Any) -> None:  # called in a thread
            self._reactor.callFromThread(changed)

        return await self._ask("exists", path, watch=told) is not None

    async def get(self, path: str) -> str | None:
        found = await self._ask("get", path)
        return None if found is None else found[0].decode(errors="replace")

    async def age(self, path: str) -> float | None:
        found = await self._ask("get", path)
        return None if found is None else self._clock() - float(found[1].ctime) / 1000

    async def delete(self, path: str) -> bool:
        return await self._ask("delete", path) is not None

    async def children(self, path: str) -> list[str]:
        return sorted(await self._ask("get_children", path) or [])

    async def elect(
        self, path: str, name: str, on_elected: Callable[[], None], on_lost: Callable[[], None]
    ) -> ZooKeeperElection:
        election = ZooKeeperElection(self, path, name, on_elected, on_lost)
        self._elections.append(election)
        self._reactor.callLater(0, self.stand_soon, election)
        return election

    def forget(self, election: ZooKeeperElection, node: str | None) -> None:
        """Called by an election that is left."""
        if election in self._elections:
            self._elections.remove(election)
        if node is not None and self.connected:
            Deferred.fromCoroutine(self._take_away(node)).addErrback(self._wrong)

    async def _ask(self, method: str, path: str, *arguments: Any, **named: Any) -> Any:
        """The answer of kazoo's `<method>_async`; None when the node is not there."""
        exceptions = driver("kazoo.exceptions", "kazoo")
        client = self._client
        if not self.connected:
            raise IdsError(f"ZooKeeper {self._where()}: not connected")
        answer: Deferred[Any] = Deferred()
        pending = getattr(client, f"{method}_async")(self._prefix + path, *arguments, **named)

        def done(result: Any) -> None:  # called in a thread of kazoo
            self._reactor.callFromThread(self._answered, answer, result)

        pending.rawlink(done)
        answer.addTimeout(REQUEST_SECONDS, self._reactor)
        try:
            return await answer
        except exceptions.NodeExistsError as error:
            raise NodeExists(path) from error
        except (exceptions.NoNodeError, exceptions.NotEmptyError):
            return None
        except (exceptions.KazooException, DeferredTimeout) as error:
            raise IdsError(f"ZooKeeper {self._where()}: {type(error).__name__}") from error

    def _answered(self, answer: Deferred[Any], result: Any) -> None:
        if result.exception is not None:
            answer.errback(result.exception)
        else:
            answer.callback(result.value)

    def _where(self) -> str:
        return " ".join(map(str, self._servers))

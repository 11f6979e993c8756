"""The port API: HTTP and JSON, by which an orchestrator announces and withdraws ports (reference/agent.md 10)."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Protocol

from klein import Klein
from twisted.internet.defer import Deferred, inlineCallbacks, maybeDeferred
from twisted.logger import Logger
from twisted.protocols.policies import WrappingFactory
from twisted.web.iweb import IRequest
from twisted.web.server import Site
from werkzeug.exceptions import HTTPException

from .channels.timers import Timer
from .port import Port, PortError, PortType
from .settings import AgentSettings

MAX_BODY = 1 << 20
_UUID = re.compile(r"[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}")


class PortOwner(Protocol):
    """The agent, as this page sees it."""

    @property
    def ports(self) -> dict[str, Port]: ...

    def add_port(self, port: Port) -> None: ...

    def delete_port(self, uuid: str) -> bool: ...


class PortApi:
    """Serves /port, /syncports, /enable-port, /disable-port. Ports are kept as files when a directory is set."""

    log = Logger()

    def __init__(self, reactor: Any, settings: AgentSettings, owner: PortOwner) -> None:
        self._reactor = reactor
        self._owner = owner
        self._directory = Path(settings.ports_directory) if settings.ports_directory else None
        self._versions: dict[str, int] = {}
        self._version = 0
        self._listening: Any = None
        self._cleanup = Timer(reactor, self._remove_old)
        self._cleanup_time = settings.timers.stale_interface_cleanup
        self._factory: Any = None

    def listen(self, port: int, interface: str) -> Deferred[int]:
        """Load stored ports and serve; fires with the port number."""

        def bind() -> int:
            self.reload()
            site: Any = Site
            wrap: Any = WrappingFactory
            self._factory = wrap(site(self._app().resource(), reactor=self._reactor))
            self._factory.noisy = False
            self._listening = self._reactor.listenTCP(port, self._factory, interface=interface)
            return int(self._listening.getHost().port)

        return maybeDeferred(bind)

    @inlineCallbacks
    def stop(self) -> Any:
        self._cleanup.cancel()
        listening, self._listening = self._listening, None
        if listening is not None:
            for connection in list(self._factory.protocols):
                connection.loseConnection()
            yield maybeDeferred(listening.stopListening)

    # --- actions ------------------------------------------------------------------------------------------------------

    def add(self, body: bytes) -> tuple[int, dict[str, Any]]:
        """POST /port: one object, or an array that is taken as a whole or not at all. (status, answer)."""
        try:
            value = json.loads(body)
        except (ValueError, RecursionError):
            return _error("Json Parse error, malformed JSON")
        listed = value if isinstance(value, list) else [value]
        try:
            ports = [Port.from_json(item) for item in listed]
        except PortError as error:
            return _error(str(error))
        for port in ports:
            if not _UUID.fullmatch(port.uuid):
                return _error("id: expected a uuid")
        for port, item in zip(ports, listed, strict=True):
            self._versions[port.uuid] = self._version
            self._owner.add_port(port)
            self._store(port, item)
        return 200, {}

    def delete(self, uuid: str) -> tuple[int, dict[str, Any]]:
        if not self._owner.delete_port(uuid):
            return _error("Port not found", 404)
        self._versions.pop(uuid, None)
        if self._directory is not None:
            (self._directory / uuid).unlink(missing_ok=True)
        return 200, {}

    def get(self, uuid: str) -> tuple[int, dict[str, Any]]:
        port = self._owner.ports.get(uuid)
        return _error("Port not found", 404) if port is None else (200, port.to_json())

    def set_link(self, uuid: str, up: bool) -> tuple[int, dict[str, Any]]:
        """Only a remote port's link state is set from here."""
        port = self._owner.ports.get(uuid)
        if port is None:
            return _error("Port not found", 404)
        if port.type is not PortType.REMOTE:
            return _error("link state is set for remote ports only")
        self._owner.add_port(_with_link(port, up))
        return 200, {}

    def sync(self) -> tuple[int, dict[str, Any]]:
        """POST /syncports: what is not announced again until the timer runs out is removed."""
        self._version += 1
        self._cleanup.set(self._cleanup_time)
        return 200, {}

    def reload(self) -> int:
        """Take the stored ports; how many there were. Files that cannot be read are logged and left alone."""
        count = 0
        if self._directory is None or not self._directory.is_dir():
            return 0
        for path in sorted(self._directory.iterdir()):
            if not path.is_file() or not _UUID.fullmatch(path.name):
                continue
            try:
                port = Port.from_json(json.loads(path.read_bytes()))
            except (OSError, ValueError, RecursionError) as error:
                self.log.warn("stored port {name}: {error}", name=path.name, error=error)
                continue
            self._versions[port.uuid] = self._version
            self._owner.add_port(port)
            count += 1
        return count

    def _store(self, port: Port, item: Any) -> None:
        """One file per port, not overwritten when it is there."""
        if self._directory is None:
            return
        path = self._directory / port.uuid
        stored = {**item, "author": "contrail-emulator", "time": datetime.now(UTC).isoformat()}
        try:
            self._directory.mkdir(parents=True, exist_ok=True)
            with path.open("x", encoding="utf-8") as file:
                json.dump(stored, file)
        except FileExistsError:
            return
        except OSError as error:
            self.log.warn("cannot store port {name}: {error}", name=port.uuid, error=error)

    def _remove_old(self) -> None:
        for uuid in [uuid for uuid, version in self._versions.items() if version < self._version]:
            self.delete(uuid)

    # --- HTTP ---------------------------------------------------------------------------------------------------------

    def _app(self) -> Klein:
        app = Klein()

        def add(request: IRequest) -> bytes:
            content: Any = request.content
            body = content.read(MAX_BODY + 1)
            if len(body) > MAX_BODY:
                return _answer(request, _error("the body is too long"))
            return _answer(request, self.add(body))

        app.route("/port", methods=["POST"])(add)
        app.route("/port/<uuid>", methods=["DELETE"])(lambda request, uuid: _answer(request, self.delete(uuid)))
        app.route("/port/<uuid>", methods=["GET"])(lambda request, uuid: _answer(request, self.get(uuid)))
        app.route("/syncports", methods=["POST"])(lambda request: _answer(request, self.sync()))
        for verb, up in (("enable", True), ("disable", False)):
            app.route(f"/{verb}-port/<uuid>", methods=["PUT"], endpoint=verb)(
                lambda request, uuid, up=up: _answer(request, self.set_link(uuid, up))
            )

        def not_found(request: IRequest, failure: Any) -> bytes:
            code = int(failure.value.code or 500)
            return _answer(request, _error(str(failure.value.name), code))

        app.handle_errors(HTTPException)(not_found)
        return app


def _with_link(port: Port, up: bool) -> Port:
    return replace(port, link_up=up)


def _error(text: str, status: int = 500) -> tuple[int, dict[str, Any]]:
    return status, {"error": f"{{ {text} }}"}


def _answer(request: Any, result: tuple[int, dict[str, Any]]) -> bytes:
    status, value = result
    request.setResponseCode(status)
    request.setHeader(b"content-type", b"application/json")
    return json.dumps(value).encode()

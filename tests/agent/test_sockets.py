"""The agent on real sockets: XMPP to control.xmpp's own server, the port API and introspect over HTTP."""

from __future__ import annotations

import json
import random
import urllib.error
import urllib.request
from collections.abc import Callable
from typing import Any
from uuid import uuid4

from twisted.internet.error import CannotListenError
from twisted.internet.protocol import ServerFactory
from twisted.internet.threads import deferToThreadPool
from twisted.python.threadpool import ThreadPool

from contrail_emulator.agent import Agent, AgentSettings, NoDataPlane
from contrail_emulator.control.xmpp import pubsub
from contrail_emulator.control.xmpp.server import ServerSettings, XmppServer

RED = "default-domain:demo:red"
Until = Callable[[Callable[[], object]], None]


class Node:
    """A handler that gives configuration and keeps what it hears."""

    def __init__(self, config: Any) -> None:
        self.config = config
        self.heard: list[Any] = []
        self.sessions: list[Any] = []

    def established(self, session: Any) -> None:
        self.sessions.append(session)

    def stanza(self, session: Any, stanza: Any) -> None:
        form = pubsub.read(stanza)
        self.heard.append(form)
        if isinstance(form, pubsub.Subscribe) and form.node.startswith("virtual-router:"):
            for message in self.config.messages(session.peer_name):
                session.send(message)

    def closed(self, session: Any, reason: str) -> None:
        self.sessions.remove(session)

    def unblocked(self, session: Any) -> None: ...


def test_sessions_routes_and_pages_over_loopback(reactor: Any, until: Until, config: Any) -> None:
    port = config.machine("compute-1", "vm1", config.network("red", "10.1.0.0/24"), "10.1.0.3")
    node = Node(config)
    server = XmppServer(reactor, ServerSettings("control-1", port=0), node)
    ports: list[int] = []
    server.listen().addCallback(ports.append)
    until(lambda: ports)
    settings = AgentSettings(
        "compute-1",
        "10.0.0.1",
        bind_address="127.0.0.1",
        control_nodes=(("127.0.0.1", ports[0]),),
        introspect_port=0,
        port_api_port=0,
    )
    agent = Agent(reactor, settings, NoDataPlane(), rng=random.Random(1), uuid=uuid4)
    started: list[None] = []
    agent.start().addCallback(started.append)
    until(lambda: started)
    pool = ThreadPool(1, 1)
    pool.start()
    try:
        http = Http(reactor, until, pool)
        assert http.post(agent.port_api_port, "port", port.to_json()) == (200, {})
        until(lambda: any(isinstance(form, pubsub.Collection) for form in node.heard))
        published = [form for form in node.heard if isinstance(form, pubsub.Publish)]
        assert f"1/1/{RED}:red/10.1.0.3/32" in {form.node for form in published}
        asked = [form.node for form in node.heard if isinstance(form, pubsub.Subscribe)]
        assert asked[0] == "virtual-router:default-global-system-config:compute-1"
        (row,) = http.get(agent.introspect_port, "json/interfaces")
        assert (row["name"], row["ip"], row["active"]) == ("tap3", "10.1.0.3", True)
        for page in ("vrfs", "routes", "nexthops", "labels", "flows", "xmpp", "drops", "ports", "statistics"):
            http.get(agent.introspect_port, f"json/{page}")
        routes = http.get(agent.introspect_port, f"json/routes?vrf={RED}:red&table=inet&prefix=10.1.0.3/32")
        assert [path["peer"] for path in routes[0]["paths"]] == [f"LOCAL_VM_PORT({port.uuid})"]
        bridged = http.get(agent.introspect_port, "json/routes?table=bridge")
        assert {"ff:ff:ff:ff:ff:ff", port.mac} <= {row["prefix"] for row in bridged}
        found = http.get(agent.introspect_port, "json/routes?prefix=10.1.0.3")
        assert {row["table"] for row in found} <= {"inet", "evpn"} and found
        found = http.get(agent.introspect_port, f"json/routes?prefix={port.mac.upper()}")
        assert {row["table"] for row in found} == {"bridge", "evpn"}
        assert {row["prefix"] for row in found if row["table"] == "bridge"} == {port.mac}
        assert http.get(agent.introspect_port, "json/routes?prefix=192.0.2.0/24") == []
        assert http.status(agent.introspect_port, "json/routes?vrf=nobody") == 404
        assert http.status(agent.introspect_port, "json/routes?prefix=x") == 400
        node.sessions[0].close("test")
        until(lambda: agent.controller.channels[0].session is None)
        until(lambda: len(node.sessions) == 1 and agent.controller.channels[0].session is not None)
        assert agent.receiver.sequence == 2
    finally:
        stopped: list[object] = []
        agent.stop().addCallback(stopped.append)
        server.stop().addCallback(stopped.append)
        until(lambda: len(stopped) == 2)
        pool.stop()


class Http:
    """Blocking requests in a thread while the reactor turns."""

    def __init__(self, reactor: Any, until: Until, pool: ThreadPool) -> None:
        self.reactor, self.until, self.pool = reactor, until, pool

    def _ask(self, request: urllib.request.Request | str) -> tuple[int, Any]:
        def ask() -> tuple[int, Any]:
            try:
                with urllib.request.urlopen(request, timeout=60) as answer:
                    return answer.status, json.loads(answer.read())
            except urllib.error.HTTPError as error:
                with error:
                    return error.code, json.loads(error.read())

        found: list[Any] = []
        deferToThreadPool(self.reactor, self.pool, ask).addBoth(found.append)
        self.until(lambda: found)
        result: tuple[int, Any] = found[0]
        return result

    def get(self, port: int | None, path: str) -> Any:
        status, value = self._ask(f"http://127.0.0.1:{port}/{path}")
        assert status == 200, value
        return value

    def status(self, port: int | None, path: str) -> int:
        return self._ask(f"http://127.0.0.1:{port}/{path}")[0]

    def post(self, port: int | None, path: str, value: Any) -> tuple[int, Any]:
        body = json.dumps(value).encode()
        return self._ask(urllib.request.Request(f"http://127.0.0.1:{port}/{path}", body, method="POST"))


def test_a_port_in_use_is_said_so(reactor: Any, until: Until) -> None:
    taken = reactor.listenTCP(0, ServerFactory(), interface="127.0.0.1")
    settings = AgentSettings("compute-1", "10.0.0.1", introspect_port=taken.getHost().port)
    agent = Agent(reactor, settings, NoDataPlane(), rng=random.Random(1), uuid=uuid4)
    outcome: list[Any] = []
    agent.start().addBoth(outcome.append)
    until(lambda: outcome)
    assert outcome[0].check(CannotListenError)
    stopped: list[object] = []
    agent.stop().addBoth(stopped.append)
    until(lambda: stopped)

"""The switches of the XMPP dialect: what a real node does, and what profile `rfc` does instead."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from control.xmpp.test_session import Bench, Mute

from contrail_emulator.base.behaviour import CONTRAIL, RFC, Behaviour
from contrail_emulator.control.xmpp import stream

OPEN = stream.open_bytes("compute-7", "network-control@contrailsystems.com")


@pytest.mark.parametrize(
    "declaration", [b"<?xml version='1.0'?>", b"<?xml version='1.0' encoding='utf-8'?>\n", b'<?xml version="1.1"?>']
)
@pytest.mark.parametrize("behaviour", [CONTRAIL, RFC])
def test_a_declaration_that_a_real_node_does_not_know(net: Any, declaration: bytes, behaviour: Behaviour) -> None:
    bench = Bench(net, behaviour=behaviour)
    peer = Mute(declaration + OPEN)
    net.connectTCP("127.0.0.1", 5269, peer)
    net.run(1)
    assert peer.lost is (behaviour is CONTRAIL)
    assert list(bench.server.sessions) == ([] if behaviour is CONTRAIL else ["compute-7"])


@pytest.mark.parametrize("text", [b"garbage", b"<?php ?>", b"<?xml version='1.0'?><?xml version='1.0'?>"])
def test_not_anything_may_stand_in_front(net: Any, text: bytes) -> None:
    bench = Bench(net, behaviour=RFC)
    peer = Mute(text + OPEN)
    net.connectTCP("127.0.0.1", 5269, peer)
    net.run(1)
    assert peer.lost and not bench.server.sessions


@pytest.mark.parametrize(("behaviour", "keepalive"), [(CONTRAIL, b"\xc8\x80"), (RFC, b" ")])
def test_keepalives(net: Any, behaviour: Behaviour, keepalive: bytes) -> None:
    bench = Bench(net, behaviour=behaviour)
    client, agent = bench.client(behaviour=behaviour)
    net.run(1)
    net.tape.clear()
    net.run(300)
    assert bytes(net.tape) == keepalive * 20, "one each 30 s from each side"
    assert agent.heard == ["established ctrl-1"] and client.core.flaps == 0


def test_the_two_profiles_keep_each_other_up(net: Any) -> None:
    bench = Bench(net, behaviour=CONTRAIL)
    _, agent = bench.client(behaviour=RFC)
    net.run(300)
    assert agent.heard == ["established ctrl-1"]


@pytest.mark.parametrize("survives", [True, False])
def test_back_off_after_short_sessions(net: Any, survives: bool) -> None:
    """A server that closes each session at once: the real client waits longer and longer, the other a second."""
    bench = Bench(net)
    bench.control.on_established = lambda session: session.close("not ready")
    behaviour = replace(CONTRAIL, backoff_survives_short_session=survives)
    client, agent = bench.client(behaviour=behaviour)
    net.run(60, 0.25)
    times = agent.heard.count("established ctrl-1")
    assert (times <= 7) if survives else (times > 30)
    assert client.core.attempts == (times if survives else 0)

"""The Twisted side: who may connect, changes of settings, orderly ends (reference/bgp.md 1.3, 1.7, 1.8)."""

from __future__ import annotations

from dataclasses import replace
from errno import ENOPROTOOPT
from socket import AF_INET
from typing import Any

import pytest
from control.bgp.session.core import KEEPALIVE, an_open, message_names, restart
from control.bgp.session.memory import MemoryNetwork
from control.bgp.session.pair import FAMILIES, Node, join
from twisted.internet.defer import Deferred
from twisted.internet.protocol import ClientFactory, Protocol
from twisted.logger import LogLevel, capturedLogs

from contrail_emulator.base.behaviour import RFC
from contrail_emulator.control.bgp import update
from contrail_emulator.control.bgp.close_reason import CloseReason
from contrail_emulator.control.bgp.counters import UpdateCounters
from contrail_emulator.control.bgp.family import Family
from contrail_emulator.control.bgp.fsm import State
from contrail_emulator.control.bgp.md5 import TCP_MD5SIG
from contrail_emulator.control.bgp.neighbour import Peer
from contrail_emulator.control.bgp.settings import FamilySettings, GracefulRestartSettings, PeerSettings
from contrail_emulator.control.bgp.timers import TimerSettings


class Client(Protocol):
    """A stranger that writes down what it hears."""

    def __init__(self, says: bytes) -> None:
        self.heard = b""
        self.closed = False
        self._says = says

    def connectionMade(self) -> None:  # noqa: N802 - Twisted's name
        assert self.transport is not None
        self.transport.write(self._says)

    def dataReceived(self, data: bytes) -> None:  # noqa: N802 - Twisted's name
        self.heard += data

    def connectionLost(self, reason: Any = None) -> None:  # noqa: N802 - Twisted's name
        self.closed = True


def call(network: MemoryNetwork, node: Node, source: tuple[str, int], says: bytes = b"") -> Client:
    """Connect to a node from an address; its answer is in `heard` when this returns."""
    client = Client(says)
    factory = ClientFactory()
    factory.buildProtocol = lambda addr: client  # type: ignore[method-assign]  # a factory of one
    network.connectTCP(node.address, 179, factory, bindAddress=source)
    network.run(0.01)
    return client


def refusal(client: Client) -> list[str]:
    assert client.closed
    return message_names(client.heard)


def test_unknown_peer_is_refused_before_any_open() -> None:
    network = MemoryNetwork()
    node = Node(network, 1)
    assert refusal(call(network, node, ("127.0.9.9", 0), an_open())) == ["NOTIFICATION 6/3"]
    assert node.speaker.refused == 1
    assert network.live == []


def test_a_stranger_is_warned_of_once() -> None:
    network = MemoryNetwork()
    node = Node(network, 1)
    with capturedLogs() as events:
        for _ in range(3):
            call(network, node, ("127.0.9.9", 0), an_open())
        call(network, node, ("127.0.9.10", 0), an_open())
    refused = [(event["address"], event["log_level"]) for event in events if "refused" in (event["log_format"] or "")]
    assert [address for address, level in refused if level is LogLevel.warn] == ["127.0.9.9", "127.0.9.10"]
    assert len(refused) == 4


def test_refused_while_the_peer_is_admin_down() -> None:
    network = MemoryNetwork()
    left, right = Node(network, 1), Node(network, 2)
    left.add(right, admin_down=True)
    network.run(10)
    assert network.connects == []
    assert refusal(call(network, left, (right.address, 0))) == ["NOTIFICATION 6/2"]


def test_refused_while_the_server_is_admin_down() -> None:
    network = MemoryNetwork()
    left, right = Node(network, 1, admin_down=True), Node(network, 2)
    left.add(right)
    assert refusal(call(network, left, (right.address, 0))) == ["NOTIFICATION 6/2"]


def test_refused_while_an_earlier_close_is_in_progress() -> None:
    network = MemoryNetwork()
    left, right = Node(network, 1), Node(network, 2)
    join(network, left, right)
    closing: Deferred[None] = Deferred()
    left.recorder.closing = closing
    left.peer.clear()
    assert left.peer.rows()["peer_close_info"]["close_in_progress"]  # type: ignore[index]  # nested row
    assert refusal(call(network, left, (right.address, 0))) == ["NOTIFICATION 6/5"]
    network.run(100)
    assert left.peer.state is State.IDLE
    left.recorder.closing = None
    closing.callback(None)
    network.run_until(lambda: left.up and right.up)


def replaced_while_it_closes(behind: bytes = b"") -> tuple[MemoryNetwork, Node, Node, Deferred[None], Client]:
    """Two speakers in profile rfc: the right one connects anew, says what ends in `behind`, and the handler on the left
    is not done with its routes until the Deferred fires."""
    network = MemoryNetwork()
    knobs = GracefulRestartSettings(enabled=True, helper=True)
    left, right = (Node(network, number, RFC, graceful_restart=knobs) for number in (1, 2))
    join(network, left, right)
    closing: Deferred[None] = Deferred()
    left.recorder.closing = closing
    says = an_open(0x0A000002, families=FAMILIES, restart=restart(families=FAMILIES)) + KEEPALIVE
    return network, left, right, closing, call(network, left, (right.address, 0), says + behind)


def test_session_that_replaces_a_lost_one_waits_until_its_routes_are_dealt_with() -> None:
    """Profile rfc, RFC 4724 5: the KEEPALIVE and the routes behind it are read after the close, not refused."""
    network, left, _, closing, client = replaced_while_it_closes(update.end_of_rib(Family.INET) * 500)
    assert left.recorder.told[-1] == "closed to-127.0.1.2 gracefully"
    assert message_names(client.heard) == ["OPEN", "KEEPALIVE"]
    network.run(100)
    assert left.peer.state is State.OPEN_CONFIRM
    assert left.peer.core.waiting > 0
    left.recorder.closing = None
    closing.callback(None)
    network.run(0.1)
    assert left.up
    assert left.recorder.told[-2:] == ["established to-127.0.1.2", "end-of-rib inet"]
    assert left.peer.counters.rx_updates.end_of_rib == 500


def test_connection_that_replaces_a_lost_session_and_goes_while_its_routes_are_dealt_with() -> None:
    network, left, right, closing, client = replaced_while_it_closes()
    assert client.transport is not None
    client.transport.loseConnection()
    network.run(1)
    left.recorder.closing = None
    closing.callback(None)
    network.run_until(lambda: left.up and right.up)


def test_failed_close_does_not_hold_the_peer_down() -> None:
    network = MemoryNetwork()
    left, right = Node(network, 1), Node(network, 2)
    join(network, left, right)
    closing: Deferred[None] = Deferred()
    left.recorder.closing = closing
    left.peer.clear()
    left.recorder.closing = None
    closing.errback(ValueError("tables are on fire"))
    network.run_until(lambda: left.up and right.up)


def test_close_that_raises_does_not_hold_the_peer_down(monkeypatch: pytest.MonkeyPatch) -> None:
    """A fault in somebody's tables: it is logged, and the peer comes up again instead of being closed for ever."""
    network = MemoryNetwork()
    left, right = Node(network, 1), Node(network, 2)
    join(network, left, right)

    def on_fire(peer: Peer, reason: CloseReason) -> None:
        raise KeyError("tables are on fire")

    monkeypatch.setattr(left.recorder, "closed", on_fire)
    with capturedLogs() as events:
        right.peer.clear()
        network.run(1)
    assert [event["log_failure"].type for event in events if "log_failure" in event] == [KeyError]
    assert not left.peer.core.close_in_progress
    network.run_until(lambda: left.up and right.up)


def test_prefix_limit_with_idle_time_out() -> None:
    """PrefixLimit: Cease/1, refused with Cease/1 for the idle time, no attempt of ours, then up again."""
    network = MemoryNetwork()
    left, right = Node(network, 1), Node(network, 2)
    limit = ((Family.INET, FamilySettings(prefix_limit=2, idle_timeout=60.0)),)
    right.add(left, passive=True)
    left.add(right, family_settings=limit)
    network.run_until(lambda: left.up and right.up)
    assert left.peer.prefixes(Family.INET, 2)
    assert left.peer.prefixes(Family.INET_VPN, 99)
    assert left.up
    assert not left.peer.prefixes(Family.INET, 3)
    network.run(1)
    assert right.recorder.reasons[0].text.startswith("received 6/1")
    assert refusal(call(network, left, (right.address, 0))) == ["NOTIFICATION 6/1"]
    attempts = len(network.connects)
    network.run(55)
    assert len(network.connects) == attempts
    network.run(10)
    assert left.up
    assert left.peer.counters.flaps == 1


def test_prefix_limit_raised_ends_the_idle_time() -> None:
    network = MemoryNetwork()
    left, right = Node(network, 1), Node(network, 2)
    right.add(left, passive=True)
    left.add(right, family_settings=((Family.INET, FamilySettings(prefix_limit=2, idle_timeout=86400.0)),))
    network.run_until(lambda: left.up and right.up)
    left.peer.prefixes(Family.INET, 3)
    network.run(600)
    assert not left.up
    left.speaker.update_peer(
        left.peer_settings(right, family_settings=((Family.INET, FamilySettings(prefix_limit=9)),))
    )
    network.run(10)
    assert left.up


def test_prefix_limit_without_idle_time_out_keeps_flapping() -> None:
    network = MemoryNetwork()
    left, right = Node(network, 1), Node(network, 2)
    right.add(left, passive=True)
    left.add(right, family_settings=((Family.INET, FamilySettings(prefix_limit=2)),))
    for _ in range(3):
        network.run_until(lambda: left.up and right.up)
        left.peer.prefixes(Family.INET, 3)
        network.run(1)
    assert left.peer.counters.flaps == 3


@pytest.mark.parametrize(
    "change",
    [
        {"hold_time": 33},
        {"autonomous_system": 64513},
        {"local_as": 65500},
        {"as_override": True},
        {"cluster_id": 7},
        {"families": (Family.INET,)},
        {"private_as_action": "remove"},
        {"origin_override": "egp"},
        {"router_type": "control-node"},
        {"md5": "key"},
        {"passive": True},
    ],
    ids=lambda change: next(iter(change)),
)
def test_changes_that_clear_the_session(change: dict[str, Any]) -> None:
    network = MemoryNetwork()
    left, right = Node(network, 1), Node(network, 2)
    join(network, left, right)
    left.speaker.update_peer(replace(left.peer.settings, **change))
    network.run(0.1)
    assert right.recorder.reasons[-1].text == "received 6/6 cease: other configuration change"


def test_no_change_keeps_the_session() -> None:
    network = MemoryNetwork()
    left, right = Node(network, 1), Node(network, 2)
    join(network, left, right)
    left.speaker.update_peer(replace(left.peer.settings))
    left.speaker.update(replace(left.speaker.settings))
    network.run(1)
    assert left.up and right.up


def test_admin_down_and_up_again() -> None:
    network = MemoryNetwork()
    left, right = Node(network, 1), Node(network, 2)
    join(network, left, right)
    left.speaker.update_peer(replace(left.peer.settings, admin_down=True))
    network.run(100)
    assert right.recorder.reasons[-1].text.startswith("received 6/2")
    assert left.peer.state is State.IDLE
    assert left.peer.counters.flaps == 1
    left.speaker.update_peer(replace(left.peer.settings, admin_down=False))
    assert left.peer.counters.flaps == 0
    network.run(0.2)
    assert left.up, "no idle hold after admin-up"


def test_server_admin_down_and_up_again() -> None:
    network = MemoryNetwork()
    left, right = Node(network, 1), Node(network, 2)
    join(network, left, right)
    left.speaker.update(replace(left.speaker.settings, admin_down=True))
    network.run(1)
    assert right.recorder.reasons[-1].text.startswith("received 6/2")
    left.speaker.update(replace(left.speaker.settings, admin_down=False))
    network.run_until(lambda: left.up and right.up)


@pytest.mark.parametrize(
    "change",
    [
        {"graceful_restart": GracefulRestartSettings(enabled=True)},
        {"end_of_rib_timeout": 10.0},
        {"four_byte_as": False},
        {"router_id": "10.0.0.77"},
        {"autonomous_system": 64599},
    ],
    ids=lambda change: next(iter(change)),
)
def test_global_changes_clear_every_session(change: dict[str, Any]) -> None:
    network = MemoryNetwork()
    left, right = Node(network, 1), Node(network, 2)
    join(network, left, right)
    left.speaker.update(replace(left.speaker.settings, **change))
    network.run(0.1)
    assert right.recorder.reasons[-1].text.startswith("received 6/6")


def test_removed_peer() -> None:
    network = MemoryNetwork()
    left, right = Node(network, 1), Node(network, 2)
    join(network, left, right)
    left.speaker.remove_peer(left.peer.name)
    assert left.recorder.told[-1].startswith("closed")
    network.run(10)
    assert right.recorder.reasons[-1].text.startswith("received 6/3")
    assert left.speaker.peers == {}
    with pytest.raises(KeyError):
        left.speaker.remove_peer("nobody")


def test_removed_while_connecting_leaves_nothing_behind() -> None:
    network = MemoryNetwork()
    left, right = Node(network, 1), Node(network, 2)
    network.deaf.add((right.address, 179))
    left.add(right)
    network.run(0.2)
    left.speaker.remove_peer(left.peer.name)
    network.run(1)
    assert network.getDelayedCalls() == []


def test_same_name_twice() -> None:
    network = MemoryNetwork()
    left, right = Node(network, 1), Node(network, 2)
    left.add(right)
    with pytest.raises(ValueError, match="exists"):
        left.add(right)


def test_stop_waits_for_a_peer_that_does_not_close_and_then_resets() -> None:
    network = MemoryNetwork()
    left, right = Node(network, 1), Node(network, 2)
    join(network, left, right)
    for transport in network.live:
        if transport.getHost().host == right.address:
            transport.pauseProducing()
    stopped = left.speaker.stop()
    network.run(1)
    assert not stopped.called
    network.run(1.5)
    assert stopped.called
    assert left.speaker.port is None
    assert left.speaker.stop() is stopped
    with pytest.raises(ValueError, match="stopped"):
        left.add(right)
    assert [call for call in network.getDelayedCalls() if call.getTime() > network.seconds() + 3] == [] or right.peer


def test_stop_without_peers_or_port() -> None:
    node = Node(MemoryNetwork(), 1)
    assert node.speaker.stop().called


class NoSignatures:
    """The socket of a kernel that was built without TCP_MD5SIG."""

    family = AF_INET

    def setsockopt(self, level: int, option: int, value: object) -> None:
        if option == TCP_MD5SIG:
            raise OSError(ENOPROTOOPT, "Protocol not available")

    def getHandle(self) -> NoSignatures:  # noqa: N802 - Twisted's name
        return self


def test_a_key_that_the_system_does_not_take_keeps_its_peer_down_and_nobody_else() -> None:
    """Without the key its connections would be unsigned: none is accepted. The other peer comes up."""
    network = MemoryNetwork()
    left, right = Node(network, 1), Node(network, 2)
    network.listening_socket = NoSignatures()
    keyless = Node(network, 3)
    with capturedLogs() as events:
        keyless.add(left, passive=True, md5="sesame")
        keyless.add(right, passive=True)
        keyless.speaker.update_peer(keyless.peer_settings(left, passive=True, md5="other"))
    assert [event["log_level"] for event in events if "TCP MD5" in str(event.get("why"))] == [LogLevel.error] * 2
    assert refusal(call(network, keyless, (left.address, 0), an_open())) == ["NOTIFICATION 6/5"]
    assert message_names(call(network, keyless, (right.address, 0), an_open()).heard) == ["OPEN", "KEEPALIVE"]
    keyless.speaker.update_peer(keyless.peer_settings(left, passive=True))
    network.run(6)
    assert message_names(call(network, keyless, (left.address, 0), an_open(families=FAMILIES)).heard)[0] == "OPEN"
    keyless.speaker.remove_peer("to-127.0.1.1")


def test_a_key_that_the_system_does_not_take_stops_each_attempt_before_it_connects() -> None:
    network = MemoryNetwork()
    left, right = Node(network, 1), Node(network, 2)
    network.outgoing = NoSignatures()
    with capturedLogs() as events:
        peer = left.add(right, md5="sesame")
        network.run(300)
    assert len(network.connects) > 10
    assert network.transports == []
    assert peer._connectors == {}
    assert len([event for event in events if event["log_level"] is LogLevel.error]) == 1
    assert peer.counters.errors.connect_error == len(network.connects)


def test_exact_port_first_then_address_in_key_order() -> None:
    network = MemoryNetwork()
    node = Node(network, 1)
    base = {"address": "127.0.5.5", "autonomous_system": 64512, "passive": True}
    for name, port in (("b", 2000), ("a", 3000), ("c", 1000)):
        node.speaker.add_peer(PeerSettings(name=name, port=port, **base))  # type: ignore[arg-type]  # shared fields
    found = [node.speaker.find("127.0.5.5", port) for port in (3000, 2000, 999)]
    assert [peer.name if peer else None for peer in found] == ["a", "b", "c"]
    assert node.speaker.find("127.0.5.6", 3000) is None
    found = [node.speaker.find(address, 3000) for address in ("::ffff:127.0.5.5", "::ffff:127.0.5.6")]
    assert [peer.name if peer else None for peer in found] == ["a", None], "as a socket bound to :: names IPv4 peers"


def test_bgpaas_client_is_known_by_its_source_port() -> None:
    network = MemoryNetwork()
    node = Node(network, 1)
    settings = PeerSettings(
        name="vm", address="10.1.0.3", bgpaas=True, source_port=50003, autonomous_system=65000, families=(Family.INET,)
    )
    peer = node.speaker.add_peer(settings)
    network.run(60)
    assert network.connects == []
    client = call(network, node, ("127.0.3.3", 50003), an_open(asn=65000, families=(Family.INET,)))
    assert message_names(client.heard) == ["OPEN", "KEEPALIVE"]
    assert peer.state is State.OPEN_CONFIRM
    assert refusal(call(network, node, ("127.0.3.3", 50004))) == ["NOTIFICATION 6/3"]


def test_source_address_of_our_connections() -> None:
    network = MemoryNetwork()
    left, right = Node(network, 1), Node(network, 2)
    join(network, left, right)
    assert right.peer.remote_address is not None
    assert right.peer.remote_address[0] == left.address
    left.speaker.update_peer(replace(left.peer.settings, local_address="127.0.7.7"))
    right.speaker.update_peer(replace(right.peer.settings, address="127.0.7.7"))
    network.run_until(lambda: left.up and right.up)
    assert right.peer.remote_address[0] == "127.0.7.7"


def test_both_connect_and_one_session_results() -> None:
    for seed in range(4):
        network = MemoryNetwork()
        left, right = Node(network, 1), Node(network, 2 + seed)
        left.add(right)
        right.add(left)
        network.run_until(lambda left=left, right=right: left.up and right.up)  # type: ignore[misc]  # bound now
        network.run(30)
        assert left.up and right.up
        assert left.peer.counters.flaps == right.peer.counters.flaps == 0
        assert len(network.live) == 2


def test_rows_of_a_session() -> None:
    network = MemoryNetwork()
    left, right = Node(network, 1, hold_time=30), Node(network, 2)
    join(network, left, right, md5="sesame")
    left.peer.send_end_of_rib(Family.INET)
    network.run(11)
    rows = left.peer.rows()
    expected = {
        "peer": "to-127.0.1.2",
        "peer_address": "127.0.1.2",
        "peer_id": "10.0.0.2",
        "peer_asn": 64512,
        "encoding": "BGP",
        "peer_type": "internal",
        "state": "Established",
        "last_state": "OpenConfirm",
        "last_event": "fsm::EvBgpKeepalive",
        "flap_count": 0,
        "auth_type": "md5",
        "negotiated_hold_time": 30,
        "configured_hold_time": 30,
        "send_ready": True,
        "as4_supported": True,
        "configured_address_families": ["inet", "inet-vpn", "route-target"],
        "negotiated_address_families": ["inet", "inet-vpn", "route-target"],
        "local_address": "127.0.1.1",
        "local_id": "10.0.0.1",
        "passive": False,
        "admin_down": False,
        "deleted": False,
    }
    assert {key: rows[key] for key in expected} == expected
    assert rows["tx_update_stats"] == {"total": 0, "reach": 0, "unreach": 0, "end_of_rib": 1}
    assert rows["timers"].keys() >= {"hold", "keepalive", "end-of-rib inet-vpn"}  # type: ignore[attr-defined]  # nested row
    transmitted: Any = rows["tx_socket_stats"]
    assert transmitted["bytes"] == left.peer.counters.tx.octets > 0 == transmitted["blocked_count"]
    assert rows["rx_socket_stats"] == {"bytes": left.peer.counters.rx.octets}
    assert "sesame" not in repr((rows, left.peer.settings))
    assert rows["peer_close_info"]["not_graceful_because"] == "helper mode is off"  # type: ignore[index]  # nested row


def test_what_is_not_sent_is_not_counted() -> None:
    network = MemoryNetwork()
    left, right = Node(network, 1), Node(network, 2)
    left.add(right, passive=True)
    assert not left.peer.send_end_of_rib(Family.INET)
    assert not left.peer.send(update.end_of_rib(Family.INET))
    assert left.peer.counters.tx_updates == UpdateCounters()
    assert left.peer.counters.tx.octets == 0


def test_rows_after_a_fault() -> None:
    network = MemoryNetwork()
    left, right = Node(network, 1), Node(network, 2)
    join(network, left, right)
    right.peer.clear()
    network.run(1)
    rows = left.peer.rows()
    assert rows["state"] == "Idle"
    assert rows["last_error"] == rows["notification_in"] == "6/4 cease: administrative reset"
    assert rows["flap_count"] == 1
    assert rows["flap_time"] == rows["closed_at"] == "1970-Jan-01 00:00:00." + str(rows["closed_at"]).split(".")[1]
    assert rows["negotiated_address_families"] == []
    assert right.peer.rows()["notification_out"] == "6/4 cease: administrative reset"


def test_shortened_timers_come_from_settings() -> None:
    network = MemoryNetwork()
    quick = TimerSettings(idle_hold=0.2, connect=(0.01,))
    left, right = Node(network, 1, timers=quick), Node(network, 2, timers=quick)
    join(network, left, right)
    left.peer.clear()
    network.run(0.3)
    assert left.up and right.up

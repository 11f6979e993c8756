"""Routes with one path, as nearly all are: copied without a look back, and written to agents in one go."""

from __future__ import annotations

import pytest

from contrail_emulator.control.bgp import ext_community
from contrail_emulator.control.bgp.attributes import Attributes
from contrail_emulator.control.bgp.family import Family
from contrail_emulator.control.bgp.nlri import codec, label_bytes
from contrail_emulator.control.channels.xmpp_encoder import XmppEncoder
from contrail_emulator.control.routing import CoreSettings, GroupKey, InstanceSettings, RoutingCore, Source, SourceKind

from .conftest import PickleEncoder, Sink

AS = 64512
AGENT = GroupKey(encoding="xmpp", peer_type="xmpp")
PEER = GroupKey(encoding="bgp", peer_type="ibgp", peer_as=AS, local_as=AS)
TARGET = ext_community.route_target("target:64512:1")
MAC_ROUTE = b"\x02" + bytes(8) + (7).to_bytes(4, "big") + bytes.fromhex("020000000001") + b"\x20\x0a\x00\x00\x01"

ROUTES = {
    "inet": (
        Family.INET,
        [(codec(Family.INET).key(text), label_bytes(16, False)) for text in ("10.0.0.1/32", "0.0.0.0/0")],
    ),
    "no label": (Family.INET, [(codec(Family.INET).key("10.0.0.0/9"), b"")]),
    "label 0": (Family.INET, [(codec(Family.INET).key("10.0.0.0/24"), label_bytes(0, False))]),
    "labels and none": (
        Family.INET,
        [(codec(Family.INET).key(f"10.0.{n}.0/24"), label_bytes(n % 2 * 17, False)) for n in range(40)],
    ),
    "inet6": (Family.INET6, [(codec(Family.INET6).key("2001:db8::/32"), label_bytes(1 << 19, False))]),
    "e-vpn": (Family.E_VPN, [(MAC_ROUTE, bytes(10) + label_bytes(5001, True))]),
}


@pytest.mark.parametrize("case", ROUTES)
@pytest.mark.parametrize("encapsulations", [(), ("gre", "udp"), ("vxlan",)])
def test_written_as_routes_with_several_paths_are(case: str, encapsulations: tuple[str, ...]) -> None:
    family, routes = ROUTES[case]
    communities = (TARGET, *map(ext_community.encapsulation, encapsulations))
    attributes = Attributes.make(next_hop=b"\x0a\xff\x00\x01", local_pref=200, ext_communities=communities)
    encoder = XmppEncoder(AS, lambda asn, index: "d:p:n", lambda name: "d:p:n")
    paths = [(key, ((attributes, payload),)) for key, payload in routes]
    together = encoder.reach("blue.table", family, "d:p:n:blue", AGENT, paths)
    assert encoder.reach_single(family, "d:p:n:blue", attributes, routes) == together
    assert len(together) == (len(routes) + 31) // 32


def test_copies_that_nobody_heard_of_are_told_to_who_joins_later() -> None:
    settings = CoreSettings(autonomous_system=AS, router_id=1)
    core = RoutingCore(settings, {"bgp": PickleEncoder(), "xmpp": PickleEncoder()})
    for number, name in enumerate(("blue", "red"), 1):
        core.add_instance(
            InstanceSettings(name=name, index=number, virtual_network_index=number, import_targets=frozenset((TARGET,)))
        )
    core.flush()
    source = Source(SourceKind.XMPP, "agent")
    key = codec(Family.INET).key("10.0.0.1/32")
    attributes = Attributes.make(next_hop=b"\x0a\xff\x00\x01", ext_communities=(TARGET,))
    core.update("blue.inet.0", source, key, attributes, label_bytes(16, False), rd=bytes(range(8)))
    core.flush()
    peer, agent = Sink("peer"), Sink("agent")
    core.join("bgp.l3vpn.0", PEER, peer, tally=peer.tally)
    core.join("red.inet.0", AGENT, agent, tally=agent.tally)
    core.flush()
    assert list(peer.rib) == [bytes(range(8)) + key] and list(agent.rib) == [key]
    core.update("blue.inet.0", source, key, attributes, label_bytes(17, False), rd=bytes(range(8)))
    core.flush()
    assert peer.rib[bytes(range(8)) + key][0][1] == agent.rib[key][0][1] == label_bytes(17, False)
    core.withdraw("blue.inet.0", source, key)
    core.flush()
    assert not peer.rib and not agent.rib
    assert not any(core.tables[name].routes for name in ("blue.inet.0", "red.inet.0", "bgp.l3vpn.0"))
    assert not len(core.attributes)

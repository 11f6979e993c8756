"""What the object store accepts and refuses, and what it gives back (reference 2-4, 13 rt_ipv4/rt_ipv6, basic)."""

from __future__ import annotations

import errno
import random
from typing import TYPE_CHECKING, Any

import pytest

from contrail_emulator.vrouter_model import VRouter
from contrail_emulator.vrouter_model.drops import DROPSTATS_ORDER, Drop
from contrail_emulator.vrouter_model.rows import (
    BridgeFlag,
    BridgeRoute,
    Family,
    Flow,
    FlowKey,
    Inet6Route,
    InetRoute,
    Mirror,
    MplsLabel,
    NextHop,
    NhFlag,
    NhType,
    RouteFlag,
    Vif,
    VifFlag,
    VifType,
    Vrf,
    VrfAssign,
    Vxlan,
)

if TYPE_CHECKING:
    from vrouter_model.conftest import Lab

OK, EINVAL, ENOENT, ENODEV = 0, -errno.EINVAL, -errno.ENOENT, -errno.ENODEV
VALID = NhFlag.VALID
MAC = b"\x02machi"


@pytest.fixture
def vr() -> VRouter:
    vr = VRouter(lambda: 0.0, random.Random(1))
    assert vr.add(Vif(0, VifType.PHYSICAL)) == vr.add(Vif(3, VifType.VIRTUAL)) == OK
    return vr


def tunnel(nh_id: int, kind: NhFlag = NhFlag.TUNNEL_UDP_MPLS, **fields: Any) -> NextHop:
    defaults: dict[str, Any] = {"encap_oif_id": (0,), "encap": bytes(14), "tun_sip": 1, "tun_dip": 2}
    return NextHop(nh_id, NhType.TUNNEL, flags=VALID | kind, **defaults | fields)


def composite(nh_id: int, kind: NhFlag, *members: int, family: Family = Family.BRIDGE) -> NextHop:
    return NextHop(nh_id, NhType.COMPOSITE, family, VALID | kind, nh_list=members, label_list=(-1,) * len(members))


def encap(nh_id: int, family: Family = Family.INET, flags: NhFlag = VALID, **fields: Any) -> NextHop:
    defaults: dict[str, Any] = {"encap_oif_id": (3,), "encap": bytes(14)}
    return NextHop(nh_id, NhType.ENCAP, family, flags, **defaults | fields)


@pytest.mark.parametrize(
    ("row", "code"),
    [
        (Vif(4355), EINVAL),
        (Vif(-1), EINVAL),
        (Vif(4354), OK),
        (Vif(5, mac=b"short"), EINVAL),
        (Vif(5, vrf=65536), EINVAL),
        (Vif(5, VifType.VIRTUAL_VLAN, parent_vif_idx=99), EINVAL),
        (Vif(5, VifType.VIRTUAL_VLAN, parent_vif_idx=3, vlan_id=9), OK),
        (Vif(5, cross_connect_idx=(0, 1, 2, 3)), EINVAL),
    ],
)
def test_interfaces(vr: VRouter, row: Vif, code: int) -> None:
    assert vr.add(row) == code


@pytest.mark.parametrize(
    ("row", "code"),
    [
        (NextHop(524288, NhType.DISCARD), EINVAL),
        (NextHop(9, NhType.DEAD), EINVAL),
        (NextHop(9, NhType.RESOLVE), OK),
        (NextHop(9, NhType.DISCARD), OK),
        (NextHop(9, NhType.L2_RCV, Family.BRIDGE), OK),
        (NextHop(9, NhType.VRF_TRANSLATE), OK),
        (NextHop(9, NhType.RCV), ENODEV),
        (NextHop(9, NhType.RCV, encap_oif_id=(3,)), OK),
        (encap(9), OK),
        (encap(9, Family.BRIDGE), OK),
        (encap(9, Family.INET6), EINVAL),
        (encap(9, Family.BRIDGE, VALID | NhFlag.MCAST), EINVAL),
        (encap(9, encap=bytes(5)), EINVAL),
        (encap(9, flags=VALID | NhFlag.MCAST, encap=b""), OK),
        (encap(9, encap_oif_id=(77,)), EINVAL),
        (encap(9, flags=NhFlag(0), encap_oif_id=(77,)), OK),
        (tunnel(9), OK),
        (tunnel(9, NhFlag.TUNNEL_GRE), OK),
        (tunnel(9, NhFlag.TUNNEL_VXLAN), OK),
        (tunnel(9, NhFlag(0)), EINVAL),
        (tunnel(9, tun_dip=0), EINVAL),
        (tunnel(9, encap_oif_id=()), ENODEV),
        (tunnel(9, NhFlag.TUNNEL_GRE, encap_oif_id=(77,)), ENODEV),
        (tunnel(9, NhFlag.TUNNEL_VXLAN, encap_oif_id=(77,)), ENODEV),
        (tunnel(9, NhFlag.TUNNEL_UDP, encap_oif_id=()), OK),
        (tunnel(9, NhFlag.TUNNEL_UDP, family=Family.INET6), EINVAL),
        (tunnel(9, NhFlag.TUNNEL_UDP, family=Family.INET6, tun_sip6=bytes(16), tun_dip6=bytes(16)), OK),
        (tunnel(9, NhFlag.TUNNEL_UDP, family=Family.BRIDGE), EINVAL),
        (tunnel(9, NhFlag.TUNNEL_VXLAN | NhFlag.L3_VXLAN), EINVAL),
        (tunnel(9, NhFlag.TUNNEL_VXLAN | NhFlag.L3_VXLAN, rw_dst_mac=MAC), OK),
        (tunnel(9, NhFlag.TUNNEL_PBB, pbb_mac=MAC), EINVAL),
        (tunnel(9, NhFlag.TUNNEL_PBB | NhFlag.INDIRECT, pbb_mac=MAC), OK),
        (tunnel(9, NhFlag.TUNNEL_PBB | NhFlag.INDIRECT, pbb_mac=MAC, nh_list=(77,)), EINVAL),
        (tunnel(9, NhFlag.TUNNEL_UDP_MPLS | NhFlag.INDIRECT), EINVAL),
        (NextHop(9, NhType.COMPOSITE, nh_list=(1,), label_list=()), EINVAL),
        (composite(9, NhFlag.COMPOSITE_ECMP, 1, 999, 2, family=Family.INET), OK),
        (composite(9, NhFlag.COMPOSITE_FABRIC, 1, 999), OK),
        (composite(9, NhFlag.COMPOSITE_FABRIC, 4), EINVAL),
        (composite(9, NhFlag.COMPOSITE_EVPN, 6), EINVAL),
        (composite(9, NhFlag.COMPOSITE_EVPN, 1, family=Family.UNSPEC), EINVAL),
        (composite(9, NhFlag.COMPOSITE_TOR, 1), EINVAL),
        (composite(9, NhFlag.COMPOSITE_TOR, 2), OK),
        (composite(9, NhFlag.COMPOSITE_ENCAP, 4), OK),
        (composite(9, NhFlag.COMPOSITE_ENCAP, 3), EINVAL),
        (composite(9, NhFlag.COMPOSITE_ENCAP, 1), EINVAL),
        (composite(9, NhFlag.COMPOSITE_ENCAP, 5, family=Family.INET), OK),
        (composite(9, NhFlag.COMPOSITE_ENCAP, 3, family=Family.INET), EINVAL),
        (composite(9, NhFlag.MCAST, 7), OK),
        (composite(9, NhFlag.MCAST, 4), EINVAL),
        (composite(9, NhFlag.MCAST, 7, family=Family.UNSPEC), EINVAL),
    ],
)
def test_next_hops(vr: VRouter, row: NextHop, code: int) -> None:
    """Present: 1 MPLS tunnel, 2 VXLAN tunnel, 3 routed, 4 bridged, 5 multicast encap, 6 plain UDP, 7 composite of 4."""
    multicast = encap(5, flags=VALID | NhFlag.MCAST)
    present = (
        tunnel(1),
        tunnel(2, NhFlag.TUNNEL_VXLAN),
        encap(3),
        encap(4, Family.BRIDGE),
        multicast,
        tunnel(6, NhFlag.TUNNEL_UDP),
        composite(7, NhFlag.COMPOSITE_ENCAP, 4),
    )
    assert [vr.add(other) for other in present] == [OK] * len(present)
    assert vr.add(row) == code
    assert (vr.get(NextHop, row.id) == row) is (code == OK)


def test_a_change_keeps_type_and_length_and_refusal_changes_nothing(vr: VRouter) -> None:
    first = encap(9)
    assert vr.add(first) == OK
    assert vr.change(tunnel(9)) == EINVAL
    assert vr.change(encap(9, encap=bytes(18))) == EINVAL
    assert vr.get(NextHop, 9) == first
    assert vr.change(encap(9, encap=b"\1" * 14)) == OK
    assert vr.change(NextHop(9, NhType.TUNNEL, flags=NhFlag(0))) == OK, "an invalid next hop may become anything"


def test_the_discard_next_hop_is_always_there(vr: VRouter) -> None:
    assert vr.delete(NextHop(0, NhType.DISCARD)) == EINVAL
    assert vr.delete(NextHop(8, NhType.DISCARD)) == EINVAL
    vr.reset()
    assert [row.id for row in vr.dump(NextHop)] == [0]


def test_a_deleted_next_hop_lives_while_a_route_uses_it_and_its_id_is_free(vr: VRouter) -> None:
    assert vr.add(encap(9)) == vr.add(InetRoute(2, 1, 32, 9)) == vr.delete(encap(9)) == OK
    assert vr.add(tunnel(9)) == OK
    entry = vr.store.inet.lookup(2, 1).next_hop
    assert entry.type is NhType.ENCAP and not entry.alive


@pytest.mark.parametrize(
    ("row", "code"),
    [
        (InetRoute(2, 1, 32, 0), OK),
        (InetRoute(2, 1, 33, 0), EINVAL),
        (InetRoute(65536, 1, 32, 0), EINVAL),
        (InetRoute(2, 1, 32, 77), ENOENT),
        (InetRoute(2, 1, 32, 0, mac=MAC), ENOENT),
        (InetRoute(2, 1, 32, 1), EINVAL),
        (InetRoute(2, 1, 32, 1, 20, RouteFlag.LABEL_VALID), OK),
        (Inet6Route(2, bytes(16), 0, 0), OK),
        (Inet6Route(2, bytes(15), 0, 0), EINVAL),
        (Inet6Route(2, bytes(16), 129, 0), EINVAL),
        (BridgeRoute(2, MAC, 0), OK),
        (BridgeRoute(2, bytes(6), 0), EINVAL),
        (BridgeRoute(2, MAC, 77), ENOENT),
        (MplsLabel(5119, 0), OK),
        (MplsLabel(5120, 0), EINVAL),
        (MplsLabel(16, 77), EINVAL),
        (Vxlan(0xFFFFFF, 0), OK),
        (Vxlan(0x1000000, 0), EINVAL),
        (VrfAssign(3, 1023, 2), OK),
        (VrfAssign(3, 1024, 2), EINVAL),
        (VrfAssign(77, 1, 2), EINVAL),
        (Mirror(254, 0), OK),
        (Mirror(255, 0), EINVAL),
        (Vrf(2), OK),
        (Vrf(65536), EINVAL),
    ],
)
def test_other_rows(vr: VRouter, row: Any, code: int) -> None:
    assert vr.add(tunnel(1)) == OK
    assert vr.add(row) == code
    if code == OK:
        assert vr.get(type(row), row.identity) == row and row in vr.dump(type(row))
        assert vr.delete(row) == OK and row not in vr.dump(type(row))
    if not isinstance(row, MplsLabel):
        assert vr.delete(row) != OK


def test_what_the_data_path_owns_is_masked_from_requests(vr: VRouter) -> None:
    flags = BridgeFlag.VALID | BridgeFlag.MAC_NEW | BridgeFlag.FLOOD_DHCP
    assert vr.add(BridgeRoute(2, MAC, 0, 5, flags)) == OK
    assert vr.get(BridgeRoute, (2, MAC)) == BridgeRoute(2, MAC, 0, -1, BridgeFlag.FLOOD_DHCP)
    assert vr.add(Vif(3, VifType.HOST, VifFlag.POLICY | VifFlag.GRO_NEEDED, vrf=9)) == OK
    row = vr.get(Vif, 3)
    assert row is not None and (row.type, row.flags, row.vrf) == (VifType.VIRTUAL, VifFlag.POLICY, 9)


def test_a_new_next_hop_forgets_that_the_mac_moved(vr: VRouter) -> None:
    moved = BridgeFlag.MAC_MOVED
    assert vr.add(encap(9)) == vr.add(BridgeRoute(2, MAC, 0, label_flags=moved)) == OK
    row = vr.get(BridgeRoute, (2, MAC))
    assert row is not None and row.label_flags == moved
    assert vr.add(BridgeRoute(2, MAC, 9, label_flags=moved)) == OK
    row = vr.get(BridgeRoute, (2, MAC))
    assert row is not None and not row.label_flags


def test_get_of_a_route_is_a_longest_prefix_lookup(vr: VRouter, lab: Lab) -> None:
    """The scenarios of test_rt_ipv4: default, super, sub and host routes, and deletion from the middle."""
    routes = [
        InetRoute(0, lab.ip(prefix), length, nh_id)
        for prefix, length, nh_id in (
            ("0.0.0.0", 0, 1),
            ("1.1.0.0", 16, 2),
            ("1.1.1.0", 24, 3),
            ("1.1.1.4", 30, 4),
            ("1.1.1.5", 32, 5),
        )
    ]
    for row in routes:
        assert vr.add(NextHop(row.nh_id, NhType.RESOLVE)) == vr.add(row) == OK

    def next_hop(address: str) -> int:
        found = vr.get(InetRoute, (0, lab.ip(address), 32))
        return -1 if found is None else found.nh_id

    addresses = ("9.9.9.9", "1.1.2.2", "1.1.1.1", "1.1.1.7", "1.1.1.5")
    assert [next_hop(address) for address in addresses] == [1, 2, 3, 4, 5]
    assert vr.delete(routes[2]) == OK
    assert [next_hop(address) for address in addresses] == [1, 2, 2, 4, 5]
    assert vr.delete(routes[0]) == vr.delete(routes[4]) == OK
    assert [next_hop(address) for address in addresses] == [-1, 2, 2, 4, 4]
    assert vr.delete(routes[0]) == ENOENT
    assert vr.dump(InetRoute) == [routes[1], routes[3]]


def test_inet6_likewise(vr: VRouter, lab: Lab) -> None:
    wide = Inet6Route(0, lab.ip6("fd00::"), 8, 1)
    narrow = Inet6Route(0, lab.ip6("fd00::5"), 128, 2)
    for nh_id in (1, 2):
        assert vr.add(NextHop(nh_id, NhType.RESOLVE)) == OK
    assert vr.add(wide) == vr.add(narrow) == OK
    assert vr.get(Inet6Route, (0, lab.ip6("fd00::5"), 128)) == narrow
    assert vr.get(Inet6Route, (0, lab.ip6("fd00::6"), 128)) == wide
    assert vr.get(Inet6Route, (1, lab.ip6("fd00::6"), 128)) is None


def test_reset_empties_everything(vr: VRouter) -> None:
    for row in (
        encap(9),
        InetRoute(2, 1, 32, 9),
        BridgeRoute(2, MAC, 9),
        MplsLabel(16, 9),
        Vxlan(5, 9),
        Mirror(1, 9),
        Vrf(2),
    ):
        assert vr.add(row) == OK
    assert vr.add(Flow(FlowKey(1, 2, 3, 17, 4, 5))) == OK
    vr.reset()
    kinds: tuple[type, ...] = (Vif, InetRoute, Inet6Route, BridgeRoute, MplsLabel, Vxlan, VrfAssign, Mirror, Vrf, Flow)
    assert [vr.dump(kind) for kind in kinds] == [[]] * len(kinds)
    assert len(vr.flows) == 0


def test_unknown_identities_are_none(vr: VRouter) -> None:
    assert vr.get(Vif, 99) is None and vr.get(BridgeRoute, (1, MAC)) is None and vr.get(Flow, 7) is None


def test_drop_reasons_have_the_kernels_numbers_and_labels() -> None:
    assert (Drop.DISCARD, Drop.INVALID_UNDERLAY_ECMP, Drop.FLOW_ACTION_DROP) == (1, 54, 11)
    hidden = {Drop.INVALID, Drop.VLAN_FWD_TX, Drop.VLAN_FWD_ENQ, Drop.CLONED_ORIGINAL}
    assert set(DROPSTATS_ORDER) == set(Drop) - hidden and len(DROPSTATS_ORDER) == len(set(DROPSTATS_ORDER))
    assert len({reason.label for reason in Drop}) == len(Drop) == 55


def test_counters_of_an_interface_can_be_cleared(vr: VRouter) -> None:
    vr.receive(3, b"\x02" * 60)
    vif = vr.interface(3)
    assert vif is not None and vif.counters()["ipackets"] == 1 and vif.counters()["dpackets"] == 1
    vif.clear_counters()
    assert set(vif.counters().values()) == {0}

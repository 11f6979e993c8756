"""The objects an agent programs into the forwarding model, with the kernel module's fields.

Source of fields and rules: reference/vrouter.md 2-5 and 11.

Rows are immutable: the agent builds one, hands it to `VRouter.add`, `.change` or `.delete` and gets 0 or a negative
errno.
Conventions in every row:

- an IPv4 address is an `int` in network order (`int(IPv4Address(...))`), an IPv6 address 16 bytes, a MAC 6 bytes;
- ports and VLAN ids are plain integers;
- `label` is -1 when there is none; a route's label counts only with its LABEL_VALID flag;
- `vrf` indices are below 65536, 65535 stands for none where none is possible.

`identity` is what `VRouter.get(kind, identity)` takes and what makes two rows the same object.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from .drops import Drop, FlowDrop
from .flags import (
    BRIDGE_OWNED_BY_VROUTER,
    BROADCAST_MAC,
    DISCARD_NH,
    FLOW_BUCKET,
    FLOW_ENTRIES,
    FLOW_HOLD_LIMIT,
    FLOW_HOLD_QUEUE,
    FLOW_NAT_FLAGS,
    FLOW_OVERFLOW_ENTRIES,
    FLOW_OWNED_BY_VROUTER,
    MAX_FORWARDING_CLASSES,
    MAX_LABELS,
    MAX_MIRRORS,
    MAX_NEXT_HOPS,
    MAX_QOS_MAPS,
    MAX_UNICAST_LABELS,
    MAX_VIFS,
    MAX_VNI,
    MAX_VRFS,
    MOCK_UDP_SOURCE_PORT,
    NO_LABEL,
    NO_MIRROR,
    NO_QOS,
    NO_VLAN,
    NO_VRF,
    VIF_FLAG_LETTERS,
    VIF_OWNED_BY_VROUTER,
    VRF_ASSIGN_VLANS,
    VROUTER_MAC,
    ZERO_IP6,
    ZERO_MAC,
    AgentCommand,
    BridgeFlag,
    EcmpHash,
    Family,
    FlowAction,
    FlowExtFlag,
    FlowFlag,
    MirrorFlag,
    NhFlag,
    NhType,
    RouteFlag,
    TcpFlowFlag,
    Transport,
    VifFlag,
    VifType,
)

__all__ = [
    "BRIDGE_OWNED_BY_VROUTER",
    "BROADCAST_MAC",
    "DISCARD_NH",
    "FLOW_BUCKET",
    "FLOW_DELETED",
    "FLOW_ENTRIES",
    "FLOW_HOLD_LIMIT",
    "FLOW_HOLD_QUEUE",
    "FLOW_NAT_FLAGS",
    "FLOW_OVERFLOW_ENTRIES",
    "FLOW_OWNED_BY_VROUTER",
    "MAX_FORWARDING_CLASSES",
    "MAX_LABELS",
    "MAX_MIRRORS",
    "MAX_NEXT_HOPS",
    "MAX_QOS_MAPS",
    "MAX_UNICAST_LABELS",
    "MAX_VIFS",
    "MAX_VNI",
    "MAX_VRFS",
    "MOCK_UDP_SOURCE_PORT",
    "NO_LABEL",
    "NO_MIRROR",
    "NO_QOS",
    "NO_VLAN",
    "NO_VRF",
    "VIF_FLAG_LETTERS",
    "VIF_OWNED_BY_VROUTER",
    "VRF_ASSIGN_VLANS",
    "VROUTER_MAC",
    "ZERO_IP6",
    "ZERO_MAC",
    "AgentCommand",
    "BridgeFlag",
    "BridgeRoute",
    "Drop",
    "EcmpHash",
    "Family",
    "FatFlow",
    "Flow",
    "FlowAction",
    "FlowDrop",
    "FlowExtFlag",
    "FlowFlag",
    "FlowKey",
    "FlowResponse",
    "ForwardingClass",
    "Inet6Route",
    "InetRoute",
    "Mirror",
    "MirrorFlag",
    "MplsLabel",
    "NextHop",
    "NhFlag",
    "NhType",
    "QosMap",
    "RouteFlag",
    "Row",
    "TcpFlowFlag",
    "Transport",
    "Vif",
    "VifFlag",
    "VifType",
    "Vrf",
    "VrfAssign",
    "Vxlan",
]

_NO_VIFFLAG: Final = VifFlag(0)
_NO_ROUTEFLAG: Final = RouteFlag(0)
_NO_BRIDGEFLAG: Final = BridgeFlag(0)
_NO_MIRRORFLAG: Final = MirrorFlag(0)
_NO_FLOWEXTFLAG: Final = FlowExtFlag(0)


@dataclass(frozen=True, slots=True)
class FatFlow:
    """One fat-flow rule of a vif: flows of this protocol (port 0: any port) are keyed without the fields in `ignore`.

    `ignore` bits: 1 source port, 2 destination port, 4 source address, 8 destination address.
    """

    proto: int
    port: int = 0
    ignore: int = 0


@dataclass(frozen=True, slots=True)
class Vif:
    """vr_interface_req: an interface. Adding an index that exists changes it; its type cannot change."""

    idx: int
    type: VifType = VifType.VIRTUAL
    flags: VifFlag = _NO_VIFFLAG
    vrf: int = 0
    name: str = ""
    mac: bytes = VROUTER_MAC
    ip: int = 0
    ip6: bytes = ZERO_IP6
    mtu: int = 0
    nh_id: int = 0
    transport: Transport = Transport.ETH
    mcast_vrf: int = NO_VRF
    vlan_id: int = NO_VLAN
    ovlan_id: int = NO_VLAN
    parent_vif_idx: int = -1
    src_mac: tuple[bytes, ...] = ()
    cross_connect_idx: tuple[int, ...] = ()
    mir_id: int = NO_MIRROR
    in_mirror_md: bytes = b""
    out_mirror_md: bytes = b""
    qos_map_index: int = NO_QOS
    isid: int = 0
    pbb_mac: bytes = ZERO_MAC
    os_idx: int = 0
    fat_flow: tuple[FatFlow, ...] = ()

    @property
    def identity(self) -> int:
        return self.idx


@dataclass(frozen=True, slots=True)
class NextHop:
    """vr_nexthop_req: a next hop. `id` 0 is the discard next hop and exists from the start.

    - ENCAP: `encap_oif_id` one vif index, `encap` the Ethernet header to write (14 bytes), `family` INET or BRIDGE.
    - TUNNEL: `encap_oif_id` (one, or three with TUNNEL_UNDERLAY_ECMP), `tun_sip`, `tun_dip`, `encap` the outer Ethernet
      header (one per oif), `encap_valid` one truth per oif for underlay ECMP. The label comes from the route, not from
      here.
    - RCV: `encap_oif_id` the vif that gets the packet. VRF_TRANSLATE: `vrf`.
    - COMPOSITE: `nh_list` and `label_list` of one length. A component whose id is not present when the row arrives
      stays empty until the composite is sent again.
    """

    id: int
    type: NhType
    family: Family = Family.INET
    flags: NhFlag = NhFlag.VALID
    vrf: int = 0
    encap_oif_id: tuple[int, ...] = ()
    encap: bytes = b""
    encap_valid: tuple[bool, ...] = ()
    tun_sip: int = 0
    tun_dip: int = 0
    tun_sip6: bytes = b""
    tun_dip6: bytes = b""
    tun_sport: int = 0
    tun_dport: int = 0
    nh_list: tuple[int, ...] = ()
    label_list: tuple[int, ...] = ()
    ecmp_config_hash: int = 0
    pbb_mac: bytes = ZERO_MAC
    rw_dst_mac: bytes = ZERO_MAC
    transport_label: int = NO_LABEL

    @property
    def identity(self) -> int:
        return self.id


@dataclass(frozen=True, slots=True)
class InetRoute:
    """vr_route_req of family INET. `mac` is the stitched MAC; its bridge route in the VRF must exist (else ENOENT)."""

    vrf: int
    prefix: int
    prefix_len: int
    nh_id: int = 0
    label: int = NO_LABEL
    label_flags: RouteFlag = _NO_ROUTEFLAG
    mac: bytes = ZERO_MAC
    replace_plen: int = 0

    @property
    def identity(self) -> tuple[int, int, int]:
        return self.vrf, self.prefix, self.prefix_len


@dataclass(frozen=True, slots=True)
class Inet6Route:
    """vr_route_req of family INET6; otherwise like `InetRoute`."""

    vrf: int
    prefix: bytes
    prefix_len: int
    nh_id: int = 0
    label: int = NO_LABEL
    label_flags: RouteFlag = _NO_ROUTEFLAG
    mac: bytes = ZERO_MAC
    replace_plen: int = 0

    @property
    def identity(self) -> tuple[int, bytes, int]:
        return self.vrf, self.prefix, self.prefix_len


@dataclass(frozen=True, slots=True)
class BridgeRoute:
    """vr_route_req of family BRIDGE: (MAC, VRF) -> next hop, with an MPLS label or VNI."""

    vrf: int
    mac: bytes
    nh_id: int = 0
    label: int = NO_LABEL
    label_flags: BridgeFlag = _NO_BRIDGEFLAG

    @property
    def identity(self) -> tuple[int, bytes]:
        return self.vrf, self.mac


@dataclass(frozen=True, slots=True)
class MplsLabel:
    """vr_mpls_req: an entry of the incoming label map, labels 0..5119."""

    label: int
    nh_id: int = 0

    @property
    def identity(self) -> int:
        return self.label


@dataclass(frozen=True, slots=True)
class Vxlan:
    """vr_vxlan_req: VNI (24 bits) -> next hop, normally a VRF_TRANSLATE of family BRIDGE."""

    vnid: int
    nh_id: int = 0

    @property
    def identity(self) -> int:
        return self.vnid


@dataclass(frozen=True, slots=True)
class VrfAssign:
    """vr_vrf_assign_req: on a service vif, VLAN (below 1024) -> VRF and flow-key next hop."""

    vif_index: int
    vlan_id: int
    vrf: int = 0
    nh_id: int = 0

    @property
    def identity(self) -> tuple[int, int]:
        return self.vif_index, self.vlan_id


@dataclass(frozen=True, slots=True)
class Mirror:
    """vr_mirror_req: where copies of packets go."""

    index: int
    nh_id: int = 0
    flags: MirrorFlag = _NO_MIRRORFLAG
    vni: int = -1
    vlan: int = NO_VLAN

    @property
    def identity(self) -> int:
        return self.index


@dataclass(frozen=True, slots=True)
class Vrf:
    """vr_vrf_req: flags of a VRF and its two host-based-firewall vifs. VRFs need not be added to hold routes."""

    idx: int
    flags: int = 1
    hbf_left_vif: int = -1
    hbf_right_vif: int = -1

    @property
    def identity(self) -> int:
        return self.idx


@dataclass(frozen=True, slots=True)
class ForwardingClass:
    """vr_fc_map_req, one class: what packets of it are marked with. `mpls_qos` and `dotonep` have 3 bits, `dscp` 6."""

    id: int
    dscp: int = 0
    mpls_qos: int = 0
    dotonep: int = 0
    queue_id: int = 0

    @property
    def identity(self) -> int:
        return self.id


@dataclass(frozen=True, slots=True)
class QosMap:
    """vr_qos_map_req: pairs (value in the packet, forwarding class id) per kind of marking."""

    id: int
    dscp: tuple[tuple[int, int], ...] = ()
    mpls_qos: tuple[tuple[int, int], ...] = ()
    dotonep: tuple[tuple[int, int], ...] = ()

    @property
    def identity(self) -> int:
        return self.id


@dataclass(frozen=True, slots=True)
class FlowKey:
    """The key of a flow entry. `sip` and `dip` are `int` for IPv4 and 16 bytes for IPv6.

    `nh_id` is the flow-key next hop: vif_nh_id of the ingress vif, or, from the fabric, of the vif the packet goes to.
    ICMP echo and its reply: `sport` the identifier, `dport` 0. Other ICMP: `sport` 0, `dport` the type.
    """

    nh_id: int
    sip: int | bytes
    dip: int | bytes
    proto: int
    sport: int
    dport: int

    @property
    def family(self) -> Family:
        return Family.INET if isinstance(self.sip, int) else Family.INET6

    def pack(self) -> bytes:
        """The key bytes as the kernel hashes them: 20 for IPv4, 44 for IPv6."""
        head = bytes((self.family, self.proto, 0, 0)) + self.sport.to_bytes(2, "big") + self.dport.to_bytes(2, "big")
        head += (self.nh_id & 0xFFFFFFFF).to_bytes(4, "big")
        if isinstance(self.sip, int) and isinstance(self.dip, int):
            return head + self.sip.to_bytes(4, "big") + self.dip.to_bytes(4, "big")
        assert isinstance(self.sip, bytes) and isinstance(self.dip, bytes)
        return head + self.sip + self.dip


@dataclass(frozen=True, slots=True)
class Flow:
    """vr_flow_req with FLOW_SET semantics (reference 5).

    `index` -1 adds; an index with ACTIVE changes that entry and `gen_id` must be its generation; without ACTIVE it
    deletes.
    `rindex` is the reverse entry; with RFLOW_VALID and `rindex` -1 it is searched by `rflow`.
    `src_nh_index` is the next hop that must own the source (RPF); 0 accepts any source.
    """

    key: FlowKey
    index: int = -1
    gen_id: int = 0
    action: FlowAction = FlowAction.FORWARD
    flags: FlowFlag = FlowFlag.ACTIVE
    extflags: FlowExtFlag = _NO_FLOWEXTFLAG
    vrf: int = 0
    dvrf: int = 0
    rindex: int = -1
    rflow: FlowKey | None = None
    src_nh_index: int = 0
    ecmp_nh_index: int = -1
    underlay_ecmp_index: int = -1
    mir_id: int = NO_MIRROR
    sec_mir_id: int = NO_MIRROR
    qos_id: int = NO_QOS
    ttl: int = 0
    drop_reason: int = 0
    pcap_meta_data: bytes = b""

    @property
    def identity(self) -> FlowKey:
        return self.key


@dataclass(frozen=True, slots=True)
class FlowResponse:
    """vr_flow_response: what FLOW_SET answers.

    `code` is 0 or a negative errno; with -EEXIST index and gen_id name the entry that exists; `flags` 1 means deleted.
    """

    code: int
    index: int = -1
    gen_id: int = 0
    flags: int = 0
    bytes: int = 0
    packets: int = 0


FLOW_DELETED: Final = 1

Row = (
    Vif
    | NextHop
    | InetRoute
    | Inet6Route
    | BridgeRoute
    | MplsLabel
    | Vxlan
    | VrfAssign
    | Mirror
    | Vrf
    | ForwardingClass
    | QosMap
    | Flow
)

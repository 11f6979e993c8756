"""Constants of the kernel module's objects: types, flags, actions and trap reasons (reference/vrouter.md 2-5, 8).

Values are those that travel in the kernel module's own messages, so a row printed in hexadecimal can be compared with
the output of the command line utilities of a real vRouter.
"""

from __future__ import annotations

from enum import IntEnum, IntFlag

MAX_VIFS = 4355
MAX_NEXT_HOPS = 524288
MAX_LABELS = 5120
MAX_UNICAST_LABELS = 1024
MAX_VRFS = 65536
MAX_MIRRORS = 255
MAX_VNI = 1 << 24
MAX_QOS_MAPS = 4096
MAX_FORWARDING_CLASSES = 256
VRF_ASSIGN_VLANS = 1024
FLOW_ENTRIES = 524288
FLOW_OVERFLOW_ENTRIES = 105472
FLOW_BUCKET = 4
FLOW_HOLD_LIMIT = 8192
FLOW_HOLD_QUEUE = 3

NO_VRF = 65535
NO_VLAN = 65535
NO_LABEL = -1
NO_MIRROR = 255
NO_QOS = -1
DISCARD_NH = 0

ZERO_MAC = bytes(6)
BROADCAST_MAC = b"\xff" * 6
VROUTER_MAC = bytes.fromhex("00005e000100")
ZERO_IP6 = bytes(16)


class VifType(IntEnum):
    """What stands behind a vif (vifr_type)."""

    HOST = 0
    AGENT = 1
    PHYSICAL = 2
    VIRTUAL = 3
    XEN_LL_HOST = 4
    GATEWAY = 5
    VIRTUAL_VLAN = 6
    STATS = 7
    VLAN = 8
    MONITORING = 9


class Transport(IntEnum):
    """How frames reach a vif (vifr_transport)."""

    VIRTUAL = 0
    ETH = 1
    PMD = 2
    SOCKET = 3


class VifFlag(IntFlag):
    """vifr_flags."""

    POLICY = 0x1
    XCONNECT = 0x2
    SERVICE_IF = 0x4
    MIRROR_RX = 0x8
    MIRROR_TX = 0x10
    TX_CSUM_OFFLOAD = 0x20
    L3_ENABLED = 0x40
    L2_ENABLED = 0x80
    DHCP_ENABLED = 0x100
    VHOST_PHYS = 0x200
    PROMISCUOUS = 0x400
    NATIVE_VLAN_TAG = 0x800
    NO_ARP_PROXY = 0x1000
    PMD = 0x2000
    FILTERING_OFFLOAD = 0x4000
    MONITORED = 0x8000
    UNKNOWN_UC_FLOOD = 0x10000
    VLAN_OFFLOAD = 0x20000
    DROP_NEW_FLOWS = 0x40000
    MAC_LEARN = 0x80000
    MAC_PROXY = 0x100000
    ETREE_ROOT = 0x200000
    GRO_NEEDED = 0x400000
    MRG_RXBUF = 0x800000
    MIRROR_NOTAG = 0x1000000
    IGMP_ENABLED = 0x2000000
    MOCK_DEVICE = 0x4000000
    HBS_LEFT = 0x8000000
    HBS_RIGHT = 0x10000000
    FAB_GW_MODE = 0x20000000
    MAC_IP_LEARNING = 0x40000000


VIF_FLAG_LETTERS: dict[VifFlag, str] = {
    VifFlag.POLICY: "P",
    VifFlag.XCONNECT: "X",
    VifFlag.SERVICE_IF: "S",
    VifFlag.MIRROR_RX: "Mr",
    VifFlag.MIRROR_TX: "Mt",
    VifFlag.TX_CSUM_OFFLOAD: "Tc",
    VifFlag.L3_ENABLED: "L3",
    VifFlag.L2_ENABLED: "L2",
    VifFlag.DHCP_ENABLED: "D",
    VifFlag.VHOST_PHYS: "Vp",
    VifFlag.PROMISCUOUS: "Pr",
    VifFlag.NATIVE_VLAN_TAG: "Vnt",
    VifFlag.NO_ARP_PROXY: "Mnp",
    VifFlag.PMD: "Dpdk",
    VifFlag.FILTERING_OFFLOAD: "Rfl",
    VifFlag.MONITORED: "Mon",
    VifFlag.UNKNOWN_UC_FLOOD: "Uuf",
    VifFlag.VLAN_OFFLOAD: "Vof",
    VifFlag.DROP_NEW_FLOWS: "Df",
    VifFlag.MAC_LEARN: "L",
    VifFlag.MAC_PROXY: "Proxy",
    VifFlag.ETREE_ROOT: "Er",
    VifFlag.MIRROR_NOTAG: "Mn",
    VifFlag.IGMP_ENABLED: "Ig",
    VifFlag.HBS_LEFT: "HbsL",
    VifFlag.HBS_RIGHT: "HbsR",
    VifFlag.MAC_IP_LEARNING: "Ml",
}
"""The letters `vif --list` prints for a flag."""

VIF_OWNED_BY_VROUTER = VifFlag.TX_CSUM_OFFLOAD | VifFlag.VLAN_OFFLOAD | VifFlag.GRO_NEEDED | VifFlag.MRG_RXBUF


class Family(IntEnum):
    """Address families a next hop or route names."""

    UNSPEC = 0
    INET = 2
    BRIDGE = 7
    INET6 = 10


class NhType(IntEnum):
    """nhr_type."""

    DEAD = 0
    RCV = 1
    ENCAP = 2
    TUNNEL = 3
    RESOLVE = 4
    DISCARD = 5
    COMPOSITE = 6
    VRF_TRANSLATE = 7
    L2_RCV = 8


class NhFlag(IntFlag):
    """nhr_flags."""

    VALID = 0x1
    POLICY = 0x2
    TUNNEL_GRE = 0x8
    TUNNEL_UDP = 0x10
    MCAST = 0x20
    TUNNEL_UDP_MPLS = 0x40
    TUNNEL_VXLAN = 0x80
    RELAXED_POLICY = 0x100
    COMPOSITE_FABRIC = 0x200
    COMPOSITE_ECMP = 0x400
    COMPOSITE_LU_ECMP = 0x800
    COMPOSITE_EVPN = 0x1000
    COMPOSITE_ENCAP = 0x2000
    COMPOSITE_TOR = 0x4000
    ROUTE_LOOKUP = 0x8000
    UNKNOWN_UC_FLOOD = 0x10000
    TUNNEL_SIP_COPY = 0x20000
    FLOW_LOOKUP = 0x40000
    TUNNEL_PBB = 0x80000
    MAC_LEARN = 0x100000
    ETREE_ROOT = 0x200000
    INDIRECT = 0x400000
    L2_CONTROL_DATA = 0x800000
    CRYPT_TRAFFIC = 0x1000000
    L3_VXLAN = 0x2000000
    TUNNEL_MPLS_O_MPLS = 0x4000000
    VALIDATE_MCAST_SRC = 0x8000000
    TUNNEL_UNDERLAY_ECMP = 0x10000000


class RouteFlag(IntFlag):
    """rtr_label_flags of an inet or inet6 route."""

    LABEL_VALID = 0x1
    ARP_PROXY = 0x2
    ARP_TRAP = 0x4
    ARP_FLOOD = 0x8
    MAC_IP_LEARNT = 0x10


class BridgeFlag(IntFlag):
    """rtr_label_flags of a bridge route; VALID and MAC_NEW belong to the data path and are masked from requests."""

    VALID = 0x1
    LABEL_VALID = 0x2
    FLOOD_DHCP = 0x4
    MAC_MOVED = 0x8
    L2_CONTROL_DATA = 0x10
    MAC_NEW = 0x20
    EVPN_CONTROL_PROCESSING = 0x40


BRIDGE_OWNED_BY_VROUTER = BridgeFlag.VALID | BridgeFlag.MAC_NEW


class EcmpHash(IntFlag):
    """nhr_ecmp_config_hash: which fields choose a component when there is no flow; 0 means all five."""

    PROTO = 1
    SRC_IP = 2
    SRC_PORT = 4
    DST_IP = 8
    DST_PORT = 16


class FlowAction(IntEnum):
    """fr_action."""

    DROP = 0
    HOLD = 1
    FORWARD = 2
    NAT = 3


class FlowFlag(IntFlag):
    """fe_flags."""

    ACTIVE = 0x1
    SNAT = 0x2
    SPAT = 0x4
    DNAT = 0x8
    DPAT = 0x10
    TRAP_ECMP = 0x20
    DELETE_MARKED = 0x40
    BGP_SERVICE = 0x80
    MODIFIED = 0x100
    NEW_FLOW = 0x200
    EVICT_CANDIDATE = 0x400
    EVICTED = 0x800
    RFLOW_VALID = 0x1000
    MIRROR = 0x2000
    VRFT = 0x4000
    LINK_LOCAL = 0x8000


FLOW_OWNED_BY_VROUTER = FlowFlag.MODIFIED | FlowFlag.NEW_FLOW | FlowFlag.EVICT_CANDIDATE | FlowFlag.EVICTED
FLOW_NAT_FLAGS = FlowFlag.SNAT | FlowFlag.SPAT | FlowFlag.DNAT | FlowFlag.DPAT


class FlowExtFlag(IntFlag):
    """fr_extflags."""

    FORCE_EVICT = 1
    MOCK_SRC_UDP = 2


MOCK_UDP_SOURCE_PORT = 0x12B5


class TcpFlowFlag(IntFlag):
    """What a flow entry has seen of its TCP connection (fe_tcp_flags)."""

    FIN = 0x1
    HALF_CLOSE = 0x2
    FIN_R = 0x4
    SYN = 0x8
    SYN_R = 0x10
    ESTABLISHED = 0x20
    ESTABLISHED_R = 0x40
    RST = 0x80
    DEAD = 0x8000


class MirrorFlag(IntFlag):
    """mirr_flags."""

    DYNAMIC = 1
    MARKED_DELETE = 2
    HW_ASSISTED = 4


class AgentCommand(IntEnum):
    """`cmd` of the agent header: two commands down (SWITCH, ROUTE), the others are trap reasons (reference 8)."""

    SWITCH = 0
    ROUTE = 1
    ARP = 2
    L2_PROTOCOLS = 3
    NEXTHOP = 4
    RESOLVE = 5
    FLOW_MISS = 6
    L3_PROTOCOLS = 7
    DIAG = 8
    ECMP_RESOLVE = 9
    SOURCE_MISMATCH = 10
    HANDLE_DF = 11
    ZERO_TTL = 12
    ICMP_ERROR = 13
    TOR_CONTROL_PKT = 14
    FLOW_ACTION_HOLD = 15
    ROUTER_ALERT = 16
    MAC_LEARN = 17
    MAC_MOVE = 18
    MAC_IP_LEARNING = 19
    BFD = 20

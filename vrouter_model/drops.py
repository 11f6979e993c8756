"""Why a packet was dropped: the vRouter's drop reasons and a flow's drop reasons (reference/vrouter.md 5, 10)."""

from __future__ import annotations

from enum import IntEnum


class Drop(IntEnum):
    """A drop reason by its kernel number; `.label` is the text `dropstats` prints."""

    label: str

    def __new__(cls, value: int, label: str) -> Drop:
        member = int.__new__(cls, value)
        member._value_ = value
        member.label = label
        return member

    INVALID = 0, "Invalid"
    DISCARD = 1, "Discards"
    PULL = 2, "Pull Fails"
    INVALID_IF = 3, "Invalid IF"
    INVALID_ARP = 4, "Invalid ARP"
    TRAP_NO_IF = 5, "Trap No IF"
    NOWHERE_TO_GO = 6, "Nowhere to go"
    FLOW_QUEUE_LIMIT_EXCEEDED = 7, "Flow Queue Limit Exceeded"
    FLOW_NO_MEMORY = 8, "Flow No Memory"
    FLOW_INVALID_PROTOCOL = 9, "Flow Invalid Protocol"
    FLOW_NAT_NO_RFLOW = 10, "Flow NAT no rflow"
    FLOW_ACTION_DROP = 11, "Flow Action Drop"
    FLOW_ACTION_INVALID = 12, "Flow Action Invalid"
    FLOW_UNUSABLE = 13, "Flow Unusable"
    FLOW_TABLE_FULL = 14, "Flow Table Full"
    INTERFACE_TX_DISCARD = 15, "IF TX Discard"
    INTERFACE_DROP = 16, "IF Drop"
    DUPLICATED = 17, "Duplicate"
    PUSH = 18, "Push Fails"
    TTL_EXCEEDED = 19, "TTL Exceeded"
    INVALID_NH = 20, "Invalid NH"
    INVALID_LABEL = 21, "Invalid Label"
    INVALID_PROTOCOL = 22, "Invalid Protocol"
    INTERFACE_RX_DISCARD = 23, "IF RX Discard"
    INVALID_MCAST_SOURCE = 24, "Invalid Mcast Source"
    HEAD_ALLOC_FAIL = 25, "Head Alloc Fails"
    PCOW_FAIL = 26, "PCOW fails"
    MCAST_DF_BIT = 27, "Jumbo Mcast Pkt with DF Bit"
    MCAST_CLONE_FAIL = 28, "Mcast Clone Fail"
    NO_MEMORY = 29, "Memory Failures"
    REWRITE_FAIL = 30, "Rewrite Fail"
    MISC = 31, "Misc"
    INVALID_PACKET = 32, "Invalid Packets"
    CKSUM_ERR = 33, "Checksum errors"
    NO_FMD = 34, "No Fmd"
    CLONED_ORIGINAL = 35, "Cloned Original"
    INVALID_VNID = 36, "Invalid VNID"
    FRAGMENTS = 37, "Fragment errors"
    INVALID_SOURCE = 38, "Invalid Source"
    L2_NO_ROUTE = 39, "No L2 Route"
    FRAGMENT_QUEUE_FAIL = 40, "Fragment Queueing Failures"
    VLAN_FWD_TX = 41, "VLAN fwd intf failed TX"
    VLAN_FWD_ENQ = 42, "VLAN fwd intf failed enq"
    NEW_FLOWS = 43, "New Flow Drops"
    FLOW_EVICT = 44, "Flow Unusable (Eviction)"
    TRAP_ORIGINAL = 45, "Original Packet Trapped"
    LEAF_TO_LEAF = 46, "Etree Leaf to Leaf"
    BMAC_ISID_MISMATCH = 47, "Bmac/ISID Mismatch"
    PKT_LOOP = 48, "Packet Loop"
    NO_CRYPT_PATH = 49, "No Encrypt Path Failures"
    INVALID_HBS_PKT = 50, "Invalid HBS received packet"
    NO_FRAG_ENTRY = 51, "No Fragment Entries"
    ICMP_ERROR = 52, "ICMP errors"
    CLONE_FAIL = 53, "Clone Failures"
    INVALID_UNDERLAY_ECMP = 54, "Invalid underlay ECMP"


class FlowDrop(IntEnum):
    """fr_drop_reason of a flow whose action is DROP; `.short` is what the `flow` utility prints.

    The reference gives the short names of the first sixteen and of the plain policy and security group reasons;
    the others are this package's own abbreviations in the same manner.
    """

    short: str

    def __new__(cls, value: int, short: str) -> FlowDrop:
        member = int.__new__(cls, value)
        member._value_ = value
        member.short = short
        return member

    UNKNOWN = 0x00, "Unknown"
    UNAVAILABLE_INTF = 0x01, "IntfErr"
    IPV4_FWD_DIS = 0x02, "Ipv4Dis"
    UNAVAILABLE_VRF = 0x03, "VrfErr"
    NO_SRC_ROUTE = 0x04, "NoSrcRt"
    NO_DST_ROUTE = 0x05, "NoDstRt"
    AUDIT_ENTRY = 0x06, "Audit"
    VRF_CHANGE = 0x07, "VrfChange"
    NO_REVERSE_FLOW = 0x08, "NoRevFlow"
    REVERSE_FLOW_CHANGE = 0x09, "RevFlowChng"
    NAT_CHANGE = 0x0A, "NatChng"
    FLOW_LIMIT = 0x0B, "FlowLim"
    LINKLOCAL_SRC_NAT = 0x0C, "LinkSrcNatErr"
    FAILED_VROUTER_INSTALL = 0x0D, "VrouterInstallFail"
    INVALID_L2_FLOW = 0x0E, "InvalidL2Flow"
    FLOW_ON_TSN = 0x0F, "TSNFlow"
    NO_MIRROR_ENTRY = 0x10, "NoMirror"
    SAME_FLOW_RFLOW_KEY = 0x11, "SameFlowRflowKey"
    PORT_MAP_DROP = 0x12, "PortMapDrop"
    NO_SRC_ROUTE_L2RPF = 0x13, "NoSrcRtL2Rpf"
    FAT_FLOW_NAT_CONFLICT = 0x14, "FatFlowNatConflict"
    POLICY = 0x15, "Policy"
    OUT_POLICY = 0x16, "OutPolicy"
    SG = 0x17, "SG"
    OUT_SG = 0x18, "OutSG"
    REVERSE_SG = 0x19, "RevSG"
    REVERSE_OUT_SG = 0x1A, "RevOutSG"
    FW_POLICY = 0x1B, "FwPolicy"
    OUT_FW_POLICY = 0x1C, "OutFwPolicy"
    REVERSE_FW_POLICY = 0x1D, "RevFwPolicy"
    REVERSE_OUT_FW_POLICY = 0x1E, "RevOutFwPolicy"
    FWAAS_POLICY = 0x1F, "FwaasPolicy"
    OUT_FWAAS_POLICY = 0x20, "OutFwaasPolicy"
    REVERSE_FWAAS_POLICY = 0x21, "RevFwaasPolicy"
    REVERSE_OUT_FWAAS_POLICY = 0x22, "RevOutFwaasPolicy"


def flow_drop_text(code: int) -> str:
    """The short name of a flow drop reason; a code outside the table prints as its number."""
    names = {int(reason): reason.short for reason in FlowDrop}
    return names.get(code, f"reason {code:#x}")


DROPSTATS_ORDER: tuple[Drop, ...] = (
    Drop.INVALID_IF,
    Drop.INVALID_ARP,
    Drop.TRAP_NO_IF,
    Drop.INTERFACE_TX_DISCARD,
    Drop.INTERFACE_DROP,
    Drop.INTERFACE_RX_DISCARD,
    Drop.FLOW_UNUSABLE,
    Drop.FLOW_NO_MEMORY,
    Drop.FLOW_TABLE_FULL,
    Drop.FLOW_NAT_NO_RFLOW,
    Drop.FLOW_ACTION_DROP,
    Drop.FLOW_ACTION_INVALID,
    Drop.FLOW_INVALID_PROTOCOL,
    Drop.FLOW_QUEUE_LIMIT_EXCEEDED,
    Drop.NEW_FLOWS,
    Drop.FLOW_EVICT,
    Drop.TRAP_ORIGINAL,
    Drop.DISCARD,
    Drop.TTL_EXCEEDED,
    Drop.MCAST_CLONE_FAIL,
    Drop.INVALID_NH,
    Drop.INVALID_LABEL,
    Drop.INVALID_PROTOCOL,
    Drop.LEAF_TO_LEAF,
    Drop.BMAC_ISID_MISMATCH,
    Drop.REWRITE_FAIL,
    Drop.INVALID_MCAST_SOURCE,
    Drop.PKT_LOOP,
    Drop.PUSH,
    Drop.PULL,
    Drop.DUPLICATED,
    Drop.HEAD_ALLOC_FAIL,
    Drop.PCOW_FAIL,
    Drop.INVALID_PACKET,
    Drop.MISC,
    Drop.NOWHERE_TO_GO,
    Drop.CKSUM_ERR,
    Drop.NO_FMD,
    Drop.INVALID_VNID,
    Drop.FRAGMENTS,
    Drop.INVALID_SOURCE,
    Drop.MCAST_DF_BIT,
    Drop.L2_NO_ROUTE,
    Drop.NO_MEMORY,
    Drop.FRAGMENT_QUEUE_FAIL,
    Drop.NO_CRYPT_PATH,
    Drop.INVALID_HBS_PKT,
    Drop.NO_FRAG_ENTRY,
    Drop.ICMP_ERROR,
    Drop.CLONE_FAIL,
    Drop.INVALID_UNDERLAY_ECMP,
)
"""The order in which `dropstats` prints its lines; Cloned Original is shown with --debug only."""

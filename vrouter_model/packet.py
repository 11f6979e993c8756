"""A packet on its way through the pipeline, with the metadata the stages hand each other (reference/vrouter.md 6)."""

from __future__ import annotations

from typing import Final

from .flags import NO_LABEL, NO_VLAN
from .tables.interface import Interface
from .tables.next_hop import NextHopEntry

NULL: Final = 0
ARP: Final = 1
IP: Final = 2
IP6: Final = 3
PBB: Final = 7
UNKNOWN: Final = 8

INITIAL_TTL: Final = 64
LOCAL_TTL: Final = 4
MAX_HOPS: Final = 24
TREE_HEADER: Final = 36

TOR_SOURCE: Final = 1
TOR_EVPN_SOURCE: Final = 2

ETHERTYPE_IP: Final = 0x0800
ETHERTYPE_ARP: Final = 0x0806
ETHERTYPE_VLAN: Final = 0x8100
ETHERTYPE_IP6: Final = 0x86DD
ETHERTYPE_PBB: Final = 0x88E7


class Packet:
    """`data` starts at the current head; `network` is the offset of the network header in it.

    While the link layer header is present it is `data[:network]`; `strip_link()` takes it off, `restore_link()` puts it
    back. `frame` is the frame as it was received: that is what a trap shows the agent, tunnel headers included.
    """

    __slots__ = (
        "data",
        "diag",
        "dotonep",
        "dscp",
        "dvrf",
        "ecmp_nh_index",
        "ecmp_src_nh_index",
        "etree",
        "etree_root",
        "flow_get",
        "flow_index",
        "flow_set",
        "frame",
        "hops",
        "l2_control_data",
        "label",
        "label_is_vni",
        "link",
        "local_ttl",
        "mirror_vlan",
        "mirrored",
        "multicast",
        "my_mac",
        "network",
        "next_hop",
        "outer_source",
        "replication",
        "src",
        "to_me",
        "to_me_interface",
        "tree_header",
        "ttl",
        "type",
        "udp_source_port",
        "underlay_ecmp_index",
        "vif",
        "vlan",
    )

    def __init__(self, frame: bytes, vif: Interface) -> None:
        self.frame = frame
        self.data = frame
        self.vif = vif
        self.network = 0
        self.link = b""
        self.type = NULL
        self.next_hop: NextHopEntry | None = None
        self.ttl = INITIAL_TTL
        self.multicast = False
        self.to_me_interface = False
        """Everything that arrives on this interface is for the host (cross-connect mode)."""
        self.flow_get = False
        self.flow_set = False
        self.diag = False
        self.mirrored = False
        self.mirror_vlan = NO_VLAN
        """The tag that tells a switch to mirror this packet (hardware-assisted mirrors)."""
        self.dvrf = vif.vrf
        self.vlan = NO_VLAN
        self.flow_index = -1
        self.label = NO_LABEL
        self.label_is_vni = False
        self.ecmp_nh_index = -1
        self.ecmp_src_nh_index = -1
        self.underlay_ecmp_index = -1
        self.outer_source = 0
        self.udp_source_port = 0
        self.to_me = False
        """Route it instead of bridging it."""
        self.src = 0
        self.replication = 0
        self.my_mac = False
        self.etree = False
        self.etree_root = False
        self.l2_control_data = False
        self.dscp = -1
        self.dotonep = -1
        self.local_ttl = LOCAL_TTL
        self.hops = 0
        """Next hops passed; more than `MAX_HOPS` means that tables send the packet in circles."""
        self.tree_header = False
        """The IP, UDP and VXLAN headers of the multicast tree stand in front of the inner Ethernet header."""

    def copy(self) -> Packet:
        """An independent packet with the same bytes and metadata."""
        other = Packet.__new__(Packet)
        for name in Packet.__slots__:
            setattr(other, name, getattr(self, name))
        return other

    def classify(self, start: int = 0) -> bool:
        """Read the Ethernet header at `data[start:]`: type, network offset, VLAN, multicast.

        False when a header is cut short; the stages behind may then rely on 20 bytes of IPv4 or 40 of IPv6, and on the
        options an IPv4 header announces.
        """
        data = self.data
        length = len(data)
        if length < start + 14:
            return False
        self.multicast = bool(data[start] & 1)
        ethertype = data[start + 12] << 8 | data[start + 13]
        offset = start + 14
        while ethertype == ETHERTYPE_VLAN:
            if length < offset + 4:
                return False
            if self.vlan == NO_VLAN:
                self.vlan = (data[offset] << 8 | data[offset + 1]) & 0xFFF
            ethertype = data[offset + 2] << 8 | data[offset + 3]
            offset += 4
        self.network = offset
        self.link = b""
        if ethertype == ETHERTYPE_IP:
            self.type = IP
            return length >= offset + 20 and (data[offset] >> 4 != 4 or length >= offset + (data[offset] & 0xF) * 4)
        if ethertype == ETHERTYPE_IP6:
            self.type = IP6
            return length >= offset + 40
        if ethertype == ETHERTYPE_PBB:
            self.type = PBB
            return length >= offset + 4 + 14
        self.type = ARP if ethertype == ETHERTYPE_ARP else UNKNOWN
        return True

    def classify_network(self) -> bool:
        """The head is a network header: tell its version. False when it is neither IPv4 nor IPv6 or is cut short."""
        data = self.data
        self.network = 0
        self.link = b""
        self.multicast = False
        version = data[0] >> 4 if data else 0
        if version == 4:
            self.type = IP
            return len(data) >= 20 and len(data) >= (data[0] & 0xF) * 4
        self.type = IP6
        return version == 6 and len(data) >= 40

    def strip_link(self) -> None:
        if self.network:
            self.link = self.data[: self.network]
            self.data = self.data[self.network :]
            self.network = 0

    def restore_link(self) -> None:
        if self.link:
            self.data = self.link + self.data
            self.network = len(self.link)
            self.link = b""

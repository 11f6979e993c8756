"""Behaviour profiles: where a real Contrail node differs from the standards, one documented switch each.

Two classes of switch exist:

- *peculiarity*: legal on the wire, and what a real node does. On in profile ``contrail``, off in ``rfc``.
- *defect*: malformed or wrong bytes, or a slip that only loses information. Off in both profiles; whoever tests a
  router against the slip turns the one switch on: ``dataclasses.replace(CONTRAIL, packed_evpn_l3_label_lost=True)``.

Crashes of the real software are never reproduced, so they have no switch. Sources are sections of ``reference/*.md``.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

SwitchClass = Literal["peculiarity", "defect"]


def _peculiarity(source: str, says: str, *, contrail: bool = True) -> Any:
    """A legal difference; ``contrail`` is its value in profile contrail, the opposite holds in profile rfc."""
    return field(default=contrail, metadata={"class": "peculiarity", "source": source, "says": says})


def _defect(source: str, says: str) -> Any:
    """A slip of the real software: off unless somebody asks for it."""
    return field(default=False, metadata={"class": "defect", "source": source, "says": says})


@dataclass(frozen=True, slots=True, kw_only=True)
class Behaviour:
    """All switches. The defaults are profile ``contrail``."""

    # --- BGP session -------------------------------------------------------------------------------------------------
    refuse_route_refresh: bool = _peculiarity(
        "bgp.md 1.4", "A ROUTE-REFRESH message is an unknown type: NOTIFICATION 1/3 and reset (RFC 2918 otherwise)."
    )
    require_multiprotocol_capability: bool = _peculiarity(
        "bgp.md 1.5", "An OPEN without any MP capability is refused with 2/7; otherwise it means IPv4 unicast."
    )
    refuse_own_identifier_from_ebgp: bool = _peculiarity(
        "bgp.md 1.5", "An OPEN with our own identifier gets 2/3 from any peer; RFC 6286 allows it across ASes."
    )
    short_open_fault_data: bool = _peculiarity(
        "bgp.md 1.5", "2/1 has one data byte and 2/7 none; RFC 4271 6.2 and RFC 5492 5 ask for more."
    )
    accept_as_trans_without_as4: bool = _peculiarity(
        "bgp.md 1.5", "My-AS 23456 without capability 65 passes the AS check whatever AS is configured."
    )
    delay_open_when_passive: bool = _peculiarity(
        "bgp.md 1.1", "On an inbound connection the OPEN is held back for 15 s or until the peer's OPEN comes."
    )
    close_extra_connection_silently: bool = _peculiarity(
        "bgp.md 1.1", "An inbound connection in Idle or Established is closed without a NOTIFICATION."
    )
    ignore_hold_expiry_with_unread_bytes: bool = _peculiarity(
        "bgp.md 1.1", "An expired hold timer is re-armed while received bytes wait to be processed."
    )
    send_hold_timer: bool = _peculiarity(
        "RFC 9687", "Reset a session whose peer reads nothing for the send hold time.", contrail=False
    )
    fsm_error_without_subcode: bool = _peculiarity(
        "bgp.md 1.6", "An unexpected message gives 5/0; otherwise the subcodes 1 to 3 of RFC 6608."
    )
    cease_with_text: bool = _peculiarity("bgp.md 7.29", "Cease/5 and Cease/7 carry a text in the data field.")
    always_send_graceful_restart_capability: bool = _peculiarity(
        "bgp.md 1.4", "Capability 64 is sent even with graceful restart off (time 0, no families)."
    )
    hold_back_end_of_rib: bool = _peculiarity(
        "bgp.md 1.9", "In the first 20 % of the End-of-RIB time (60 s) the R bit is set and End-of-RIB is held back."
    )
    ignore_classic_end_of_rib: bool = _peculiarity(
        "bgp.md 1.9", "The 23-byte empty UPDATE is accepted but does not count as End-of-RIB of IPv4 unicast."
    )

    stop_at_end_of_rib: bool = _peculiarity(
        "bgp.md 1.9", "Behind an empty MP_UNREACH nothing is read; otherwise it is no End-of-RIB beside routes."
    )
    cease_on_new_connection: bool = _peculiarity(
        "bgp.md 1.1", "A new connection of a peer that may restart ends the session by Cease/0 (RFC 4724 5: silently)."
    )

    refuse_open_that_ends_restart: bool = _peculiarity(
        "bgp.md 1.9", "An OPEN that breaks the rules of a restart is refused; RFC 4724 4.2 only drops stale routes."
    )

    # --- BGP: what is read -------------------------------------------------------------------------------------------
    reset_on_malformed_attribute: bool = _peculiarity(
        "bgp.md 7.2", "Any attribute fault resets the session (RFC 4271); otherwise RFC 7606 treat-as-withdraw."
    )
    reset_on_unknown_family: bool = _peculiarity(
        "bgp.md 1.6", "MP_REACH with an unknown AFI/SAFI resets with 3/9; otherwise it is ignored."
    )
    strict_next_hop_length: bool = _peculiarity(
        "bgp.md 2.2", "Only one next-hop length per family is taken (a 48-byte VPNv6 one resets with 3/9)."
    )
    ignore_unmapped_vpn6_next_hop: bool = _peculiarity(
        "bgp.md 2.2", "In inet6-vpn a next hop that is not IPv4-mapped leaves the path without a next hop."
    )
    drop_unknown_attributes: bool = _peculiarity(
        "bgp.md 3.1", "Unknown optional attributes are dropped, also transitive ones (RFC 4271 passes those on)."
    )
    drop_large_communities: bool = _peculiarity(
        "bgp.md 3.1", "LARGE_COMMUNITY counts as an unknown attribute and is dropped."
    )
    sort_communities: bool = _peculiarity(
        "bgp.md 3.1", "Community lists are sorted and freed of duplicates on receipt, so bytes change on the way."
    )
    clear_partial_bit: bool = _peculiarity(
        "bgp.md 3.1", "Known attributes leave with the flags of the table; RFC 4271 5 wants a set Partial bit kept."
    )
    keep_local_pref_from_ebgp: bool = _peculiarity(
        "bgp.md 3.1", "LOCAL_PREF from an eBGP peer is used (RFC 4271 5.1.5 says ignore)."
    )
    reject_partial_route_target: bool = _peculiarity(
        "bgp.md 2.3", "A route-target prefix must be 0 or 96 bits long (RFC 4684 allows 32 to 96)."
    )
    ethernet_tag_as_vni: bool = _peculiarity(
        "bgp.md 2.3", "With VXLAN, a non-zero Ethernet tag of EVPN types 1 to 3 is taken as the VNI (old Junos)."
    )
    vni_in_l3vpn_label: bool = _peculiarity(
        "bgp.md 2.3", "With VXLAN among the encapsulations an inet-vpn label is a raw 24-bit VNI, both ways."
    )

    # --- BGP: what is written ----------------------------------------------------------------------------------------
    inet_in_mp_reach: bool = _peculiarity(
        "bgp.md 2.3", "IPv4 unicast goes in MP_REACH_NLRI beside a NEXT_HOP attribute, never in the classic field."
    )
    contrail_attribute_order: bool = _peculiarity(
        "bgp.md 3.1", "Attributes go in Contrail's order, MP_REACH last; otherwise MP_* first, then by type code."
    )
    mp_extended_length: bool = _peculiarity("bgp.md 3.1", "MP_REACH and MP_UNREACH always have the long length form.")
    withdraw_label_bottom_of_stack: bool = _peculiarity(
        "bgp.md 2.3", "VPN withdrawals carry label bytes 00 00 01; otherwise 80 00 00 (RFC 8277)."
    )
    omit_zero_med: bool = _peculiarity("bgp.md 3.1", "A MED of 0 is not written.")
    cluster_list_on_all_ibgp: bool = _peculiarity(
        "bgp.md 1.11", "A reflector adds ORIGINATOR_ID and CLUSTER_LIST to every iBGP advertisement, also its own."
    )
    strip_unicast_ext_communities: bool = _peculiarity(
        "bgp.md 4.7", "inet and inet6 advertisements keep no extended community but origin-vn."
    )
    med_from_local_preference: bool = _peculiarity(
        "bgp.md 4.7", "An agent's route without MED gets one from LOCAL_PREF: 100 -> 200, 200 -> 100, else 2^32-1-LP."
    )

    # --- Routing -----------------------------------------------------------------------------------------------------
    sticky_mac_loses: bool = _peculiarity(
        "bgp.md 4.3", "A sticky MAC path loses against a non-sticky one (RFC 7432 15.2 says the opposite)."
    )
    untagged_routes_bypass_route_target_filter: bool = _peculiarity(
        "bgp.md 4.6", "A VPN route without extended communities is sent whatever route targets the peer asked for."
    )

    # --- BGP defects -------------------------------------------------------------------------------------------------
    packed_evpn_l3_label_lost: bool = _defect(
        "bgp.md 2.3", "Of several MAC/IP routes packed into one UPDATE only the first keeps its L3 label."
    )
    withdraw_labeled_without_label: bool = _defect(
        "bgp.md 2.3", "inet-labeled withdrawals leave without the three label bytes that a decoder needs."
    )
    as4_tag_overwrites_as: bool = _defect(
        "bgp.md 3.3", "The 4-byte-AS tag community has its value written over the low half of the AS."
    )
    as4_origin_vn_lost: bool = _defect(
        "bgp.md 4.2", "With a 4-byte AS and a network index above 65535 routes leave without origin-vn."
    )
    llgr_names_do_not_round_trip: bool = _defect(
        "bgp.md 3.2", "LLGR communities parse only as LlgrStale and NoLlgr but print llgr-stale and no-llgr."
    )

    # --- XMPP server -------------------------------------------------------------------------------------------------
    refuse_duplicate_agent: bool = _peculiarity(
        "xmpp.md 1.8", "A second session of a live name is closed, the old one stays; otherwise the new one wins."
    )
    strict_stream_header: bool = _peculiarity(
        "xmpp.md 1.2", "A stream open with a single-quoted XML declaration closes the connection."
    )
    close_on_subscription_error: bool = _peculiarity(
        "xmpp.md 6", "Duplicate subscribe, unsubscribe or route without subscribe close the session without a word."
    )
    dispatch_by_substring: bool = _peculiarity(
        "xmpp.md 1.1", "A stanza goes to every consumer whose keyword occurs anywhere in its 'to'."
    )
    keepalive_is_u0200: bool = _peculiarity(
        "xmpp.md 0.5", "The keepalive is the bytes C8 80 (U+0200); otherwise one blank (RFC 6120 4.6.1)."
    )
    hold_back_agent_end_of_rib: bool = _peculiarity(
        "xmpp.md 1.10", "End-of-RIB to agents waits for 6 s of silence and 20 % of the End-of-RIB time."
    )

    # --- XMPP client, agent ------------------------------------------------------------------------------------------
    backoff_survives_short_session: bool = _peculiarity(
        "xmpp.md 1.7", "The connect back-off is cleared only after three keepalives in one session."
    )
    agent_drops_rest_of_message: bool = _peculiarity(
        "xmpp.md 6", "After a bad prefix the agent skips the rest of that message, not only the item."
    )

    # --- XMPP defects ------------------------------------------------------------------------------------------------
    ignore_message_end_of_rib: bool = _defect(
        "xmpp.md 1.10", "The control node takes only an empty publish as an agent's End-of-RIB, not the message form."
    )
    agent_ignores_named_end_of_rib: bool = _defect(
        "xmpp.md 1.10", "The agent does nothing on items node 0/0/EndOfRib and waits for its fallback timer."
    )
    first_session_ignores_hold_time: bool = _defect(
        "xmpp.md 1.6", "The first XMPP state machine of a process uses 90 s whatever is configured."
    )

    # --- DNS defects -------------------------------------------------------------------------------------------------
    sanitised_dns_update_lost: bool = _defect(
        "dns.md 13.22", "A machine's own UPDATE names the view, not the server: its record is never served."
    )


CONTRAIL = Behaviour()
"""What a real node does, short of its defects and crashes."""

RFC = Behaviour(
    **{
        switch.name: not switch.default
        for switch in dataclasses.fields(Behaviour)
        if switch.metadata["class"] == "peculiarity"
    }
)
"""What the standards ask for: every peculiarity the other way round."""

_PROFILES: Mapping[str, Behaviour] = {"contrail": CONTRAIL, "rfc": RFC}


def profile(name: str) -> Behaviour:
    """The profile of that name. Raises ValueError naming the known ones."""
    try:
        return _PROFILES[name]
    except KeyError:
        raise ValueError(f"behaviour {name!r}: expected {' or '.join(_PROFILES)}") from None


@dataclass(frozen=True, slots=True)
class Switch:
    """One row of the documentation of Behaviour."""

    name: str
    kind: SwitchClass
    contrail: bool
    rfc: bool
    source: str
    says: str


def fields() -> tuple[Switch, ...]:
    """Every switch with its class, its value per profile and its source, in the order of the class."""
    return tuple(
        Switch(
            name=switch.name,
            kind=switch.metadata["class"],
            contrail=getattr(CONTRAIL, switch.name),
            rfc=getattr(RFC, switch.name),
            source=switch.metadata["source"],
            says=switch.metadata["says"],
        )
        for switch in dataclasses.fields(Behaviour)
    )

"""What one control node has been told, and what it must be told next (reference/agent.md 3.5, 3.6, 5).

A VRF is subscribed before anything of it is published, and published again in full on each new session. A route goes
out as `publish`, then `collection`; only when it differs from what was said before.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable

from contrail_emulator.control.xmpp.items import EnetEntry, McastEntry, UnicastEntry
from contrail_emulator.control.xmpp.names import BGP_PEER, CONTROL_NODE_JID
from contrail_emulator.control.xmpp.pubsub import Collection, Publish, Subscribe, Unsubscribe

from ..oper.adverts import BROADCAST_GROUP, MPLS_ENCAPS, VXLAN_ENCAPS, Advert, node
from ..oper.vrf import RouteKey, Table, Vrf

RECEIVER = f"{CONTROL_NODE_JID}/{BGP_PEER}"
TREE_KEY = BROADCAST_GROUP
ExportKey = tuple[Table, RouteKey] | str


class Exporter:
    """`send` takes whole stanzas. `exported` is per subscribed VRF what the control node holds of ours."""

    __slots__ = ("_ids", "_name", "_send", "counters", "exported")

    def __init__(self, name: str, send: Callable[[bytes], None]) -> None:
        self._name = name
        self._send = send
        self._ids: Counter[str] = Counter()
        self.exported: dict[str, dict[ExportKey, Advert]] = {}
        self.counters: Counter[str] = Counter()

    def forget(self) -> None:
        """A new session: the other side knows nothing."""
        self.exported.clear()

    def subscribe(self, vrf: Vrf) -> bool:
        """Join a VRF unless this session already did; True when the VRF's routes must now be published."""
        if vrf.name in self.exported:
            return False
        self.exported[vrf.name] = {}
        self.counters["subscribes"] += 1
        self._send(
            Subscribe(vrf.name, vrf.index).to_bytes(self._name, RECEIVER, f"subscribe{self._number('subscribe')}")
        )
        return True

    def unsubscribe(self, vrf: Vrf) -> None:
        """Leave a VRF; what was published in it goes first."""
        told = self.exported.get(vrf.name)
        if told is None:
            return
        for key in list(told):
            self.say(vrf.name, key, None)
        del self.exported[vrf.name]
        self.counters["unsubscribes"] += 1
        self._send(
            Unsubscribe(vrf.name, vrf.index).to_bytes(self._name, RECEIVER, f"subscribe{self._number('subscribe')}")
        )

    def say(self, vrf: str, key: ExportKey, advert: Advert | None) -> bool:
        """Publish, change or withdraw one route of a subscribed VRF; False when there was nothing to say."""
        told = self.exported.get(vrf)
        if told is None:
            return False
        old = told.get(key)
        if advert == old:
            return False
        if advert is not None:
            if old is not None and node(vrf, old) != node(vrf, advert):
                self._pair(vrf, _withdrawn(old), False)
            told[key] = advert
            self.counters["publishes"] += 1
            self._pair(vrf, advert, True)
        elif old is not None:
            del told[key]
            self.counters["withdrawals"] += 1
            self._pair(vrf, _withdrawn(old), False)
        return True

    def walk(self, vrf: Vrf) -> None:
        """Say everything of one VRF that has not been said."""
        for table, route in vrf.routes():
            advert = route.advert
            if isinstance(advert, UnicastEntry | EnetEntry):
                self.say(vrf.name, (table, route.key), advert)

    def count(self) -> int:
        return sum(len(told) for told in self.exported.values())

    def _pair(self, vrf: str, advert: Advert, associate: bool) -> None:
        name = node(vrf, advert)
        publish, collection = _IDS[type(advert)]
        entries = [advert.to_xml()]
        number = self._number(publish)
        self._send(Publish.write(name, entries, self._name, RECEIVER, f"{publish}{number}"))
        self._send(Collection(vrf, name, associate).to_bytes(self._name, RECEIVER, f"{collection}{number}"))

    def _number(self, kind: str) -> int:
        """Each kind of stanza counts for itself, a pair once."""
        self._ids[kind] += 1
        return self._ids[kind]


_IDS: dict[type, tuple[str, str]] = {
    UnicastEntry: ("pubsub", "collection"),
    EnetEntry: ("pubsub_l2", "collection_l2"),
    McastEntry: ("pubsub_b", "collection"),
}


def _withdrawn(advert: Advert) -> Advert:
    """The entry that goes with a dissociate: the last one, with every encapsulation."""
    if isinstance(advert, McastEntry):
        return advert
    every = (*MPLS_ENCAPS, *VXLAN_ENCAPS)
    return advert._replace(next_hops=tuple(hop._replace(encapsulations=every) for hop in advert.next_hops))

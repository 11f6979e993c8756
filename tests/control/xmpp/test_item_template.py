"""Items written by template are, byte for byte, those of `to_xml`; a label that only the route has is no exception."""

from control.xmpp.test_shapes import enet, inet, inet6, labelled
from hypothesis import assume, given, settings

from contrail_emulator.control.xmpp import item_id, pubsub
from contrail_emulator.control.xmpp.item_template import EnetTemplate, HopTemplate, UnicastTemplate
from contrail_emulator.control.xmpp.items import TABBED, EnetEntry, UnicastEntry

NODE = "1/1/default-domain:demo:red:red"


@settings(max_examples=60, deadline=None)
@given(entry=inet | labelled | inet6)
def test_a_unicast_item(entry: UnicastEntry) -> None:
    assume(bool(entry.next_hops))
    template = UnicastTemplate(entry._replace(address="", next_hops=()))
    hops = [HopTemplate(hop._replace(label=0), False).unicast(hop.label) for hop in entry.next_hops]
    item = template.item(entry.address, hops)
    whole = pubsub.items_body(NODE, [(entry.address, entry.to_xml(TABBED))] * 2)
    assert pubsub.written_items_body(NODE, [item, item]) == whole


@settings(max_examples=60, deadline=None)
@given(entry=enet)
def test_an_evpn_item(entry: EnetEntry) -> None:
    assume(bool(entry.next_hops))
    nothing = entry._replace(mac="", address="", ethernet_tag=0, group="", source="", flags=0, next_hops=())
    template = EnetTemplate(nothing)
    hops = [
        HopTemplate(hop._replace(label=0, l3_label=0), True).enet(hop.label, hop.l3_label) for hop in entry.next_hops
    ]
    ident = item_id.entry_id(entry)
    item = template.item(ident, entry, hops)
    assert pubsub.written_items_body(NODE, [item]) == pubsub.items_body(NODE, [(ident, entry.to_xml(TABBED))])

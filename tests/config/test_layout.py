"""Objects in rows, as another implementation would find them (reference/config.md 1.3, 1.4)."""

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from contrail_emulator.config import layout, schema
from contrail_emulator.config.layout import Fault, RowError, decode
from contrail_emulator.config.store import Cell, Row
from contrail_emulator.config.testing import Site
from contrail_emulator.config.testing.site import DEMO

TABLE = schema.load()


def row(**columns: str) -> Row:
    return {name.replace("__", ":"): Cell(value, 1) for name, value in columns.items()}


NETWORK = {"fq_name": '["d", "p", "v"]', "type": '"virtual_network"', "parent_type": '"project"'}


def test_a_network_in_its_columns() -> None:
    site = Site()
    uuid = site.network("blue", "10.1.0.0/24", annotations={"key_value_pair": [{"key": "a:b", "value": "1"}]})
    columns = {name: cell.value for name, cell in site.run(site.store.rows("obj_uuid_table", [uuid]))[uuid].items()}
    project = site.find("project", *DEMO)
    ipam = site.find("network-ipam", *DEMO, "ipam")
    instance = site.find("routing-instance", *DEMO, "blue", "blue")
    assert project and ipam and instance
    assert columns["fq_name"] == '["default-domain", "demo", "blue"]'
    assert columns["type"] == '"virtual_network"'
    assert columns["parent_type"] == '"project"'
    assert columns[f"parent:project:{project['uuid']}"] == "null"
    assert columns["propm:annotations:a:b"] == '{"key": "a:b", "value": "1"}'
    assert columns["prop:virtual_network_network_id"] == "5"
    assert columns[f"children:routing_instance:{instance['uuid']}"] == "null"
    reference = json.loads(columns[f"ref:network_ipam:{ipam['uuid']}"])
    assert reference["is_weakref"] is False
    assert reference["attr"]["ipam_subnets"][0]["default_gateway"] == "10.1.0.254"
    other = site.run(site.store.rows("obj_uuid_table", [ipam["uuid"]]))[ipam["uuid"]]
    assert json.loads(other[f"backref:virtual_network:{uuid}"].value) == reference
    assert "META:latest_col_ts" in other
    index = site.run(site.store.columns("obj_fq_name_table", "virtual_network", "default-domain:demo:"))
    assert index[0][0] == f"default-domain:demo:blue:{uuid}" and index[0][1].value == "null"


def test_only_changed_columns_are_rewritten_and_their_time_grows() -> None:
    site = Site()
    uuid = site.network("blue")
    before = site.run(site.store.rows("obj_uuid_table", [uuid]))[uuid]
    site.run(site.writer.update("virtual-network", uuid, {"display_name": "sky"}))
    after = site.run(site.store.rows("obj_uuid_table", [uuid]))[uuid]
    changed = {name for name in after if after[name] != before.get(name)}
    assert changed == {"prop:display_name", "prop:id_perms", "META:latest_col_ts"}
    assert all(after[name].time > before[name].time for name in changed)


def test_a_self_typed_reference_is_a_ref_on_both_rows() -> None:
    site = Site()
    one, two = site.router("one"), site.router("two")
    site.run(site.writer.ref_update("bgp-router", one, "bgp-router", two, "ADD", {"session": []}))
    rows = site.run(site.store.rows("obj_uuid_table", [one, two]))
    assert rows[one][f"ref:bgp_router:{two}"].value == rows[two][f"ref:bgp_router:{one}"].value
    assert not [name for name in {**rows[one], **rows[two]} if name.startswith("backref:bgp_router")]
    site.run(site.writer.ref_update("bgp-router", two, "bgp-router", one, "DELETE"))
    rows = site.run(site.store.rows("obj_uuid_table", [one, two]))
    assert not [name for name in {**rows[one], **rows[two]} if name.startswith("ref:bgp_router")]


def test_list_elements_come_in_text_order_and_the_wrapper_returns() -> None:
    cells = {f"propl__match_tags__{n}": json.dumps(str(n)) for n in (0, 2, 10)}
    stored = decode(TABLE, "u", row(fq_name='["r"]', type='"firewall_rule"', **cells))
    assert stored.properties == {"match_tags": {"tag_list": ["0", "10", "2"]}}


def test_legacy_rows_hold_the_attribute_bare() -> None:
    target = "ref__routing_instance__other"
    for value in ('{"destination_instance": "x"}', '{"attr": {"destination_instance": "x"}, "is_weakref": false}'):
        stored = decode(TABLE, "u", row(fq_name='["a","b"]', type='"routing_instance"', **{target: value}))
        assert stored.references[0].attribute == {"destination_instance": "x"}
    for value in ("null", '{"attr": null}', '{"attr": null, "is_weakref": false}', '{"is_weakref": false}'):
        stored = decode(TABLE, "u", row(fq_name='["a","b"]', type='"routing_instance"', **{target: value}))
        assert stored.references[0].attribute == {} and not stored.faults


@pytest.mark.parametrize(
    ("columns", "field"),
    [
        ({"fq_name": "[", "type": '"virtual_network"'}, "fq_name"),
        ({"fq_name": "[]", "type": '"virtual_network"'}, "fq_name"),
        ({"fq_name": '["a", 1]', "type": '"virtual_network"'}, "fq_name"),
        ({"fq_name": '["a", "\\ud800"]', "type": '"virtual_network"'}, "fq_name"),
        ({"fq_name": '["a"]', "type": "7"}, "type"),
        ({"fq_name": '["a"]', "type": '"spaceship"'}, "type"),
        ({"fq_name": '["a"]'}, "type"),
        ({"type": '"virtual_network"'}, "fq_name"),
    ],
)
def test_a_row_without_usable_name_or_type_is_none(columns: dict[str, str], field: str) -> None:
    with pytest.raises(RowError) as caught:
        decode(TABLE, "u", row(**columns))
    assert caught.value.field == field


def test_what_is_wrong_is_left_out_and_named() -> None:
    stored = decode(
        TABLE,
        "u",
        row(
            **NETWORK,
            prop__display_name="{",
            prop__mac_aging_time='"soon"',
            prop__nonsense="1",
            prop__is_shared="true",
            propl__display_name__0='"x"',
            ref__virtual_network="null",
            ref__spaceship__x="null",
            ref__network_ipam__x='{"attr": 5}',
        ),
    )
    assert stored.properties == {"is_shared": True} and not stored.references
    assert {fault.field for fault in stored.faults} == {
        "prop:display_name",
        "mac_aging_time",
        "nonsense",
        "display_name",
        "ref:virtual_network",
        "ref:spaceship:x",
        "network_ipam_refs.attr",
    }
    assert Fault("mac_aging_time", "a whole number") in stored.faults


@settings(max_examples=200, deadline=None)
@given(
    st.dictionaries(
        st.sampled_from(
            [
                "fq_name",
                "type",
                "parent_type",
                "parent:project:x",
                "prop:id_perms",
                "propm:annotations:k",
                "prop",
                "propl:ipam_subnets:0",
                "ref:network_ipam:y",
                "ref:virtual_network:z",
                "children:a:b",
                "backref:c:d",
                ":",
            ]
        ),
        st.sampled_from(['["a", "b"]', '"virtual_network"', '"project"', "null", "{", "[[]]", "5", '{"attr": {}}'])
        | st.text(max_size=8),
    )
)
def test_no_row_raises_anything_but_a_row_error(columns: dict[str, str]) -> None:
    try:
        stored = decode(TABLE, "u", {name: Cell(value, 1) for name, value in columns.items()})
    except RowError:
        return
    assert stored.fq_name and layout.name_column(stored.fq_name, "u").endswith(":u")

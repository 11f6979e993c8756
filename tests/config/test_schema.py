"""The schema table, validation and the XML of properties."""

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from lxml import etree

from contrail_emulator.config import schema
from contrail_emulator.config.schema import Schema, SchemaError, check_property, check_reference
from contrail_emulator.config.schema.xml import from_xml, to_xml

TABLE = schema.load()


def test_names_links_and_kinds_of_the_reference() -> None:
    network = TABLE.types["virtual-network"]
    assert network.object_type == "virtual_network"
    assert network.references["network-ipam"].link == "virtual-network-network-ipam"
    assert network.references["network-ipam"].attribute == "VnSubnetsType"
    assert TABLE.types["virtual-DNS"].object_type == "virtual_DNS"
    assert TABLE.find("virtual_DNS") is TABLE.find("virtual-DNS")
    instance = TABLE.types["routing-instance"]
    assert instance.references["route-target"].link == "instance-target"
    assert instance.references["routing-instance"].link == "connection"
    assert TABLE.types["bgp-router"].references["bgp-router"].link == "bgp-peering"
    assert TABLE.parent_link("routing-instance", "bgp-router") == "instance-bgp-router"
    assert TABLE.parent_link("project", "bgp-router") is None


def test_list_and_map_properties_are_those_of_the_reference() -> None:
    lists = {p.name for t in TABLE.types.values() for p in t.properties.values() if p.is_list}
    assert {"ipam_subnets", "virtual_network_fat_flow_protocols", "match_tags", "address_group_prefix"} <= lists
    annotations = TABLE.types["project"].properties["annotations"]
    assert (annotations.map_key, annotations.wrapper) == ("key", "key_value_pair")
    assert TABLE.types["global-system-config"].properties["user_defined_log_statistics"].map_key == "name"


def test_types_that_are_newer_than_the_package() -> None:
    """tools/schema_additions.json, as docs/daemons.md lists it, is in the table."""
    for kind in ("grpc", "netconf", "snmp"):
        profile = TABLE.types[f"{kind}-profile"]
        assert profile.parents == ("project",) and TABLE.find(f"{kind}_profile") is profile
        assert TABLE.parent_link("project", profile.name) == f"project-{kind}-profile"
        assert TABLE.types["telemetry-profile"].references[profile.name].link == f"telemetry-profile-{kind}-profile"
        sensors = {"enabled_sensor_params": ["physical-health"]}
        assert check_property(TABLE, "x", profile.name, f"{kind}_parameters", sensors) == sensors
        with pytest.raises(SchemaError, match="expected one of physical-health"):
            check_property(TABLE, "x", profile.name, f"{kind}_parameters", {"enabled_sensor_params": ["mood"]})
    assert TABLE.parent_link("global-system-config", "config-properties") == "global-system-config-config-properties"


def test_derived_children_do_not_block() -> None:
    assert TABLE.types["virtual-network"].children["routing-instance"].derived
    assert TABLE.types["security-group"].children["access-control-list"].derived
    assert not TABLE.types["project"].children["virtual-network"].derived


@pytest.mark.parametrize(
    ("type_name", "name", "value", "message"),
    [
        ("virtual-network", "nonsense", 1, "x: nonsense: expected a property of virtual-network"),
        ("virtual-network", "virtual_network_properties", 3, "expected an object (VirtualNetworkType), not 3"),
        (
            "virtual-network",
            "virtual_network_properties",
            {"forwarding_mode": "l9"},
            "virtual_network_properties.forwarding_mode: expected one of l2_l3, l2, l3, not 'l9'",
        ),
        ("virtual-network", "route_target_list", {"route_target": "one"}, "expected a list of string, not 'one'"),
        ("virtual-network", "route_target_list", {"targets": []}, "a member of RouteTargetList (route_target)"),
        ("virtual-network", "mac_aging_time", 86401, "expected a number from 0 to 86400, not 86401"),
        ("virtual-network", "mac_aging_time", "soon", "expected a whole number, not 'soon'"),
        ("virtual-network", "mac_aging_time", True, "expected a whole number, not True"),
        pytest.param("virtual-network", "mac_aging_time", "9" * 5000, "a whole number, not '99", id="many digits"),
        ("virtual-network", "is_shared", "yes", "expected true or false, not 'yes'"),
        ("virtual-network", "display_name", 7, "expected a text, not 7"),
        pytest.param("virtual-network", "display_name", "\ud800", r"expected a text, not '\ud800'", id="surrogate"),
    ],
)
def test_a_wrong_value_names_object_field_and_what_was_expected(
    type_name: str, name: str, value: Any, message: str
) -> None:
    with pytest.raises(SchemaError) as caught:
        check_property(TABLE, "x", type_name, name, value)
    assert message in str(caught.value)
    assert str(caught.value).startswith("x: ")


def test_numbers_and_booleans_given_as_text_are_converted() -> None:
    assert check_property(TABLE, "x", "virtual-network", "mac_aging_time", "300") == 300
    assert check_property(TABLE, "x", "virtual-network", "is_shared", "true") is True


@pytest.mark.parametrize("strict", [True, False])
def test_null_in_a_list_is_no_element(strict: bool) -> None:
    value = {"policy_rule": [None, {"src_addresses": [None, {"virtual_network": "any"}]}]}
    read = check_property(TABLE, "x", "network-policy", "network_policy_entries", value, strict=strict)
    assert read == {"policy_rule": [{"src_addresses": [{"virtual_network": "any"}]}]}


def test_a_lenient_reader_drops_unknown_members_only() -> None:
    value = {"forwarding_mode": "l9", "newer": 1}
    read = check_property(TABLE, "x", "virtual-network", "virtual_network_properties", value, strict=False)
    assert read == {"forwarding_mode": "l9"}
    with pytest.raises(SchemaError):
        check_property(TABLE, "x", "virtual-network", "virtual_network_properties", "l9", strict=False)


def test_references_know_whether_they_carry_an_attribute() -> None:
    assert check_reference(TABLE, "x", "routing-instance", "route-target", None) == {}
    assert check_reference(TABLE, "x", "virtual-machine-interface", "virtual-machine", None) is None
    with pytest.raises(SchemaError):
        check_reference(TABLE, "x", "virtual-machine-interface", "virtual-machine", {"a": 1})
    with pytest.raises(SchemaError):
        check_reference(TABLE, "x", "virtual-machine", "virtual-network", None)


# -- XML


def test_id_perms_as_a_control_node_sends_them() -> None:
    value = {
        "enable": True,
        "uuid": {"uuid_lslong": (1 << 64) - 1, "uuid_mslong": 1 << 63},
        "permissions": {"owner": "cloud-admin", "owner_access": 7},
    }
    assert to_xml("virtual-network", "id_perms", value) == [
        b"<id-perms><permissions><owner>cloud-admin</owner><owner-access>7</owner-access></permissions>"
        b"<uuid><uuid-mslong>9223372036854775808</uuid-mslong><uuid-lslong>18446744073709551615</uuid-lslong></uuid>"
        b"<enable>true</enable></id-perms>"
    ]


def test_the_attribute_of_a_link_is_its_value() -> None:
    assert to_xml("virtual-machine-interface-routing-instance", "value", {"direction": "both", "vlan_tag": None}) == [
        b"<value><direction>both</direction></value>"
    ]
    element = etree.fromstring(b"<value><direction>both</direction><vlan-tag>7</vlan-tag></value>")
    read = from_xml("virtual-machine-interface-routing-instance", element)
    assert read == ("value", {"direction": "both", "vlan_tag": 7})


def test_texts_and_numbers_that_the_api_server_would_refuse_reach_the_agent() -> None:
    """A newer one may have written them; without them the agent would have the whole property unset."""
    value = {"forwarding_mode": "l9", "vxlan_network_identifier": 1 << 24}
    (element,) = to_xml("virtual-network", "virtual_network_properties", value)
    assert b"<forwarding-mode>l9</forwarding-mode>" in element
    assert from_xml("virtual-network", etree.fromstring(element)) == ("virtual_network_properties", value)


def test_unusual_spellings() -> None:
    assert to_xml("node", "node_type", "private")[0].startswith(b"<node_type>")
    assert from_xml("node", etree.fromstring(b"<node_type>private</node_type>")) == ("node_type", "private")
    written = to_xml("virtual-DNS", "virtual_DNS_data", {"domain_name": "x", "next_virtual_DNS": "a:b"})
    assert b"<next-virtual-DNS>a:b</next-virtual-DNS>" in written[0]


def test_what_cannot_be_xml_is_refused() -> None:
    with pytest.raises(SchemaError):
        to_xml("virtual-network", "display_name", "a\x00b")
    with pytest.raises(SchemaError):
        from_xml("virtual-network", etree.fromstring(b"<nonsense/>"))
    with pytest.raises(SchemaError):
        from_xml("virtual-network", etree.fromstring(b"<mac-aging-time>soon</mac-aging-time>"))


TEXT = st.text(st.characters(blacklist_categories=("Cs", "Cc"), blacklist_characters="\ufffe\uffff"), max_size=12)


def values(table: Schema, type_name: str, depth: int = 0) -> st.SearchStrategy[Any]:
    """Values of an XSD type that are not None."""
    if type_name == "boolean":
        return st.booleans()
    if type_name in ("integer", "unsignedLong"):
        return st.integers(-(1 << 63), (1 << 64) - 1)
    members = table.classes.get(type_name)
    if members is None:
        return TEXT
    fields: dict[str, st.SearchStrategy[Any]] = {}
    for member in members:
        if depth > 3 and member.type in table.classes:
            continue
        inner = values(table, member.type, depth + 1)
        if member.enum:
            inner = st.sampled_from(member.enum)
        elif member.range:
            inner = st.integers(*member.range)
        fields[member.name] = st.lists(inner, min_size=1, max_size=3) if member.array else inner
    return st.fixed_dictionaries({}, optional=fields)


PROPERTIES = sorted(
    (object_type.name, found.name) for object_type in TABLE.types.values() for found in object_type.properties.values()
) + sorted((link, "value") for link in TABLE.links)


@settings(max_examples=300, deadline=None)
@given(st.data())
def test_every_property_survives_the_round_trip_through_xml(data: st.DataObject) -> None:
    type_name, name = data.draw(st.sampled_from(PROPERTIES))
    found = TABLE.property_of(type_name, name)
    assert found is not None
    strategy = values(TABLE, found.type)
    if found.enum:
        strategy = st.sampled_from(found.enum)
    elif found.range:
        strategy = st.integers(*found.range)
    value = data.draw(strategy)
    (written,) = to_xml(type_name, name, value)
    assert from_xml(type_name, etree.fromstring(written)) == (name, value), written


@settings(max_examples=200, deadline=None)
@given(st.sampled_from(PROPERTIES), st.recursive(
    st.none() | st.booleans() | st.integers() | TEXT,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXT, inner, max_size=3),
))  # fmt: skip
def test_any_json_is_accepted_or_refused_with_a_schema_error(where: tuple[str, str], value: Any) -> None:
    try:
        checked = check_property(TABLE, "x", *where, value, strict=False)
    except SchemaError:
        return
    json.dumps(checked)

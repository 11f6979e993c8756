import ipaddress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from contrail_emulator.dns import names


@pytest.mark.parametrize(
    ("fq_name", "view"),
    [
        ("default-domain:vdns1", "default-domain-vdns1"),
        ("a:b_c d.e", "a-b-c-d.e"),
        ("Größe", "Gr--e"),
    ],
)
def test_view_names_keep_letters_digits_dots_and_hyphens(fq_name: str, view: str) -> None:
    assert names.view_name(fq_name) == view


@pytest.mark.parametrize(
    ("name", "domain", "expected"),
    [
        ("vm1", "Example.com", b"vm1.example.com"),
        ("vm1.", "example.com.", b"vm1.example.com"),
        ("vm1.example.com", "example.com", b"vm1.example.com"),
        ("vm1.blue", "example.com", b"vm1.blue.example.com"),
        ("example.com.au", "example.com", b"example.com.au"),
        ("EXAMPLE.com", "example.com", b"example.com"),
    ],
)
def test_the_domain_is_appended_unless_it_occurs_in_the_name(name: str, domain: str, expected: bytes) -> None:
    assert names.qualify(name, domain) == expected


def test_targets_without_a_dot_get_the_domain() -> None:
    assert names.qualify_data("vm1", "example.com") == b"vm1.example.com"
    assert names.qualify_data("vm1.org", "example.com") == b"vm1.org"


@pytest.mark.parametrize(
    ("subnet", "count", "first", "last"),
    [
        ("10.1.2.0/24", 1, b"2.1.10.in-addr.arpa", b"2.1.10.in-addr.arpa"),
        ("10.1.0.0/16", 1, b"1.10.in-addr.arpa", b"1.10.in-addr.arpa"),
        ("10.0.0.0/8", 1, b"10.in-addr.arpa", b"10.in-addr.arpa"),
        ("10.1.0.0/22", 4, b"0.1.10.in-addr.arpa", b"3.1.10.in-addr.arpa"),
        ("10.1.2.16/28", 16, b"16.2.1.10.in-addr.arpa", b"31.2.1.10.in-addr.arpa"),
        ("10.1.128.0/17", 128, b"128.1.10.in-addr.arpa", b"255.1.10.in-addr.arpa"),
        ("10.1.2.3/32", 1, b"3.2.1.10.in-addr.arpa", b"3.2.1.10.in-addr.arpa"),
        ("fd00::/8", 1, b"d.f.ip6.arpa", b"d.f.ip6.arpa"),
        ("fd00::/61", 8, b".".join([b"0"] * 14) + b".d.f.ip6.arpa", b"7." + b".".join([b"0"] * 13) + b".d.f.ip6.arpa"),
        ("0.0.0.0/0", 0, b"", b""),
    ],
)
def test_reverse_zones_of_a_subnet(subnet: str, count: int, first: bytes, last: bytes) -> None:
    zones = names.reverse_zones(ipaddress.ip_network(subnet))
    assert len(zones) == count == len(set(zones))
    if zones:
        assert (zones[0], zones[-1]) == (first, last)


@given(st.ip_addresses(), st.data())
def test_every_address_of_a_subnet_is_in_exactly_one_of_its_reverse_zones(
    address: names.Address, data: st.DataObject
) -> None:
    bits = address.max_prefixlen
    length = data.draw(st.integers(1, bits))
    subnet = ipaddress.ip_network(f"{address}/{length}", strict=False)
    name = names.reverse_name(address)
    assert sum(names.is_within(name, zone) for zone in names.reverse_zones(subnet)) == 1
    assert names.address_of(name) == address and names.is_reverse(name)


@pytest.mark.parametrize(
    "name",
    [
        *[b"", b"in-addr.arpa", b"1.2.3.in-addr.arpa", b"1.2.3.400.in-addr.arpa", b"x.ip6.arpa", b"\xff.in-addr.arpa"],
        *[b".".join([b"g"] * 32) + b".ip6.arpa", b"01.2.3.4.in-addr.arpa", b"vm.example.com"],
    ],
)
def test_what_is_no_whole_reverse_name_has_no_address(name: bytes) -> None:
    assert names.address_of(name) is None


@pytest.mark.parametrize(
    ("name", "good"),
    [
        (b"", True),
        (b"a", True),
        (b"a" * 63, True),
        (b"a" * 64, False),
        (b"a..b", False),
        (b".", False),
        (b".".join([b"a" * 63] * 3 + [b"a" * 61]), True),
        (b".".join([b"a" * 63] * 3 + [b"a" * 62]), False),
    ],
)
def test_names_that_fit_on_the_wire(name: bytes, good: bool) -> None:
    assert names.is_name(name) is good

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from contrail_emulator.base.servers import Endpoint, ServerList, parse_endpoint, parse_servers, servers_hash


@pytest.mark.parametrize(
    ("text", "host", "port"),
    [
        ("10.0.0.1:5269", "10.0.0.1", 5269),
        ("10.0.0.1", "10.0.0.1", 8086),
        ("control-1.lab:0", "control-1.lab", 0),
        ("[fd00::1]:5269", "fd00::1", 5269),
        ("[fd00::1]", "fd00::1", 8086),
        ("fd00::1", "fd00::1", 8086),
    ],
)
def test_endpoints(text: str, host: str, port: int) -> None:
    assert parse_endpoint(text, 8086) == Endpoint(host, port)


@pytest.mark.parametrize(
    "text",
    [
        *["", ":", ":1", "a:", "a:b", "a:65536", "a:-1", "a:\u0661", "1.2.3:1", "1.2.3.4.5:1"],
        *["[::1", "[::1]x", "[a]:1", "::g", "a b:1", "-a:1", "a..b:1"],
    ],
)
def test_what_is_no_endpoint_is_refused(text: str) -> None:
    with pytest.raises(ValueError):
        parse_endpoint(text, 1)


def test_a_port_is_needed_where_there_is_no_default() -> None:
    with pytest.raises(ValueError, match=r"'10\.0\.0\.1': expected host:port"):
        parse_endpoint("10.0.0.1")


@given(st.ip_addresses().map(str), st.integers(0, 65535))
def test_endpoints_read_back_what_they_print(host: str, port: int) -> None:
    endpoint = Endpoint(host, port)
    assert parse_endpoint(str(endpoint)) == endpoint


def test_lists_are_separated_by_blanks_or_commas_and_doubles_dropped() -> None:
    assert [str(each) for each in parse_servers(" a:1  b:2,c a:1 ", 3)] == ["a:1", "b:2", "c:3"]
    assert parse_servers("") == ()
    assert parse_servers(["a:1"]) == (Endpoint("a", 1),)


def test_order_is_the_rngs_and_the_hash_is_not() -> None:
    servers = parse_servers(" ".join(f"10.0.0.{number}:1" for number in range(1, 20)))
    one, other, again = (ServerList(servers, random.Random(seed)) for seed in (1, 2, 1))
    assert list(one) == list(again) != list(other)
    assert sorted(one) == sorted(servers)
    assert one.hash == other.hash == servers_hash(servers) == "f0e22a7ff49a9342"
    assert servers_hash(servers[::-1]) != one.hash


def test_a_server_that_does_not_answer_goes_to_the_end() -> None:
    servers = ServerList(parse_servers("a:1 b:2 c:3"), random.Random(0))
    first = servers[0]
    servers.rotate(first)
    servers.rotate(Endpoint("unknown", 1))
    assert servers[2] == first and len(servers) == 3
    assert repr(servers).startswith("ServerList(")

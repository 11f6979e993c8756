"""The five messages, their headers and the faults of OPEN (reference/bgp.md 1.4 to 1.6)."""

import pytest
from control.bgp.wire import strategies as s
from hypothesis import given
from hypothesis import strategies as st

from contrail_emulator.base.behaviour import CONTRAIL, RFC, Behaviour
from contrail_emulator.control.bgp.capability import FourOctetAs, GracefulRestart, Multiprotocol, UnknownCapability
from contrail_emulator.control.bgp.family import Family
from contrail_emulator.control.bgp.message import (
    HEADER_SIZE,
    MARKER,
    Keepalive,
    Message,
    MessageError,
    Notification,
    Open,
    RouteRefresh,
    decode,
    frame,
    read_header,
)
from contrail_emulator.control.bgp.notification import Code, code_text


def error(kind: int, body: bytes, behaviour: Behaviour = CONTRAIL) -> tuple[int, int, bytes]:
    with pytest.raises(MessageError) as caught:
        decode(kind, body, behaviour)
    return caught.value.code, caught.value.subcode, caught.value.data


def header_error(header: str, behaviour: Behaviour = CONTRAIL) -> tuple[int, int, bytes]:
    with pytest.raises(MessageError) as caught:
        read_header(bytes.fromhex(header), behaviour)
    return caught.value.code, caught.value.subcode, caught.value.data


@given(s.messages)
def test_round_trip(message: Message) -> None:
    wire = message.encode()
    length, kind = read_header(wire[:HEADER_SIZE], RFC)
    assert length == len(wire)
    assert kind == message.type
    assert decode(kind, wire[HEADER_SIZE:], RFC) == message


@given(st.integers(0, 255), st.binary(max_size=120), st.sampled_from((CONTRAIL, RFC)))
def test_any_body_is_a_message_or_an_error(kind: int, body: bytes, behaviour: Behaviour) -> None:
    try:
        message = decode(kind, body, behaviour)
    except MessageError as fault:
        assert fault.code in (Code.HEADER, Code.OPEN)
        Notification.of(fault).encode()
        return
    assert decode(kind, message.encode()[HEADER_SIZE:], behaviour) == message


FF = "ff" * 16


@pytest.mark.parametrize(
    ("header", "expected"),
    [
        ("fe" + "ff" * 15 + "001304", (1, 1, b"")),
        ("00" * 16 + "001304", (1, 1, b"")),
        (FF + "001204", (1, 2, b"\x00\x12")),
        (FF + "000004", (1, 2, b"\x00\x00")),
        (FF + "100102", (1, 2, b"\x10\x01")),
        (FF + "001404", (1, 2, b"\x00\x14")),
        (FF + "001c01", (1, 2, b"\x00\x1c")),
        (FF + "001602", (1, 2, b"\x00\x16")),
        (FF + "001403", (1, 2, b"\x00\x14")),
        (FF + "001300", (1, 3, b"\x00")),
        (FF + "001306", (1, 3, b"\x06")),
        (FF + "001705", (1, 3, b"\x05")),
    ],
)
def test_header_faults(header: str, expected: tuple[int, int, bytes]) -> None:
    assert header_error(header) == expected


def test_route_refresh_is_a_message_in_profile_rfc() -> None:
    assert read_header(bytes.fromhex(FF + "001705"), RFC) == (23, 5)
    assert header_error(FF + "001605", RFC) == (1, 2, b"\x00\x16")
    refresh = RouteRefresh(1, 128, 1)
    assert refresh.family is Family.INET_VPN
    assert refresh.text == "route-refresh inet-vpn 1"
    assert decode(5, bytes.fromhex("00010180"), RFC) == refresh


def test_largest_and_smallest_header() -> None:
    assert read_header(bytes.fromhex(FF + "100002")) == (4096, 2)
    assert read_header(bytearray.fromhex(FF + "001304")) == (19, 4)
    assert read_header(memoryview(Keepalive().encode())) == (19, 4)


def test_a_message_above_4096_bytes_is_not_made() -> None:
    assert len(frame(2, bytes(4096 - HEADER_SIZE))) == 4096
    with pytest.raises(ValueError, match="4097"):
        frame(2, bytes(4097 - HEADER_SIZE))


OPEN = "04fc00005a0aff0001"


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        ("03fc00005a0aff000100", (2, 1, b"\x04")),
        ("04fc0000010aff000100", (2, 6, b"")),
        ("04fc0000020aff000100", (2, 6, b"")),
        (OPEN + "020100", (2, 4, b"")),
        (OPEN + "0102", (2, 0, b"")),
        (OPEN + "040202010000", (2, 0, b"")),
        (OPEN + "020204", (2, 0, b"")),
        (OPEN + "0402020104", (2, 0, b"")),
        (OPEN + "03020101", (2, 0, b"")),
    ],
)
def test_open_faults(body: str, expected: tuple[int, int, bytes]) -> None:
    assert error(1, bytes.fromhex(body)) == expected


def test_version_fault_in_profile_rfc_names_ours_in_two_bytes() -> None:
    """RFC 4271 6.2; a control node sends one byte (reference/bgp.md 1.5)."""
    assert error(1, bytes.fromhex("03fc00005a0aff000100"), RFC) == (2, 1, b"\x00\x04")


def test_open_of_a_control_node() -> None:
    """reference/bgp.md 1.4: one parameter, capabilities in this order."""
    message = Open.make(
        4200000000,
        90,
        0x0AFF0001,
        (Multiprotocol.of(Family.INET), Multiprotocol.of(Family.INET_VPN), FourOctetAs(4200000000), GracefulRestart(0)),
    )
    assert message.my_as == 23456
    assert message.asn == 4200000000
    assert message.encode().hex() == (FF + "003501045ba0005a0aff00011802160104000100010104000100804104fa56ea0040020000")


def test_open_of_several_parameters() -> None:
    body = bytes.fromhex(OPEN + "0e0206010400010001020402000600")
    message = decode(1, body)
    assert message == Open(64512, 90, 0x0AFF0001, (Multiprotocol(1, 1), UnknownCapability(2), UnknownCapability(6)))
    assert isinstance(message, Open)
    assert message.families == (Family.INET,)


def test_open_says_what_it_carries() -> None:
    message = Open(
        64512,
        90,
        1,
        (Multiprotocol(1, 1), Multiprotocol(1, 1), Multiprotocol(1, 2), GracefulRestart(1), GracefulRestart(2)),
    )
    assert message.families == (Family.INET,)
    assert message.graceful_restart == GracefulRestart(2)
    assert message.long_lived_graceful_restart is None
    assert message.four_octet_as is None
    assert message.asn == 64512


def test_open_with_more_capabilities_than_fit() -> None:
    with pytest.raises(ValueError, match="253"):
        Open(1, 90, 1, tuple(UnknownCapability(2, bytes(60)) for _ in range(5))).encode()


def test_notification_of_an_error() -> None:
    fault = MessageError(3, 5, bytes(9000), "too long")
    assert len(Notification.of(fault).encode()) == 4096
    assert str(fault) == "3/5 UPDATE message error: attribute length error: too long"


def test_notification_prints_what_it_says() -> None:
    shutdown = Notification(6, 2, b"\x05hello")
    assert shutdown.communication == "hello"
    assert shutdown.text == "6/2 cease: administrative shutdown (hello)"
    assert Notification(6, 7, b"\x05hello").communication == ""
    assert Notification(3, 6).text == "3/6 UPDATE message error: invalid ORIGIN attribute"
    assert Notification(4, 0).text == "4/0 hold timer expired"
    assert Notification(9, 9, b"\x01").text == "9/9 unknown error (01)"
    assert code_text(5, 0) == "5/0 finite state machine error"


def test_hard_reset_carries_another_notification() -> None:
    """RFC 8538 section 3.1."""
    assert Notification(6, 9, b"\x06\x02\x00").inner == Notification(6, 2, b"\x00")
    assert Notification(6, 9).inner is None
    assert Notification(6, 2, b"\x06\x02").inner is None


def test_keepalive() -> None:
    assert Keepalive().encode() == MARKER + b"\x00\x13\x04"

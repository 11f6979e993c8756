"""Settings are checked where they are made; keys never show; the MD5 option is what Linux expects."""

from __future__ import annotations

import struct
from typing import Any

import pytest

from contrail_emulator.control.bgp.family import Family
from contrail_emulator.control.bgp.md5 import md5_option
from contrail_emulator.control.bgp.settings import (
    Change,
    FamilySettings,
    GracefulRestartSettings,
    PeerSettings,
    SpeakerSettings,
    change_of,
)

SPEAKER: dict[str, Any] = {"autonomous_system": 64512, "router_id": "10.0.0.1"}
PEER: dict[str, Any] = {"name": "p", "address": "10.1.1.1", "autonomous_system": 64512}


@pytest.mark.parametrize(
    ("bad", "says"),
    [
        ({"autonomous_system": 0}, "autonomous system 0"),
        ({"autonomous_system": 1 << 32}, "autonomous system"),
        ({"router_id": "0.0.0.0"}, "0.0.0.0"),
        ({"router_id": "one"}, "one"),
        ({"address": "nowhere"}, "nowhere"),
        ({"port": 65536}, "port 65536"),
        ({"hold_time": 2}, "hold time 2"),
        ({"dscp": 64}, "dscp 64"),
        ({"autonomous_system": 70000, "four_byte_as": False}, "four_byte_as"),
    ],
)
def test_speaker_settings(bad: dict[str, Any], says: str) -> None:
    with pytest.raises(ValueError, match=says):
        SpeakerSettings(**{**SPEAKER, **bad})


@pytest.mark.parametrize(
    ("bad", "says"),
    [
        ({"address": "x"}, "x"),
        ({"local_address": "y"}, "y"),
        ({"port": 0}, "port 0"),
        ({"autonomous_system": -1}, "autonomous system"),
        ({"local_as": 1 << 33}, "autonomous system"),
        ({"hold_time": 70000}, "hold time 70000"),
        ({"families": ()}, "no address family"),
        ({"md5": ""}, "1 to 80"),
        ({"bgpaas": True}, "inet and inet6 only"),
    ],
)
def test_peer_settings(bad: dict[str, Any], says: str) -> None:
    with pytest.raises(ValueError, match=says):
        PeerSettings(**{**PEER, **bad})


@pytest.mark.parametrize("bad", [{"time": 4096}, {"time": -1}, {"long_lived_time": 1 << 24}])
def test_graceful_restart_settings(bad: dict[str, int]) -> None:
    with pytest.raises(ValueError, match="graceful restart time"):
        GracefulRestartSettings(**bad)  # type: ignore[arg-type]  # one field at a time


def test_source_address_is_the_listening_one_unless_it_is_any() -> None:
    assert SpeakerSettings(**SPEAKER).source_address is None
    assert SpeakerSettings(**SPEAKER, address="127.0.1.1").source_address == "127.0.1.1"


def test_changes() -> None:
    peer = PeerSettings(**PEER)
    down = PeerSettings(**PEER, admin_down=True)
    assert change_of(peer, PeerSettings(**PEER)) is Change.NONE
    assert change_of(peer, down) is Change.ADMIN_DOWN
    assert change_of(down, peer) is Change.ADMIN_UP
    limited = PeerSettings(**PEER, family_settings=((Family.INET, FamilySettings(prefix_limit=1)),))
    assert change_of(peer, limited) is Change.CLEAR
    assert limited.of_family(Family.INET).prefix_limit == 1
    assert limited.of_family(Family.E_VPN) == FamilySettings()


def test_key_is_not_printed() -> None:
    assert "sesame" not in repr(PeerSettings(**PEER, md5="sesame"))


def test_md5_option_layout() -> None:
    """struct tcp_md5sig: sockaddr_storage 128, flags 1, prefix length 1, key length 2, interface 4, key 80."""
    option = md5_option("10.1.2.3", b"sesame")
    assert len(option) == 216
    assert struct.unpack_from("=HH4s", option) == (2, 0, bytes((10, 1, 2, 3)))
    assert struct.unpack_from("=BBHi", option, 128) == (0, 0, 6, 0)
    assert option[136:] == b"sesame".ljust(80, b"\0")
    assert struct.unpack_from("=HHI16s", md5_option("2001:db8::1", b""))[3].hex() == "20010db8" + "0" * 23 + "1"
    with pytest.raises(ValueError, match="80 bytes"):
        md5_option("10.1.2.3", b"k" * 81)

"""Sessions with ExaBGP."""

from __future__ import annotations

import pytest
from contrail_emulator.control.bgp import attributes, ext_community, rd, update
from contrail_emulator.control.bgp.family import Family
from contrail_emulator.control.bgp.nlri import codec, label_bytes
from contrail_emulator.control.bgp.settings import PeerSettings
from interop.bench import OURS, THEIRS, Bench
from interop.daemons import ExaBgp

if (reason := ExaBgp.missing()) is not None:
    pytest.skip(reason, allow_module_level=True)


def configuration(port: int, **lines: str) -> str:
    wanted = {
        "router-id": "10.255.1.2",
        "local-address": THEIRS,
        "local-as": "65001",
        "peer-as": "64512",
        "hold-time": "30",
        "connect": str(port),
        **{key.replace("_", "-"): value for key, value in lines.items()},
    }
    return "".join(f"  {key} {value};\n" for key, value in wanted.items())


FAMILY_BLOCK = "  family { ipv4 unicast; ipv4 mpls-vpn; }\n"
CAPABILITY_BLOCK = "  capability { graceful-restart 120; asn4 enable; route-refresh enable; }\n"
STATIC_BLOCK = (
    "  static { route 203.0.113.0/24 rd 65001:1 next-hop 10.255.1.2 label 1000 "
    "extended-community [ target:64512:100 ]; }\n"
)
KEY = rd.parse("65001:1") + bytes((24, 203, 0, 113))


def test_routes_both_ways_withdraw_and_end_of_rib(bench: Bench) -> None:
    speaker = bench.speaker()
    peer = speaker.add_peer(
        PeerSettings(name="exa", address=THEIRS, passive=True, autonomous_system=65001)
    )
    exa = ExaBgp(
        bench.directory,
        THEIRS,
        configuration(speaker.port or 0) + FAMILY_BLOCK + CAPABILITY_BLOCK + STATIC_BLOCK,
        OURS,
    )
    bench.start(exa)
    bench.up(peer)
    bench.until(lambda: ("exa", Family.INET_VPN, KEY) in bench.routes.table, "their route")
    bench.until(lambda: Family.INET_VPN in bench.routes.complete, "their End-of-RIB")

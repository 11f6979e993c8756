"""Golden files hold what we write and read; CONTRAIL_EMULATOR_WRITE_GOLDEN=1 writes them anew."""

import json
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from control.bgp.wire import golden_cases, golden_view
from control.bgp.wire.golden_cases import Case

from contrail_emulator.base.pcap import Capture

GOLDEN = Path(__file__).parent / "golden"


def view(case: Case) -> golden_view.Json:
    return {
        "name": case.name,
        "wire": golden_view.fields(case.wire),
        "profile": "rfc" if not case.behaviour.reset_on_malformed_attribute else "contrail",
        "as4": case.as4,
        "json": golden_view.message_json(case.wire, case.behaviour, case.as4),
    }


@pytest.mark.parametrize("name", list(golden_cases.FILES))
def test_golden_file(name: str) -> None:
    path = GOLDEN / name
    views = [view(case) for case in golden_cases.FILES[name]()]
    if os.environ.get("CONTRAIL_EMULATOR_WRITE_GOLDEN") == "1":
        path.write_text(json.dumps(views, indent=1, ensure_ascii=False) + "\n")
    expected = json.loads(path.read_text())
    assert [each["name"] for each in expected] == [each["name"] for each in views]
    for theirs, ours in zip(expected, views, strict=True):
        assert ours == theirs


@pytest.mark.parametrize("name", list(golden_cases.FILES))
def test_the_fields_of_a_golden_message_are_the_message(name: str) -> None:
    for entry, case in zip(json.loads((GOLDEN / name).read_text()), golden_cases.FILES[name](), strict=True):
        assert bytes.fromhex("".join(line.split("  ")[0] for line in entry["wire"])) == case.wire


def _streams() -> Iterator[tuple[bool, bytes]]:
    for cases in golden_cases.FILES.values():
        for case in cases():
            yield case.as4, case.wire


def _tshark(capture: Path, *fields: str) -> list[list[str]]:
    command = ["tshark", "-r", str(capture), "-T", "fields"]
    for field in fields:
        command += ["-e", field]
    shown = subprocess.run(command, capture_output=True, text=True, check=True, timeout=60).stdout
    return [line.split("\t") for line in shown.splitlines()]


def _worst(severities: str) -> int:
    return max((int(severity) for severity in severities.split(",") if severity), default=0)


def test_tshark_finds_nothing_wrong(tmp_path: Path) -> None:
    """No malformed packet and no expert note from BGP; each message is one that tshark names."""
    path = tmp_path / "golden.pcapng"
    capture = Capture(path)
    port = 20000
    count = 0
    for _, wire in _streams():  # a connection each: tshark guesses the width of AS numbers per connection
        port += 1
        trace = capture.tcp(("127.0.0.1", port), ("127.0.0.2", 179), initiator=True)
        trace.sent(wire)
        trace.closed(by_us=True)
        count += 1
    capture.close()
    rows = _tshark(path, "bgp.type", "_ws.malformed", "_ws.expert.severity", "_ws.expert.message")
    assert sum(row[0] != "" for row in rows) == count
    noted = [row for row in rows if row[0] and (row[1] or _worst(row[2]) > CHAT)]
    assert {remark for row in noted for remark in row[3].split(",")} <= set(EXPLAINED)
    malformed = [row for row in noted if row[1]]
    assert all(UNKNOWN_FAMILY in row[3] for row in malformed)
    assert len(malformed) == sum(wire[18] == 2 and ERM_VPN_REACH in wire for _, wire in _streams())


CHAT = 0x00200000
"""The mildest severity: tshark explains what a graceful restart capability means."""

ERM_VPN_REACH = bytes.fromhex("0001f304")
UNKNOWN_FAMILY = "Unknown SAFI (243) for AFI 1"

EXPLAINED = {
    UNKNOWN_FAMILY: "erm-vpn is Contrail's own family: tshark cannot know it, and says so once per field",
    "Unknown Next Hop length (4 bytes)": "of that same family",
    "Tunnel type 252 wrong": "assisted replication is Contrail's own tunnel type (reference/bgp.md 3.1)",
    "IP Address: NOT INCLUDED": "a MAC route without an address is legal (RFC 7432 7.2): a note, no warning",
}

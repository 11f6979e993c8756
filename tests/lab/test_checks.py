"""Which machines a lab's checks are tried with, also where there are thousands."""

from __future__ import annotations

from ipaddress import IPv4Address
from types import SimpleNamespace
from typing import Any, cast

import pytest

from contrail_emulator.lab import checks as module
from contrail_emulator.lab.checks import checks
from contrail_emulator.lab.lab import Lab
from contrail_emulator.lab.model import LabFile

JOINED = "target:64512:100"


def lab(*agents: list[str], targets: tuple[str, ...] = ("", "", "")) -> Lab:
    """Agents with machines in the networks a, b and c; the machines are called by network and number."""
    networks = [
        {"name": name, "subnet": f"10.{index}.0.0/16", "route_targets": [target] if target else []}
        for index, (name, target) in enumerate(zip("abc", targets, strict=True))
    ]
    number, placed = 0, []
    addresses = {}
    for index, machines in enumerate(agents):
        named = []
        for network in machines:
            number += 1
            named.append({"name": f"{network}{number}", "network": network})
            addresses[f"{network}{number}"] = IPv4Address(f"10.{'abc'.index(network)}.0.0") + number
        placed.append({"bind": f"127.0.2.{index + 1}", "machines": named})
    file = LabFile.parse({"name": "x", "autonomous_system": 64512, "networks": networks, "agents": placed})
    return cast(Lab, SimpleNamespace(file=file, addresses=addresses, fabrics={}))


@pytest.mark.parametrize(
    ("agents", "targets", "expected"),
    [
        ((["a"], ["a"]), ("", "", ""), ["a1 pings a2"]),
        ((["a", "a"], ["a"]), ("", "", ""), ["a1 pings a3"]),
        ((["a", "a"], ["b"]), ("", "", ""), ["a1 pings a2", "a1 cannot reach b3 (another network)"]),
        ((["a", "b"], ["b", "a"]), ("", "", ""), ["a1 pings a4", "a1 cannot reach b2 (another network)"]),
        ((["a", "b"], ["c"]), (JOINED, JOINED, ""), ["a1 cannot reach c3 (another network)"]),
        ((["a", "b", "b"], ["a"]), (JOINED, JOINED, ""), ["a1 pings a4"]),
        ((["a"],), ("", "", ""), []),
    ],
)
def test_the_first_machines_that_fit(
    agents: tuple[list[str], ...], targets: tuple[str, ...], expected: list[str]
) -> None:
    assert [check.name for check in checks(lab(*agents, targets=targets))] == expected


def test_thousands_of_machines_are_not_compared_in_pairs(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[str] = []

    def wanted(lab: Any, network: Any) -> set[str]:
        asked.append(network.name)
        return {f"{address}/32" for address in lab.addresses.values()}

    monkeypatch.setattr(module, "wanted_prefixes", wanted)
    crowd = lab(["a"] * 2000 + ["b"] * 2000, ["c"] * 500)
    assert [check.name for check in checks(crowd)] == ["a1 pings a2"]
    assert asked == ["a", "b", "c"]

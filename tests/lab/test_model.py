"""Lab files: what is filled in, and the one line a user gets for each mistake."""

from pathlib import Path

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from contrail_emulator.lab.errors import LabError
from contrail_emulator.lab.model import LabFile
from contrail_emulator.lab.router_limits import SPOKEN
from contrail_emulator.lab.routers import bird, exabgp, frr, gobgp, openbgpd

DEMO = Path(__file__).parents[2] / "lab" / "data" / "demo.yaml"
MINIMAL = {"name": "small", "autonomous_system": 64512}


def test_demo_lab_is_valid() -> None:
    lab = LabFile.load(DEMO)
    assert [agent.name for agent in lab.agents] == ["compute-1", "compute-2"]
    assert str(lab.network("blue").gateway) == "10.1.0.254"
    assert str(lab.network("blue").dns_server) == "10.1.0.253"


def test_only_name_and_as_are_needed() -> None:
    lab = LabFile.parse(MINIMAL)
    assert [(node.name, str(node.router_id), node.bgp_port) for node in lab.control_nodes] == [
        ("control-1", "10.255.0.1", 179)
    ]


def test_names_and_addresses_left_out_are_counted() -> None:
    lab = LabFile.parse({**MINIMAL, "agents": [{}, {"bind": "127.0.2.2"}]})
    assert [(agent.name, str(agent.tunnel_address), str(agent.bind)) for agent in lab.agents] == [
        ("compute-1", "10.255.2.1", "10.255.2.1"),
        ("compute-2", "10.255.2.2", "127.0.2.2"),
    ]


MISTAKES = {
    "unknown key": ("name: demo", "name: demo\nfoo: 1", "3: foo: unknown key"),
    "bad address": ("10.255.2.2", "10.255.2", "tunnel_address: expected a valid IPv4 address, got '10.255.2'"),
    "one address twice": ("10.1.0.4", "10.1.0.3", "machines[0].address: 10.1.0.3 already is the address of vm1"),
    "no such network": ("network: red", "network: green", "no network is called green (there is: blue, red)"),
    "name twice": ("name: vm2", "name: vm1", "vm1 already is a machine of compute-1"),
    "gateway's address": ("10.1.0.4", "10.1.0.254", "10.1.0.254 is the gateway of blue"),
    "outside the subnet": ("10.1.0.4", "10.9.0.4", "expected an address of blue's subnet 10.1.0.0/24, got 10.9.0.4"),
    "unknown router": ("kind: exabgp", "kind: cisco", "bgp_peers[0].kind: expected 'external', 'exabgp'"),
    "key twice": ("name: demo", "name: demo\nname: again", "3: name stands here twice"),
    "not YAML": ("dns: {", "dns: [", "not YAML"),
    "missing": ("autonomous_system: 64512\n", "", "autonomous_system: expected, but it is not there"),
    "AS 0": ("autonomous_system: 64512", "autonomous_system: 0", "expected greater than or equal to 1, got 0"),
    "tunnel address twice": ("10.255.2.2", "10.255.2.1", "10.255.2.1 is already that of agents[0]"),
    "peer named as a node": ("name: gateway", "name: control-1", "control-1 is a control node"),
    "alias": ("name: demo", "name: &a demo\ncapture: *a", "aliases (*a) are not accepted"),
    "VPN route without label": (", label: 1000", "", "needs route_distinguisher, route_targets and label"),
    "route target out of range": ('["target:64512:200"]', '["target:64512:99999999999"]', "a number is too large"),
    "route target of one part": ('["target:64512:200"]', '["target:200"]', "a route target such as target:64512:100"),
    "RD that is none": ('"65001:1"', '"....:1"', "expected a route distinguisher such as 65001:1"),
    "AS that needs four bytes": ("64512\n", "70000\nfour_byte_as: false\n", "70000 needs four_byte_as"),
    "AS as text": ("autonomous_system: 64512", 'autonomous_system: "64512"', "expected a whole number"),
    "md5 that a router would read": ("kind: exabgp", "kind: exabgp\n    md5: 'sec\"ret'", "printable ASCII characters"),
    "family twice": ("families: [inet, inet-vpn]", "families: [inet-vpn, inet-vpn]", "a family stands here twice"),
    "peer at no host's address": ("address: 127.0.1.1", "address: 224.0.0.1", "224.0.0.1 is no host's address"),
    "router id of a control node": ("router_id: 10.255.1.1", "router_id: 10.255.0.1", "10.255.0.1 is a control node's"),
    "machine that DNS cannot name": ("name: vm2", "name: vm_2", "vm_2 is no DNS label"),
    "no way to leave": ("[MPLSoUDP, VXLAN, MPLSoGRE]", "[MPLSoGRE]", "expected MPLSoUDP among them"),
    "list as key": ("name: demo", "name: demo\n? [a]\n: b", "expected a word as key"),
    "agent at no host's address": ("bind: 127.0.2.1", "bind: 0.0.0.0", "agents[0].bind: 0.0.0.0 is no host's address"),
    "tunnel to everybody": ("address: 10.255.2.1", "address: 224.0.0.1", "224.0.0.1 is no host's address"),
    "underlay to nowhere": ("10.255.1.1: 127.0.1.1", "10.255.1.1: 0.0.0.0", "0.0.0.0 is no host's address"),
    "agent where the gateway is": ("bind: 127.0.2.2", "bind: 127.0.1.1", "the lab listens there in place of gateway"),
    "tunnel address of the gateway": ("tunnel_address: 10.255.2.2", "tunnel_address: 10.255.1.1", "gateway's next hop"),
    "MAC of a group": ("10.1.0.3}", '10.1.0.3, mac: "01:00:5e:00:00:01"}', "no group's, and not all zeros"),
    "MAC of zeros": ("10.1.0.3}", '10.1.0.3, mac: "00:00:00:00:00:00"}', "no group's, and not all zeros"),
    "multicast subnet": ("10.2.0.0/24", "224.2.0.0/24", "networks[1].subnet: expected a unicast subnet"),
    "target that the system gives out": ("target:64512:200", "target:64512:8000001", "8000000..16777216"),
    "one name in DNS": ("name: vm2", "name: VM1", "VM1 and vm1 are one name in DNS"),
    "domain too long": ("lab.example", ".".join(["a" * 60] * 5), "a domain name such as lab.example"),
    "bad port": ("bgp_port: 0", "bgp_port: 70000", "control_nodes[0].bgp_port: expected less than or equal to 65535"),
}  # fmt: skip


@pytest.mark.parametrize("name", list(MISTAKES))
def test_mistake_gives_one_line_with_file_and_line(name: str, tmp_path: Path) -> None:
    old, new, expected = MISTAKES[name]
    text = DEMO.read_text()
    assert old in text
    path = tmp_path / "bad.yaml"
    path.write_text(text.replace(old, new, 1))
    with pytest.raises(LabError) as caught:
        LabFile.load(path)
    message = str(caught.value)
    assert message.startswith(f"{path}:") and message.removeprefix(f"{path}:").split(":")[0].isdigit()
    assert expected in message
    assert "\n" not in message


def refusal(text: str, tmp_path: Path) -> str:
    path = tmp_path / "bad.yaml"
    path.write_text(text)
    with pytest.raises(LabError) as caught:
        LabFile.load(path)
    return str(caught.value)


def test_two_machines_of_one_mac_in_one_network(tmp_path: Path) -> None:
    text = DEMO.read_text().replace("address: 10.1.0", 'mac: "02:00:00:00:00:01", address: 10.1.0')
    assert "machines[0].mac: 02:00:00:00:00:01 already is the MAC of vm1" in refusal(text, tmp_path)


def test_more_machines_than_the_subnet_has_addresses(tmp_path: Path) -> None:
    """The first of them that is too many is named; a /29 has four addresses beside its gateway and DNS address."""

    def lab(count: int) -> str:
        machines = ", ".join(f"{{name: m{number}, network: blue}}" for number in range(count))
        head = "name: x\nautonomous_system: 1\nnetworks: [{name: blue, subnet: 10.1.0.0/29}]\n"
        return head + f"agents:\n  - machines: [{machines}]\n"

    path = tmp_path / "full.yaml"
    path.write_text(lab(4))
    LabFile.load(path)
    expected = "bad.yaml:5: agents[0].machines[4].network: blue (10.1.0.0/29) has room for 4 machines"
    assert refusal(lab(5), tmp_path).endswith(expected)


def test_two_routers_whose_data_side_is_one(tmp_path: Path) -> None:
    peer = "{name: %s, address: 127.0.1.1, port: %d, autonomous_system: 2, kind: exabgp, router_id: 10.9.9.%d}"
    peers = ", ".join((peer % ("one", 1179, 1), peer % ("two", 1180, 2)))
    text = f"name: x\nautonomous_system: 1\nbgp_peers: [{peers}]\n"
    assert "bgp_peers[1].address: the lab listens at 127.0.1.1 in place of one" in refusal(text, tmp_path)


def test_what_a_router_cannot_do_is_said_of_its_line(tmp_path: Path) -> None:
    text = """name: x
autonomous_system: 64512
bgp_peers:
  - name: gateway
    address: 127.0.1.1
    autonomous_system: 65001
    families: [inet,
               %s]
    kind: %s
    routes:
      - {prefix: 203.0.113.0/24, route_distinguisher: "1:1", route_targets: ["target:1:1"], label: 16, family: inet-vpn}
"""
    assert "bad.yaml:8: bgp_peers[0].families[1]: ExaBGP does not speak route-target (it speaks e-vpn, inet, " in (
        refusal(text % ("route-target", "exabgp"), tmp_path)
    )
    assert "bad.yaml:11: bgp_peers[0].routes[0]: OpenBGPD originates inet routes only" in (
        refusal(text % ("inet-vpn", "openbgpd"), tmp_path)
    )
    assert "bad.yaml:6: bgp_peers[0].autonomous_system: over eBGP BIRD 2 sends its own VPN routes with label 3" in (
        refusal(text % ("inet-vpn", "bird"), tmp_path)
    )
    assert {
        "exabgp": set(exabgp.FAMILIES), "bird": set(bird.CHANNELS), "frr": set(frr.FAMILIES),
        "gobgp": set(gobgp.FAMILIES), "openbgpd": set(openbgpd.FAMILIES),
    } == SPOKEN  # fmt: skip


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("control_nodes: {}", "control_nodes: expected a list"),
        ("control_nodes: []", "control_nodes: expected at least one in this list"),
        ("control_nodes: [1]", "control_nodes[0]: expected a mapping such as {name: …}, got 1"),
        ("underlay: [1]", "underlay: expected a mapping"),
        ("four_byte_as: 1", "four_byte_as: expected true or false, got 1"),
        ("end_of_rib_timeout: 1.5", "end_of_rib_timeout: expected a whole number, got 1.5"),
        ("behaviour: 1", "behaviour: expected 'contrail' or 'rfc', got 1"),
        ("capture: [x]", "capture: expected the name of a file"),
        ("networks: [{name: a, subnet: 10.1.0.1/24}]", "networks[0].subnet: expected a valid IPv4 network such as"),
        ("networks: [{name: 1, subnet: 10.1.0.0/24}]", "networks[0].name: expected text, got 1"),
    ],
)
def test_values_are_called_as_in_yaml(text: str, expected: str, tmp_path: Path) -> None:
    assert f"bad.yaml:3: {expected}" in refusal(f"name: x\nautonomous_system: 1\n{text}\n", tmp_path)


def test_error_names_the_line_of_the_fault(tmp_path: Path) -> None:
    path = tmp_path / "bad.yaml"
    path.write_text(
        "name: x\nautonomous_system: 64512\nnetworks:\n  - name: a\n    subnet: 10.0.0.0/24\n    color: blue\n"
    )
    with pytest.raises(LabError, match=r"bad\.yaml:6: networks\[0\]\.color: unknown key"):
        LabFile.load(path)


@pytest.mark.parametrize("text", ["", "[1, 2]", "just text", "\x00", "a: [" * 50, "{" * 2000])
def test_what_is_no_lab_at_all(text: str, tmp_path: Path) -> None:
    path = tmp_path / "bad.yaml"
    path.write_text(text)
    with pytest.raises(LabError):
        LabFile.load(path)


def test_file_that_is_not_there_and_bytes_that_are_no_text(tmp_path: Path) -> None:
    with pytest.raises(LabError, match="No such file"):
        LabFile.load(tmp_path / "absent.yaml")
    (tmp_path / "bad.yaml").write_bytes(b"\xff\xfe\xfd")
    with pytest.raises(LabError, match="expected UTF-8"):
        LabFile.load(tmp_path / "bad.yaml")


KEYS = ["name", "autonomous_system", "agents", "networks", "machines", "address", "dns", "bgp_peers", "x"]
SCALARS = st.none() | st.booleans() | st.integers() | st.text(max_size=8)
DATA = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(KEYS), inner, max_size=4),
    max_leaves=12,
)


@given(DATA)
def test_any_data_is_a_lab_or_a_lab_error(data: object) -> None:
    if isinstance(data, dict):
        try:
            LabFile.parse(data)
        except LabError as error:
            assert "\n" not in str(error)
    assert yaml.safe_dump(data) is not None

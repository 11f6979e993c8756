"""BIRD 2, seen through birdc."""

from __future__ import annotations

import re
from collections.abc import Mapping

from interop.daemons import (
    INET6_ROUTE,
    INET_ROUTE,
    LABEL,
    LABELED_ROUTE,
    NEXT_HOP,
    NEXT_HOP6,
    ROUTE_DISTINGUISHER,
    ROUTE_TARGET,
    VPN6_ROUTE,
    VPN_ROUTE,
    Router,
    Seen,
    Support,
    which,
)

_PROTOCOL = "peer1"
_CHANNELS: Mapping[str, str] = {
    "inet": "ipv4",
    "inet6": "ipv6",
    "inet-labeled": "ipv4 mpls",
    "inet-vpn": "vpn4 mpls",
    "inet6-vpn": "vpn6 mpls",
}
_TABLES: Mapping[str, str] = {
    "inet": "master4",
    "inet6": "master6",
    "inet-labeled": "labtab4",
    "inet-vpn": "vpntab4",
    "inet6-vpn": "vpntab6",
}
_OWN_TABLES = "ipv4 table labtab4;\nvpn4 table vpntab4;\nvpn6 table vpntab6;\n"


class Bird(Router):
    """With a next hop of its own choice it puts implicit null on the VPN route."""

    name = "bird"
    label = 3
    version = "2.0.12-7"
    supports: Mapping[str, Support | str] = {
        "inet": Support(),
        "inet6": Support(),
        "inet-labeled": Support(label=3),
        "inet-vpn": Support(label=3),
        "inet6-vpn": Support(label=3),
        "route-target": "BIRD does not know RFC 4684",
        "e-vpn": "BIRD 2.0 does not know EVPN",
    }

    @classmethod
    def missing(cls) -> str | None:
        return None if which("bird", "birdc") else "bird is not installed"

    def _configuration(self) -> str:
        session = self.session
        routes = "".join(_static(family) for family in session.families)
        lines = [
            f"local {self.address} port {self.port} as {session.local_as}",
            f"neighbor {session.address} port {session.port} as {session.autonomous_system}",
            "multihop",
            "strict bind on",
            f"hold time {session.hold_time}",
            "connect delay time 1",
            "error wait time 1, 2",
            f"passive {'off' if session.connect else 'on'}",
            *([f'password "{session.md5}"'] if session.md5 else []),
            *(
                [f"graceful restart on; graceful restart time {session.graceful_restart}"]
                if session.graceful_restart
                else []
            ),
        ]
        lines += [_channel(family) for family in session.families]
        return (
            f"log stderr all;\nrouter id {session.router_id};\n{_OWN_TABLES}protocol device {{}}\n"
            + (routes if session.announce else "")
            + f"protocol bgp {_PROTOCOL} {{\n"
            + "".join(f"  {line};\n" for line in lines)
            + "}\n"
        )

    def command(self) -> list[str]:
        (self.directory / "bird.conf").write_text(self._configuration())
        program = which("bird", "birdc") or "bird"
        recover = ["-R"] if self.session.graceful_restart else []  # else it says that it kept no forwarding state
        own = ["-s", str(self.sockets / "ctl"), "-P", str(self.directory / "pid")]
        return [program, "-f", "-c", "bird.conf", *own, *recover]

    def ready(self) -> bool:
        return "Daemon is up" in self._birdc("show status", check=False)

    def _birdc(self, command: str, check: bool = True) -> str:
        return self._run(which("birdc", "bird") or "birdc", "-s", str(self.sockets / "ctl"), command, check=check)

    def view(self, family: str) -> dict[str, Seen]:
        text = self._birdc(f"show route all table {_TABLES[family]} protocol {_PROTOCOL}")
        found: dict[str, Seen] = {}
        for block in re.split(r"\n(?=\S)", text):
            route = re.match(r"(?:(\d+:\d+) )?([\da-f.:]+/\d+)\s", block)
            if route is not None:
                found[route[2]] = _seen(block, route[1])
        return found

    def hold_time(self) -> int:
        found = re.search(r"Hold timer:\s+[\d.]+/(\d+)", self._birdc(f"show protocols all {_PROTOCOL}"))
        return int(found[1]) if found is not None else 0

    def withdraw(self, family: str) -> None:
        self._birdc(f"disable {_static_name(family)}")


def _static_name(family: str) -> str:
    return f"{family.replace('-', '_')}_routes"


def _static(family: str) -> str:
    """The protocol with its own routes of a family."""
    channel, target = _CHANNELS[family].removesuffix(" mpls"), ROUTE_TARGET.replace(":", ",")
    common = "bgp_community.add((65001,7));"
    if family.endswith("-vpn"):
        common += f" bgp_ext_community.add((rt,{target}));"
    how = "unreachable" if family in ("inet", "inet6") else f'via "lo" mpls {LABEL}'
    routes = {
        "inet": INET_ROUTE,
        "inet6": INET6_ROUTE,
        "inet-labeled": LABELED_ROUTE,
        "inet-vpn": f"{ROUTE_DISTINGUISHER} {VPN_ROUTE}",
        "inet6-vpn": f"{ROUTE_DISTINGUISHER} {VPN6_ROUTE}",
    }
    return (
        f"protocol static {_static_name(family)} {{ {channel} {{ table {_TABLES[family]}; }};"
        f" route {routes[family]} {how} {{ {common} }}; }}\n"
    )


def _channel(family: str) -> str:
    next_hop = NEXT_HOP6 if "6" in family else NEXT_HOP
    export = "export filter { bgp_med = 50; if source = RTS_STATIC then accept; reject; }"
    rules = f"import all; {export}; next hop address {next_hop};"
    if "6" in family:
        rules += " extended next hop on;"  # else an IPv4 next hop, mapped, is refused
    return f"{_CHANNELS[family]} {{ table {_TABLES[family]}; {rules} }}"


def _attribute(block: str, name: str) -> str:
    found = re.search(rf"\t{re.escape(name)}: (.*)", block)
    return found[1].strip() if found is not None else ""


def _seen(block: str, rd: str | None) -> Seen:
    label = _attribute(block, "BGP.mpls_label_stack")
    med = _attribute(block, "BGP.med")
    local_pref = _attribute(block, "BGP.local_pref")
    return Seen(
        next_hop=_attribute(block, "BGP.next_hop"),
        label=int(label) if label else None,
        as_path=tuple(int(asn) for asn in _attribute(block, "BGP.as_path").split()),
        med=int(med) if med else None,
        local_pref=int(local_pref) if local_pref else None,
        rd=rd,
        communities=frozenset(
            f"{a}:{b}" for a, b in re.findall(r"\((\d+),(\d+)\)", _attribute(block, "BGP.community"))
        ),
        targets=frozenset(
            f"{a}:{b}" for a, b in re.findall(r"\(rt, ?(\d+), ?(\d+)\)", _attribute(block, "BGP.ext_community"))
        ),
    )

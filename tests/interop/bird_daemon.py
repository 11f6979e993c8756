"""BIRD 2, seen through birdc."""

from __future__ import annotations

import re

from interop.daemons import (
    INET_ROUTE,
    LABEL,
    NEXT_HOP,
    ROUTE_DISTINGUISHER,
    ROUTE_TARGET,
    VPN_ROUTE,
    Router,
    Seen,
    which,
)

_PROTOCOL = "peer1"


class Bird(Router):
    """With a next hop of its own choice it puts implicit null on the VPN route."""

    name = "bird"
    label = 3

    @classmethod
    def missing(cls) -> str | None:
        return None if which("bird") and which("birdc") else "bird is not installed"

    def _configuration(self) -> str:
        session = self.session
        routes = (
            f"protocol static inet_routes {{ ipv4; route {INET_ROUTE} unreachable "
            "{ bgp_community.add((65001,7)); }; }\n"
            "protocol static vpn_routes { vpn4 { table vpntab4; }; "
            f'route {ROUTE_DISTINGUISHER} {VPN_ROUTE} via "lo" mpls {LABEL} '
            f"{{ bgp_ext_community.add((rt,{ROUTE_TARGET.replace(':', ',')})); }}; }}\n"
        )
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
        export = "export filter { bgp_med = 50; if source = RTS_STATIC then accept; reject; }"
        channel = f"import all; {export}; next hop address {NEXT_HOP};"
        channels = {"inet": f"ipv4 {{ {channel} }}", "inet-vpn": f"vpn4 mpls {{ table vpntab4; {channel} }}"}
        lines += [channels[family] for family in session.families]
        return (
            f"log stderr all;\nrouter id {session.router_id};\nvpn4 table vpntab4;\nprotocol device {{}}\n"
            + (routes if session.announce else "")
            + f"protocol bgp {_PROTOCOL} {{\n"
            + "".join(f"  {line};\n" for line in lines)
            + "}\n"
        )

    def command(self) -> list[str]:
        (self.directory / "bird.conf").write_text(self._configuration())
        program = which("bird") or "bird"
        recover = ["-R"] if self.session.graceful_restart else []  # else it says that it kept no forwarding state
        own = ["-s", str(self.directory / "ctl"), "-P", str(self.directory / "pid")]
        return [program, "-f", "-c", "bird.conf", *own, *recover]

    def ready(self) -> bool:
        return "Daemon is up" in self._birdc("show status", check=False)

    def _birdc(self, command: str, check: bool = True) -> str:
        return self._run(which("birdc") or "birdc", "-s", str(self.directory / "ctl"), command, check=check)

    def view(self, family: str) -> dict[str, Seen]:
        table = {"inet": "master4", "inet-vpn": "vpntab4"}[family]
        text = self._birdc(f"show route all table {table} protocol {_PROTOCOL}")
        found: dict[str, Seen] = {}
        for block in re.split(r"\n(?=\S)", text):
            prefix = re.match(r"(?:\S+ )?(\d+\.\d+\.\d+\.\d+/\d+)\s", block)
            if prefix is not None:
                found[prefix[1]] = _seen(block)
        return found

    def hold_time(self) -> int:
        text = self._birdc(f"show protocols all {_PROTOCOL}")
        found = re.search(r"Hold timer:\s+[\d.]+/(\d+)", text)
        assert found is not None, text
        return int(found[1])

    def withdraw_inet(self) -> None:
        self._birdc("disable inet_routes")


def _attribute(block: str, name: str) -> str:
    found = re.search(rf"\t{re.escape(name)}: (.*)", block)
    return found[1].strip() if found is not None else ""


def _seen(block: str) -> Seen:
    label = _attribute(block, "BGP.mpls_label_stack")
    med = _attribute(block, "BGP.med")
    return Seen(
        next_hop=_attribute(block, "BGP.next_hop"),
        label=int(label) if label else None,
        as_path=tuple(int(asn) for asn in _attribute(block, "BGP.as_path").split()),
        med=int(med) if med else None,
        communities=frozenset(
            f"{a}:{b}" for a, b in re.findall(r"\((\d+),(\d+)\)", _attribute(block, "BGP.community"))
        ),
        targets=frozenset(
            f"{a}:{b}" for a, b in re.findall(r"\(rt, ?(\d+), ?(\d+)\)", _attribute(block, "BGP.ext_community"))
        ),
    )

"""Which numbers there are, where they lie and which comes first (reference/config.md 4.1)."""

from dataclasses import dataclass
from ipaddress import IPv4Network, IPv6Network


@dataclass(frozen=True, slots=True)
class Pool:
    """Indexes `first` .. `first + size - 1` as ten-digit nodes under `path`; what is given out is index + `offset`."""

    path: str
    first: int
    size: int
    offset: int = 0

    def node(self, index: int) -> str:
        """The node of one index."""
        return f"{self.path}/{index:010d}"


VIRTUAL_NETWORKS = Pool("/id/virtual-networks", 0, 1 << 24, offset=1)
SECURITY_GROUPS = Pool("/id/security-groups/id", 0, 1 << 32, offset=8_000_000)
ROUTE_TARGETS = Pool("/id/bgp/route-targets/type0", 8_000_000, 1 << 24)
ROUTE_TARGETS_4_BYTE = Pool("/id/bgp/route-targets/type1_2", 8_000, 1 << 15)


def subnet_pool(network: str, subnet: IPv4Network | IPv6Network) -> Pool:
    """The addresses of one subnet of the network with that fq-name."""
    path = f"/api-server/subnets/{network}:{subnet.network_address}/{subnet.prefixlen}"
    return Pool(path, int(subnet.network_address), subnet.num_addresses)

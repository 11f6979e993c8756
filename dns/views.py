"""The views: one per virtual DNS server, chosen by name, and the default view of what is visible from outside."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from .names import view_name
from .virtual_dns import VirtualDns


class Views:
    """All virtual DNS servers, also those that are only named so far."""

    def __init__(self, host_ip: str) -> None:
        self._host_ip: Final = host_ip
        self._servers: dict[str, VirtualDns] = {}
        self._by_view: dict[str, list[str]] = {}
        self._external: dict[bytes, VirtualDns] | None = None

    def get(self, fq_name: str) -> VirtualDns | None:
        """The server of that name, if anything was ever said of it."""
        return self._servers.get(fq_name)

    def ensure(self, fq_name: str) -> VirtualDns:
        """The server of that name; made, without a view yet, when it is new."""
        server = self._servers.get(fq_name)
        if server is None:
            server = self._servers[fq_name] = VirtualDns(fq_name, self._host_ip)
            for key in {server.view_name, server.view_name.lower()}:
                self._by_view[key] = sorted([*self._by_view.get(key, ()), fq_name])
        return server

    def settle(self, server: VirtualDns) -> None:
        """To be called after a change of a server: forget it when nothing is left, and find the outside view anew."""
        self._external = None
        if server.unused and self._servers.pop(server.fq_name, None) is not None:
            for key in {server.view_name, server.view_name.lower()}:
                self._by_view[key].remove(server.fq_name)
                if not self._by_view[key]:
                    del self._by_view[key]

    def by_view(self, name: str) -> VirtualDns | None:
        """The installed server whose view has exactly that name; of several, the one whose own name sorts first."""
        return self._first(name, exact=True)

    def by_next(self, fq_name: str) -> VirtualDns | None:
        """The installed server that a next-virtual-DNS names."""
        return self.by_view(view_name(fq_name))

    def by_name_server(self, target: bytes) -> VirtualDns | None:
        """The installed server whose view is the target of an NS record (reference/dns.md 5, delegation hook)."""
        return self._first(target.decode("utf-8", "replace"), exact=False)

    def external(self, name: bytes) -> VirtualDns | None:
        """The server that answers for this name in the default view: the closest zone that is visible from outside."""
        zones = self._external
        if zones is None:
            zones = self._external = {}
            for fq_name in sorted(self._servers):
                server = self._servers[fq_name]
                if server.data is not None and server.data.external_visible:
                    for zone in server.zones:
                        zones.setdefault(zone, server)
        while True:
            found = zones.get(name)
            if found is not None or not name:
                return found
            name = name.partition(b".")[2]

    def __iter__(self) -> Iterator[VirtualDns]:
        return iter([self._servers[fq_name] for fq_name in sorted(self._servers)])

    def __len__(self) -> int:
        return len(self._servers)

    def _first(self, name: str, exact: bool) -> VirtualDns | None:
        for fq_name in self._by_view.get(name, ()):
            server = self._servers[fq_name]
            if server.installed and (server.view_name == name or not exact):
                return server
        return None

"""Routing instances: what configuration says of one, and its tables (reference/bgp.md 4.1)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from contrail_emulator.control.bgp import rd
from contrail_emulator.control.bgp.family import Family

from .targets import es_import_target, import_target

if TYPE_CHECKING:
    from .table import Table

MASTER_INSTANCE = "default-domain:default-project:ip-fabric:__default__"
MASTER_NETWORK = "default-domain:default-project:ip-fabric"


@dataclass(frozen=True, slots=True, kw_only=True)
class InstanceSettings:
    """A routing instance as configured.

    Targets are extended communities of 8 bytes each. `import_targets` holds what the instance imports by its own
    configuration and by its connections; the two automatic targets are added here. `index` is unique in the node, 0 for
    the master alone. `virtual_network` is a fully qualified name, `virtual_network_index` 0 when unknown;
    `always_subscribe` asks for the import targets even while no agent is subscribed (routing-instance-has-pnf).
    """

    name: str
    index: int = 0
    virtual_network: str = ""
    virtual_network_index: int = 0
    vxlan_id: int = 0
    import_targets: frozenset[bytes] = frozenset()
    export_targets: frozenset[bytes] = frozenset()
    is_master: bool = False
    always_subscribe: bool = False
    allow_transit: bool = False
    pbb_evpn_enable: bool = False


class Instance:
    """A routing instance that exists: its settings, its tables by family, and what follows from both.

    `rd` is `<router-id>:<index>`, for paths without a source RD. `imports` are all imported targets.
    """

    __slots__ = ("exports", "imports", "master", "name", "rd", "settings", "tables")

    def __init__(self, settings: InstanceSettings) -> None:
        self.name = settings.name
        self.master = settings.is_master
        self.settings = settings
        self.tables: dict[Family, Table] = {}
        self.rd = rd.ZERO
        self.imports: frozenset[bytes] = frozenset()
        self.exports: tuple[bytes, ...] = ()

    def configure(self, settings: InstanceSettings, router_id: int, autonomous_system: int) -> None:
        """Take over settings of the same name. `router_id` is unsigned."""
        self.settings = settings
        if self.master:
            return
        self.rd = rd.make_ipv4(router_id.to_bytes(4, "big"), settings.index & 0xFFFF)
        self.imports = settings.import_targets | {
            import_target(router_id, settings.index),
            es_import_target(autonomous_system),
        }
        self.exports = tuple(sorted(settings.export_targets))

    def __repr__(self) -> str:
        return f"<instance {self.name}>"

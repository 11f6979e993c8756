"""What an earlier run of this lab left in a stored configuration and its file no longer has: it goes.

A lab marks what it makes with its name, as creator in the id-perms. What has no such mark (`config load` or another lab
made it) is left alone, and so is what something of that kind needs: refers to, peers with, is part of or runs on.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass

from contrail_emulator.config.layout import StoredObject
from contrail_emulator.config.transformer.mesh import ATTRIBUTE as MESH
from contrail_emulator.config.writer import Conflict, Forbidden, NotFound, Writer
from contrail_emulator.config.writer.creators import made_by

from .objects import DOMAIN, FABRIC_INSTANCE, Written

ORDER = (
    "instance-ip",
    "virtual-machine-interface",
    "virtual-machine",
    "virtual-router",
    "virtual-network",
    "virtual-DNS",
    "bgp-router",
)
"""Types of which a lab file may lose one, what refers to others first."""
OF_A_MACHINE = ("instance-ip", "virtual-machine-interface")
"""Types that go with a machine, which is named."""
SYSTEM_CHILDREN = ("routing-instance", "access-control-list")
"""What a network has of its own: a default instance and what policies became."""
MOST_NAMED = 10


def creator(lab: str) -> str:
    """How a lab of this name marks what it makes."""
    return f"contrail-emulator lab {lab}"


@dataclass(slots=True)
class Leftover:
    """One object; `why` says what keeps it, once that was tried."""

    type: str
    uuid: str
    name: str
    why: str = ""


class Leftovers:
    """`find` them before anything is written, `remove` them before and after that, `tell` whoever looks at the end."""

    def __init__(self, writer: Writer, lab: str, say: Callable[[str], None]) -> None:
        self._writer = writer
        self._lab = lab
        self._say = say
        self._left: list[Leftover] = []
        self._removed: list[Leftover] = []

    async def find(self, wanted: Iterable[Written]) -> None:
        """Every object that this lab has made and that is not `wanted`."""
        names = {(written.type, tuple(written.body["fq_name"])) for written in wanted}
        project = [DOMAIN, self._lab]
        scopes = {
            "virtual-machine-interface": project,
            "virtual-network": project,
            "bgp-router": FABRIC_INSTANCE,
        }
        for kind in ORDER:
            scope = scopes.get(kind, [])

            def among(name: list[str], kind: str = kind, scope: list[str] = scope) -> bool:
                return (kind, tuple(name)) not in names and name[: len(scope)] == scope

            for name, uuid in await made_by(self._writer, kind, creator(self._lab), among):
                self._left.append(Leftover(kind, uuid, name[-1]))

    async def remove(self) -> None:
        """Delete what nothing refers to (any more)."""
        left, self._left = self._left, []
        for one in left:
            stored = await self._writer.load(one.uuid, full=True)
            if stored is not None:
                one.name = stored.properties.get("display_name") or one.name
                one.why = await self._kept_by(stored)
                if one.why:
                    self._left.append(one)
                    continue
            try:
                await self._writer.delete(one.type, one.uuid)
            except (Conflict, Forbidden) as error:
                one.why = str(error)
                self._left.append(one)
            except NotFound:
                continue  # a name without a row, or somebody else was faster
            else:
                self._removed.append(one)

    async def _kept_by(self, stored: StoredObject) -> str:
        """What others made and the writer would not mind to lose, or to leave with less: empty for nothing."""
        match stored.type.name:
            case "virtual-network":
                near = [(child, "has") for child in stored.children if child.type not in SYSTEM_CHILDREN]
            case "bgp-router":
                peers = [link for link in stored.references if link.type == "bgp-router"]
                near = [(link, "peers with") for link in peers if link.attribute != MESH]  # that one nobody wrote
            case "virtual-router":
                near = [(link, "runs") for link in stored.references if link.type == "virtual-machine"]
            case _:
                near = []
        for link, does in near:
            other = await self._writer.load(link.uuid)
            if other is not None and (other.properties.get("id_perms") or {}).get("creator") != creator(self._lab):
                return f"it {does} {link.type} {other.properties.get('display_name') or other.fq_name[-1]}"
        return ""

    def tell(self) -> None:
        """One line for what was removed, one for what is still there; none when there was nothing."""
        if self._removed:
            named = [one for one in self._removed if one.type not in OF_A_MACHINE] or self._removed
            what = _list([_what(one) for one in named])
            self._say(
                f"lab {self._lab}: removed from the stored configuration, as the lab file no longer has it: {what}"
            )
        if self._left:
            what = _list([f"{_what(one)} ({one.why})" for one in self._left])
            self._say(f"lab {self._lab}: left in the stored configuration, as others need it: {what}")


def _what(one: Leftover) -> str:
    return f"{one.type} {one.name}"


def _list(texts: list[str]) -> str:
    more = f" and {len(texts) - MOST_NAMED} more" if len(texts) > MOST_NAMED else ""
    return ", ".join(texts[:MOST_NAMED]) + more

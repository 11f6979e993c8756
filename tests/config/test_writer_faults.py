"""A store that fails while something is written: readers learn what is there, and no id is given twice."""

import json
from collections.abc import Sequence
from typing import Any

import pytest

from contrail_emulator.config.bus import LocalBus, Message
from contrail_emulator.config.ids import VIRTUAL_NETWORKS
from contrail_emulator.config.ids.tree import lock_name
from contrail_emulator.config.layout import NAME_TABLE, UUID_TABLE, name_column
from contrail_emulator.config.store import Cell, Delete, Mutation, Put, StoreError
from contrail_emulator.config.testing import Site
from contrail_emulator.config.testing.site import DEMO
from contrail_emulator.config.writer import Conflict
from contrail_emulator.config.writer.names import id_perms, uuid_in


class Moody:
    """The site's store: its next write works and says that it failed, or fails; it may not answer from then on."""

    def __init__(self, site: Site) -> None:
        self.fails_after = self.fails_before = self.then_silent = False
        self.stops_deleting = False
        """After the name."""
        self._silent = False
        self._write, self._columns = site.store.write, site.store.columns

    async def write(self, mutations: Sequence[Mutation]) -> None:
        if self.fails_before:
            self._silent = self.then_silent
            raise StoreError("down")
        if self.stops_deleting and isinstance(mutations[0], Delete) and mutations[0].table == NAME_TABLE:
            await self._write(mutations[:1])
            raise StoreError("timed out")
        await self._write(mutations)
        if self.fails_after:
            self.fails_after = False
            raise StoreError("timed out")

    async def columns(self, *args: Any, **options: Any) -> list[tuple[str, Cell]]:
        if self._silent:
            raise StoreError("down")
        return await self._columns(*args, **options)


@pytest.fixture
def moody(site: Site, monkeypatch: pytest.MonkeyPatch) -> Moody:
    store = Moody(site)
    monkeypatch.setattr(site.store, "write", store.write)
    monkeypatch.setattr(site.store, "columns", store.columns)
    return store


def test_a_create_that_timed_out_and_was_done_is_completed(site: Site, moody: Moody) -> None:
    site.network("red")
    client = site.client()
    moody.fails_after = True
    blue = site.network("blue")
    site.settle()
    assert client.graph.get("virtual-network", ":".join([*DEMO, "blue"])) is not None
    assert client.graph.get("routing-instance", ":".join([*DEMO, "blue", "blue"])) is not None
    assert site.read("virtual-network", blue)["virtual_network_network_id"] == 6


def test_a_create_of_which_nobody_knows_whether_it_was_done_keeps_its_id(site: Site, moody: Moody) -> None:
    site.network("red")
    moody.fails_before = moody.then_silent = True
    with pytest.raises(StoreError):
        site.network("blue")
    assert site.run(site.ids.get(VIRTUAL_NETWORKS.node(5))) == "default-domain:demo:blue"


def test_a_create_that_was_not_done_gives_everything_back(site: Site, moody: Moody) -> None:
    site.network("red")
    moody.fails_before = True
    with pytest.raises(StoreError):
        site.network("blue")
    assert site.run(site.ids.get(VIRTUAL_NETWORKS.node(5))) is None
    moody.fails_before = False
    assert site.read("virtual-network", site.network("blue"))["virtual_network_network_id"] == 6


def test_an_update_and_a_delete_that_timed_out_and_were_done_are_announced(site: Site, moody: Moody) -> None:
    blue = site.network("blue")
    client = site.client()
    name = ":".join([*DEMO, "blue"])
    moody.fails_after = True
    with pytest.raises(StoreError):
        site.run(site.writer.update("virtual-network", blue, {"display_name": "azure"}))
    site.settle()
    node = client.graph.get("virtual-network", name)
    assert node is not None and node.properties["display_name"] == "azure"
    for instance in site.read("virtual-network", blue)["routing_instances"]:
        site.run(site.writer.delete("routing-instance", instance["uuid"]))
    moody.fails_after = True
    with pytest.raises(StoreError):
        site.run(site.writer.delete("virtual-network", blue))
    site.settle()
    assert client.graph.get("virtual-network", name) is None


def test_a_creation_is_announced_though_the_store_is_gone_before_it_is_read_back(
    site: Site, moody: Moody, monkeypatch: pytest.MonkeyPatch
) -> None:
    told: list[Message] = []
    publish = LocalBus.publish

    async def watched(bus: LocalBus, message: Message) -> None:
        told.append(message)
        await publish(bus, message)

    async def unreadable(uuid: str, full: bool = False) -> Any:
        raise StoreError("down")

    monkeypatch.setattr(LocalBus, "publish", watched)
    monkeypatch.setattr(site.writer, "load", unreadable)
    uuid = site.run(site.writer.create("virtual-machine", {"fq_name": ["vm"]}))
    assert [(message.oper, message.uuid, message.obj_dict) for message in told] == [("CREATE", uuid, None)]


def a_half_deleted_target(site: Site, moody: Moody) -> str:
    target = site.create("route-target", "target:64512:8000099")
    moody.stops_deleting = True
    with pytest.raises(StoreError):
        site.run(site.writer.delete("route-target", target))
    moody.stops_deleting = False
    assert site.find("route-target", "target:64512:8000099") is None
    return target


def test_a_delete_that_got_stuck_can_be_said_again(site: Site, moody: Moody) -> None:
    client = site.client()
    site.run(site.writer.delete("route-target", a_half_deleted_target(site, moody)))
    site.settle()
    assert client.graph.get("route-target", "target:64512:8000099") is None


def test_what_is_half_deleted_is_no_obstacle_to_a_new_one(site: Site, moody: Moody) -> None:
    client = site.client()
    old = a_half_deleted_target(site, moody)
    site.clock.advance(6)
    new = site.create("route-target", "target:64512:8000099")
    site.settle()
    assert site.run(site.writer.load(old)) is None and site.read("route-target", new)
    node = client.graph.get("route-target", "target:64512:8000099")
    assert node is not None and uuid_in(node.properties["id_perms"]) == new


def test_what_is_half_deleted_gives_its_ids_and_what_belongs_to_it_back(site: Site, moody: Moody) -> None:
    blue = site.network("blue")
    moody.stops_deleting = True
    with pytest.raises(StoreError):
        site.run(site.writer.delete("virtual-network", blue))
    moody.stops_deleting = False
    site.clock.advance(6)
    again = site.read("virtual-network", site.network("blue"))
    assert [entry["to"] for entry in again["routing_instances"]] == [[*DEMO, "blue", "blue"]]
    assert again["virtual_network_network_id"] == 5


def test_a_name_that_a_lock_gives_to_an_object_of_another_name_leaves_that_object_alone(site: Site) -> None:
    red = site.network("red")
    site.run(lock_name(site.ids, "virtual_network", ":".join([*DEMO, "blue"]), red))
    site.clock.advance(6)
    site.network("blue")
    assert site.find("virtual-network", *DEMO, "red") is not None
    assert site.find("virtual-network", *DEMO, "blue") is not None


def lose_name(site: Site, uuid: str, *fq_name: str) -> None:
    site.run(site.store.write([Delete(NAME_TABLE, "virtual_network", name_column(fq_name, uuid))]))


def test_an_object_that_others_need_is_not_cleared_away_though_its_name_is_lost(site: Site) -> None:
    red = site.network("red")
    site.interface("port", "red")
    lose_name(site, red, *DEMO, "red")
    site.clock.advance(6)
    with pytest.raises(Conflict, match=r"already exists with uuid: .*still referred"):
        site.network("red")
    assert site.read("virtual-network", red)["virtual_machine_interface_back_refs"]


def test_a_row_that_is_just_being_written_is_not_cleared_away(site: Site) -> None:
    red = site.network("red")
    lose_name(site, red, *DEMO, "red")
    site.clock.advance(6)
    site.run(site.writer.update("virtual-network", red, {"display_name": "crimson"}))
    with pytest.raises(Conflict, match="already exists"):
        site.network("red")
    assert site.read("virtual-network", red)["display_name"] == "crimson"


def test_the_transformer_deletes_nothing_by_the_uuid_in_a_wrong_id_perms(site: Site) -> None:
    site.network("red")
    site.network("blue")
    site.create("access-control-list", *DEMO, "red", "red", parent_type="virtual-network")
    other = site.create("access-control-list", *DEMO, "blue", "own", parent_type="virtual-network")
    mine = site.find("access-control-list", *DEMO, "red", "red")
    assert mine is not None
    perms = json.dumps({**mine["id_perms"], "uuid": id_perms(other, 0, None)["uuid"]})
    column = name_column([*DEMO, "red", "red"], mine["uuid"])
    client = site.client()
    site.run(site.store.write([Put(UUID_TABLE, mine["uuid"], "prop:id_perms", perms)]))
    transformer = site.transformer()
    site.run(site.store.write([Delete(NAME_TABLE, "access_control_list", column)]))
    transformer.evaluate_everything()
    site.settle()
    client.resync()
    site.settle()
    assert site.read("access-control-list", other)


def test_the_transformer_ends_a_delete_that_got_stuck(site: Site, moody: Moody) -> None:
    client = site.client()
    site.transformer()
    blue = site.network("blue")
    site.settle()
    name = "target:64512:8000004"
    assert client.graph.get("route-target", name) is not None
    for instance in site.read("virtual-network", blue)["routing_instances"]:
        site.run(site.writer.delete("routing-instance", instance["uuid"]))
    moody.stops_deleting = True
    site.settle()
    assert site.find("route-target", name) is None and client.graph.get("route-target", name) is not None
    moody.stops_deleting = False
    site.clock.pump([1.0] * 30)
    assert client.graph.get("route-target", name) is None


def test_the_uuid_in_id_perms() -> None:
    uuid = "01234567-89ab-cdef-fedc-ba9876543210"
    assert uuid_in(id_perms(uuid, 0, None)) == uuid
    halves = {"uuid_mslong": -1, "uuid_lslong": -1}
    assert uuid_in({"uuid": halves}) == "ffffffff-ffff-ffff-ffff-ffffffffffff"
    for broken in (None, {}, {"uuid": None}, {"uuid": {"uuid_mslong": "x", "uuid_lslong": 1}}):
        assert uuid_in(broken) is None

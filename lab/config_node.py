"""The configuration node of a lab: writer and transformer in this process, store, bus and ids here or on servers."""

from __future__ import annotations

import time
import uuid
from collections.abc import Awaitable, Callable
from ipaddress import IPv4Address
from random import Random
from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.defer import TimeoutError as DeferredTimeout
from twisted.internet.task import deferLater
from twisted.logger import Logger

from contrail_emulator.config import backends
from contrail_emulator.config.client import ConfigClient
from contrail_emulator.config.drivers import DriverMissing
from contrail_emulator.config.graph import Graph
from contrail_emulator.config.ids import IdsError
from contrail_emulator.config.schema import Schema
from contrail_emulator.config.store import StoreError
from contrail_emulator.config.transformer import Transformer
from contrail_emulator.config.writer import Writer, WriterError

from .errors import LabError
from .leftovers import Leftovers, creator
from .model import Config, LabFile
from .objects import Written, network_name, objects
from .same_name import Hold

OPEN_SECONDS = 30.0
ELECTED_SECONDS = 10.0
ELECTED_FILE_SECONDS = 2.0
"""A lock on a file is free at once when its holder ends; a session of ZooKeeper is not."""
POLL_SECONDS = 0.02
BREATH = 100
LEFT_OUT = {"virtual-network": ("route_target_list",), "network-ipam": ("network_ipam_mgmt", "virtual_DNS_refs")}
"""What a lab file may leave out, and then takes away from an object that has it."""


class ConfigNode:
    """Holds a lab's configuration and changes it as the API server and the schema transformer would.

    `progress` is told how far `start` is; `say` what the user should know of it, a line each (otherwise the log is).
    """

    log = Logger()

    def __init__(
        self,
        reactor: Any,
        file: LabFile,
        schema: Schema,
        rng: Random,
        progress: Callable[[str], None] = lambda _: None,
        say: Callable[[str], None] | None = None,
    ) -> None:
        self.schema = schema
        self._backends = _backends(reactor, file.config, rng)
        assert self._backends.ids is not None
        self.store, self.bus, self.ids = self._backends.store, self._backends.bus, self._backends.ids
        self.writer = Writer(
            self.store,
            self.bus,
            self.ids,
            schema,
            uuid=lambda: uuid.UUID(int=rng.getrandbits(128), version=4),
            clock=time.time,
        )
        self.transformer = Transformer(reactor, self.store, self.bus, self.ids, schema, self.writer)
        self._reactor = reactor
        self._file = file
        self._progress = progress
        self._say = say or self._warn
        self._hold: Hold | None = None

    def client(self, reactor: Any, graph: Graph, queue: str) -> ConfigClient:
        """A reader of this configuration; each daemon has its own."""
        return ConfigClient(reactor, self.store, self.bus, self.schema, graph, queue)

    async def start(self) -> None:
        """Opens the store, writes what the lab file says, lets the transformer derive the rest.

        What the store already holds is changed to what the file says. What an earlier run of this lab made and the
        file no longer has is removed; objects that others made are left alone.

        Raises:
            LabError: the store can't be used, or an object is refused.
        """
        try:
            await self._open()
            await self.writer.initialise(self._file.autonomous_system)
            leftovers = Leftovers(self.writer, self._file.name, self._say)
            if self._alone():
                await leftovers.find(objects(self._file))
            await self._each(self._clear)
            await leftovers.remove()  # before anything else gets the addresses
            await self._each(self._write)
            await leftovers.remove()  # what was still referred to
            leftovers.tell()
        except (StoreError, IdsError, DriverMissing, WriterError) as error:
            raise LabError(f"config: {error}") from error
        await self._derive()

    def _alone(self) -> bool:
        """Whether no other lab of this name works on this configuration now: it might have another lab file."""
        path, name = self._file.config.path, self._file.name
        if path is None:
            return True
        self._hold = Hold(str(path), name)
        if not self._hold.alone:
            self._say(f"lab {name}: another lab of this name uses {path}; nothing it has there is removed")
        return self._hold.alone

    def _warn(self, text: str) -> None:
        self.log.warn("{text}", text=text)

    async def _open(self) -> None:
        opening: Deferred[None] = Deferred.fromCoroutine(self._backends.open())
        opening.addTimeout(OPEN_SECONDS, self._reactor)
        try:
            await opening
        except DeferredTimeout as error:
            raise LabError(f"config: no answer within {OPEN_SECONDS:g} s: {self._file.config.settings}") from error

    async def _derive(self) -> None:
        """Waits for the transformer; in a file or on servers another one may be the active one, which does as well."""
        elected = self.transformer.start()
        config = self._file.config
        if config.store == "cassandra" or config.path is not None:
            patience = ELECTED_SECONDS if config.path is None else ELECTED_FILE_SECONDS
            deadline = self._reactor.seconds() + patience
            while not elected.called and (self.transformer.active or self._reactor.seconds() < deadline):
                await deferLater(self._reactor, POLL_SECONDS, lambda: None)
            if not elected.called:
                why = "another one is active, or has just ended"
                self._say(f"lab {self._file.name}: its schema transformer waits: {why}")
                return
        await elected

    # Writing

    async def _each(self, step: Callable[[Written], Awaitable[None]]) -> None:
        everything = list(objects(self._file))
        for number, written in enumerate(everything):
            self._progress(f"configuration: {number} of {len(everything)} objects")
            if number % BREATH == BREATH - 1:  # a store in memory never waits: Ctrl-C and the screen should be heard
                await deferLater(self._reactor, 0, lambda: None)
            try:
                await step(written)
            except WriterError as error:
                raise LabError(_refused(written, str(error))) from error
        self._progress(f"configuration: {len(everything)} of {len(everything)} objects; the agents come next")

    async def _clear(self, written: Written) -> None:
        """Takes away what cannot be changed in place: an interface or an address that moved. First all, then written:
        two machines may have changed places."""
        body = written.body
        known = await self.writer.find(written.type, body["fq_name"])
        if known is None:
            return
        if body.get("uuid", known) != known:
            raise LabError(f"{written.type} {':'.join(body['fq_name'])}: is already there, and not of this lab")
        if written.type not in ("virtual-machine-interface", "instance-ip"):
            return
        stored = await self.writer.read(written.type, known)
        moved = _targets(body, "virtual_network_refs") != _targets(stored, "virtual_network_refs")
        if moved or (written.type == "instance-ip" and not self._keeps(body, stored.get("instance_ip_address"))):
            for holder in stored.get("instance_ip_back_refs", ()):
                await self.writer.delete("instance-ip", holder["uuid"])
            await self.writer.delete(written.type, known)

    def _keeps(self, body: dict[str, Any], address: str | None) -> bool:
        """Is the address that an instance-ip has the one that it is to have, or one that it may have?"""
        wanted = body.get("instance_ip_address")
        if wanted is not None:
            return bool(wanted == address)
        network = body["virtual_network_refs"][0]["to"]
        subnet = next(each.subnet for each in self._file.networks if network_name(self._file, each) == network)
        try:
            return IPv4Address(address or "") in subnet
        except ValueError:
            return False

    async def _write(self, written: Written) -> None:
        body = written.body
        known = await self.writer.find(written.type, body["fq_name"])
        if known is None:
            await self.writer.create(written.type, {**body, "id_perms": {"creator": creator(self._file.name)}})
            return
        stored = await self.writer.read(written.type, known)
        changes = {key: value for key, value in body.items() if key not in ("fq_name", "parent_type", "uuid")}
        for key in LEFT_OUT.get(written.type, ()):
            if stored.get(key):
                changes.setdefault(key, [] if key.endswith("_refs") else None)
        if "network_ipam_refs" in changes:
            changes["network_ipam_refs"] = _with_stored_subnets(changes["network_ipam_refs"], stored)
        await self.writer.update(written.type, known, changes)

    async def address_of(self, instance_ip: str) -> str:
        """The address that an instance-ip was given."""
        found = await self.writer.find("instance-ip", [instance_ip])
        if found is None:
            raise LabError(f"instance-ip {instance_ip} is not there")
        return str((await self.writer.read("instance-ip", found))["instance_ip_address"])

    async def stop(self) -> None:
        self.transformer.stop()
        await self._backends.close()
        if self._hold is not None:
            self._hold.release()


def _refused(written: Written, why: str) -> str:
    """The writer names the object in most refusals, but not in all."""
    what = f"{written.type} {':'.join(written.body['fq_name'])}: "
    return what + why.removeprefix(what)


def _backends(reactor: Any, config: Config, rng: Random) -> backends.Backends:
    if config.store == "cassandra":
        return backends.cluster(reactor, config.settings, rng)
    return backends.embedded(reactor, str(config.path) if config.path is not None else None)


def _targets(obj: dict[str, Any], field: str) -> list[list[str]]:
    return sorted(entry["to"] for entry in obj.get(field, ()))


def _with_stored_subnets(references: list[dict[str, Any]], stored: dict[str, Any]) -> list[dict[str, Any]]:
    """The references with what the system gave to subnets that stay (uuid, pools), or each start would change them."""
    known = {
        str(entry["subnet"]): entry
        for reference in stored.get("network_ipam_refs", ())
        for entry in reference["attr"].get("ipam_subnets") or ()
    }
    return [
        {
            "to": reference["to"],
            "attr": {
                "ipam_subnets": [
                    {**known.get(str(entry["subnet"]), {}), **entry} for entry in reference["attr"]["ipam_subnets"]
                ]
            },
        }
        for reference in references
    ]

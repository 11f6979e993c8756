"""The configuration node of a lab: store, bus, ids, writer and transformer in this process."""

from __future__ import annotations

import time
import uuid
from random import Random
from typing import Any

from contrail_emulator.config import backends
from contrail_emulator.config.client import ConfigClient
from contrail_emulator.config.graph import Graph
from contrail_emulator.config.schema import Schema
from contrail_emulator.config.transformer import Transformer
from contrail_emulator.config.writer import Writer

from .errors import LabError
from .model import LabFile
from .objects import objects


class ConfigNode:
    """Holds a lab's configuration and changes it as the API server and the schema transformer would."""

    def __init__(self, reactor: Any, file: LabFile, schema: Schema, rng: Random) -> None:
        self.schema = schema
        self._backends = backends.embedded(reactor, str(file.config.path) if file.config.path is not None else None)
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

    def client(self, reactor: Any, graph: Graph, queue: str) -> ConfigClient:
        """A reader of this configuration; each daemon has its own."""
        return ConfigClient(reactor, self.store, self.bus, self.schema, graph, queue)

    async def start(self) -> None:
        """Opens the store, writes what the lab file says, lets the transformer derive the rest.

        Raises:
            LabError: the store can't be used, or an object is refused.
        """
        await self._backends.open()
        await self.writer.initialise(self._file.autonomous_system)
        for written in objects(self._file):
            body = written.body
            known = await self.writer.find(written.type, body["fq_name"])
            if known is None:
                await self.writer.create(written.type, body)
            elif written.made_by_system:
                changes = {key: value for key, value in body.items() if key not in ("fq_name", "parent_type")}
                await self.writer.update(written.type, known, changes)
        await self.transformer.start()

    async def address_of(self, instance_ip: str) -> str:
        """The address that an instance-ip was given."""
        found = await self.writer.find("instance-ip", [instance_ip])
        if found is None:
            raise LabError(f"instance-ip {instance_ip} is not there")
        return str((await self.writer.read("instance-ip", found))["instance_ip_address"])

    async def stop(self) -> None:
        self.transformer.stop()
        await self._backends.close()

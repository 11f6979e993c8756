"""Subnets of networks and IPAMs; one that an address is of cannot go (reference/config.md 3.8, 3.10)."""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import suppress
from ipaddress import IPv4Network, IPv6Network, ip_address, ip_network
from typing import TYPE_CHECKING, Any

from contrail_emulator.config.layout import READER_START, UUID_TABLE, Link, RowError, StoredObject, decode

from .errors import BadRequest, Conflict

if TYPE_CHECKING:
    from .writer import Writer

Subnet = IPv4Network | IPv6Network


def subnet_of(entry: dict[str, Any]) -> Subnet:
    """The prefix of one IpamSubnetType; BadRequest when it is none."""
    subnet = entry.get("subnet") or {}
    text = f"{subnet.get('ip_prefix')}/{subnet.get('ip_prefix_len')}"
    try:
        return ip_network(text, strict=False)
    except ValueError as error:
        raise BadRequest(f"Invalid subnet {text}") from error


def subnets_of(entries: Iterable[dict[str, Any]]) -> set[Subnet]:
    """The prefixes of those entries that have one that makes sense."""
    found = set()
    for entry in entries:
        if entry.get("subnet"):
            with suppress(BadRequest):
                found.add(subnet_of(entry))
    return found


def linked_subnets(references: Iterable[Link]) -> set[Subnet]:
    """The prefixes in a network's references to IPAMs."""
    links = [link for link in references if link.type == "network-ipam"]
    return subnets_of(entry for link in links for entry in (link.attribute or {}).get("ipam_subnets") or [])


async def refuse_if_used(writer: Writer, network: str, lost: set[Subnet]) -> None:
    """Conflict when the network of this uuid has an address of a subnet that it is to lose."""
    stored = await writer.load(network, full=True) if lost else None
    if stored is None:
        return
    own = [link.uuid for link in stored.back_references if link.type == "instance-ip"]
    await _refuse(writer, stored, lost, own, "instance_ip_address", "IP")
    for pool, kind, name, what in (
        ("floating-ip-pool", "floating-ip", "floating_ip_address", "Floating IP"),
        ("alias-ip-pool", "alias-ip", "alias_ip_address", "Alias IP"),
    ):
        for child in stored.children:
            if child.type == pool:
                held = await writer.load(child.uuid, full=True)
                addresses = [link.uuid for link in held.children if link.type == kind] if held is not None else []
                await _refuse(writer, stored, lost, addresses, name, what)


async def _refuse(
    writer: Writer, network: StoredObject, lost: set[Subnet], holders: list[str], name: str, what: str
) -> None:
    for holder in await _objects(writer, holders):
        try:
            address = ip_address(holder.properties.get(name) or "")
        except ValueError:
            continue  # a row of somebody else's, whose address was never taken
        for subnet in lost:
            if address in subnet:
                raise Conflict(
                    f"virtual-network {network.name}: Cannot Delete IP Block {subnet}, {what}({address}) is in use"
                )


async def _objects(writer: Writer, uuids: list[str]) -> list[StoredObject]:
    found = []
    for uuid, row in (await writer.store.rows(UUID_TABLE, uuids, READER_START)).items():
        with suppress(RowError):
            found.append(decode(writer.schema, uuid, row))
    return found

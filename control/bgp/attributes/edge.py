"""Edge Discovery (241) and Edge Forwarding (242), Contrail's multicast trees: reference/bgp.md 3.1."""

from __future__ import annotations

from typing import NamedTuple


class Edge(NamedTuple):
    """One element of Edge Discovery: a 4-byte address and its label blocks (first, last)."""

    address: bytes
    labels: tuple[tuple[int, int], ...]


class ForwardingEdge(NamedTuple):
    """One element of Edge Forwarding: 4-byte addresses and labels of the edge's two ends."""

    in_address: bytes
    in_label: int
    out_address: bytes
    out_label: int


_FORWARDING_SIZE = 17


def is_sound_discovery(value: bytes) -> bool:
    """Whole elements, at least one, each with a 4-byte address."""
    offset, end = 0, len(value)
    while offset < end:
        if offset + 6 > end or value[offset] != 4 or value[offset + 5] % 8:
            return False
        offset += 6 + value[offset + 5]
    return offset == end and end > 0


def read_discovery(value: bytes) -> tuple[Edge, ...]:
    edges: list[Edge] = []
    offset, end = 0, len(value)
    while offset < end:
        after = offset + 6 + value[offset + 5]
        numbers = [int.from_bytes(value[i : i + 4], "big") for i in range(offset + 6, after, 4)]
        edges.append(Edge(value[offset + 1 : offset + 5], tuple(zip(numbers[::2], numbers[1::2], strict=True))))
        offset = after
    return tuple(edges)


def write_discovery(edges: tuple[Edge, ...]) -> bytes:
    return b"".join(
        b"\x04"
        + edge.address
        + bytes((len(edge.labels) * 8,))
        + b"".join(first.to_bytes(4, "big") + last.to_bytes(4, "big") for first, last in edge.labels)
        for edge in edges
    )


def is_sound_forwarding(value: bytes) -> bool:
    """Whole elements, at least one, each with 4-byte addresses."""
    size = len(value)
    return size > 0 and size % _FORWARDING_SIZE == 0 and all(value[i] == 4 for i in range(0, size, _FORWARDING_SIZE))


def read_forwarding(value: bytes) -> tuple[ForwardingEdge, ...]:
    return tuple(
        ForwardingEdge(
            value[i + 1 : i + 5],
            int.from_bytes(value[i + 5 : i + 9], "big"),
            value[i + 9 : i + 13],
            int.from_bytes(value[i + 13 : i + 17], "big"),
        )
        for i in range(0, len(value), _FORWARDING_SIZE)
    )


def write_forwarding(edges: tuple[ForwardingEdge, ...]) -> bytes:
    return b"".join(
        b"\x04"
        + edge.in_address
        + edge.in_label.to_bytes(4, "big")
        + edge.out_address
        + edge.out_label.to_bytes(4, "big")
        for edge in edges
    )

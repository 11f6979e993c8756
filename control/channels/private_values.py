"""Security groups and tags among extended communities: of a 4-byte AS each takes two (reference/bgp.md 3.3)."""

from __future__ import annotations

from collections.abc import Callable, Iterable

Reader = Callable[[bytes], tuple[int, int] | None]

_WIDE = 0x82


def read_all(ext_communities: Iterable[bytes], read: Reader) -> list[tuple[int, int]]:
    """(AS, value) of each value that `read` knows, in order.

    A value with a 4-byte AS and a running number n stands before one with n in the place of a 2-byte AS: together they
    are one. A wide value without such a partner stands for itself.
    """
    found = [(raw[0], *pair) for raw in ext_communities if (pair := read(raw)) is not None]
    owners = {number: asn for form, asn, number in found if form == _WIDE and asn > 0xFFFF}
    if not owners:
        return [(asn, value) for _, asn, value in found]
    partners = {asn for form, asn, _ in found if form != _WIDE}
    values: list[tuple[int, int]] = []
    for form, asn, value in found:
        if form == _WIDE:
            if asn <= 0xFFFF or value not in partners:
                values.append((asn, value))
        else:
            values.append((owners.get(asn, asn), value))
    return values

"""Structure-aware fuzzing of the wire core: mutations of real messages and pure noise.

`python tests/control/bgp/wire/fuzzing.py --cases 1000000 --seed 7` runs a night's worth; the test suite runs 50,000.
Only MessageError may leave the core; what is read must be printable, writable and no larger than its input allows.
"""

from __future__ import annotations

import argparse
import random
import sys
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Final

sys.path.append(str(Path(__file__).resolve().parents[3]))

from control.bgp.wire import golden_cases

from contrail_emulator.base.behaviour import CONTRAIL, RFC, Behaviour
from contrail_emulator.control.bgp import ext_community, nlri, update
from contrail_emulator.control.bgp.attributes import Aggregator, AsPath, Attributes
from contrail_emulator.control.bgp.attributes.attributes import Fields
from contrail_emulator.control.bgp.family import Family
from contrail_emulator.control.bgp.message import MARKER, MessageError, Open, decode
from contrail_emulator.control.bgp.negotiation import Negotiated
from contrail_emulator.control.bgp.notification import MAX_DATA

_FIELDS: Final = tuple(Fields.__annotations__)
_UPDATE: Final = 2
_READ_OUT_SHARE: Final = 4
"""Every how many-th message is read out in full; the others only up to what the speaker looks at."""


class Session:
    """One way a message may be read: profile, width of AS numbers, kind of peer."""

    def __init__(self, behaviour: Behaviour, as4: bool, ibgp: bool) -> None:
        self.behaviour = behaviour
        self.as4 = as4
        self.ibgp = ibgp
        self.negotiated = self.fresh()

    def fresh(self) -> Negotiated:
        """A session that has read nothing yet."""
        return Negotiated(list(Family), as4=self.as4, local_as=64512, peer_as=64512 if self.ibgp else 65001)


def sessions() -> list[Session]:
    return [Session(b, as4, ibgp) for b in (CONTRAIL, RFC) for as4 in (True, False) for ibgp in (True, False)]


def corpus() -> list[bytes]:
    """Bodies with their type in front."""
    bodies = [case.wire[18:] for make in golden_cases.FILES.values() for case in make()]
    for family, route in golden_cases.ROUTES.values():
        for as4 in (True, False):  # fit for any peer: with a neighbour AS and a LOCAL_PREF
            rich = golden_cases.BASE.replace(
                as_path=AsPath.sequence(65001, 4200000000),
                communities=(64512 << 16 | 1, 0xFFFFFF01),
                ext_communities=(golden_cases.TARGET, golden_cases.VXLAN),
                aggregator=Aggregator(70000, golden_cases.NEXT_HOP),
                med=5,
            )
            bodies += [message[18:] for message in update.write(family, rich, [route, route], as4)]
    return bodies


# --- mutations ------------------------------------------------------------------------------------------------------


def _flip(data: bytearray, rng: random.Random) -> None:
    data[rng.randrange(len(data))] ^= 1 << rng.randrange(8)


def _set(data: bytearray, rng: random.Random) -> None:
    data[rng.randrange(len(data))] = rng.choice((0, 1, 2, 4, 0x0F, 0x10, 0x7F, 0x80, 0xFE, 0xFF))


def _add(data: bytearray, rng: random.Random) -> None:
    """Small steps hit lengths."""
    at = rng.randrange(len(data))
    data[at] = (data[at] + rng.choice((-8, -2, -1, 1, 2, 8))) & 0xFF


def _cut(data: bytearray, rng: random.Random) -> None:
    del data[rng.randrange(len(data)) :]


def _delete(data: bytearray, rng: random.Random) -> None:
    at = rng.randrange(len(data))
    del data[at : at + rng.randint(1, 8)]


def _insert(data: bytearray, rng: random.Random) -> None:
    at = rng.randrange(len(data) + 1)
    data[at:at] = rng.randbytes(rng.randint(1, 8))


def _repeat(data: bytearray, rng: random.Random) -> None:
    at = rng.randrange(len(data))
    piece = data[at : at + rng.randint(1, 40)]
    data[at:at] = piece


def _zero(data: bytearray, rng: random.Random) -> None:
    at = rng.randrange(len(data))
    size = len(data[at : at + 4])
    data[at : at + size] = bytes(size)


_BLIND: tuple[Callable[[bytearray, random.Random], None], ...] = (
    _flip,
    _set,
    _add,
    _cut,
    _delete,
    _insert,
    _repeat,
    _zero,
)


def _split_attributes(section: bytes) -> list[bytearray]:
    parts, offset = [], 0
    while offset + 3 <= len(section):
        head = 4 if section[offset] & 0x10 else 3
        after = offset + head + int.from_bytes(section[offset + 2 : offset + head], "big")
        parts.append(bytearray(section[offset:after]))
        offset = after
    return parts


def _resize(part: bytearray) -> None:
    """Makes the length field of an attribute tell the truth again."""
    head = 4 if part[0] & 0x10 else 3
    size = len(part) - head
    if head == 3:
        part[2] = size & 0xFF
    else:
        part[2:4] = (size & 0xFFFF).to_bytes(2, "big")


def _mutate_attributes(body: bytes, donor: bytes, rng: random.Random) -> bytes:
    """Keeps the lengths of an UPDATE consistent and changes what is inside: order, copies, flags, codes, values."""
    withdrawn = body[: 2 + int.from_bytes(body[:2], "big")]
    start = len(withdrawn) + 2
    end = start + int.from_bytes(body[start - 2 : start], "big")
    parts = _split_attributes(body[start:end])
    donor_start = 4 + int.from_bytes(donor[:2], "big")
    foreign = _split_attributes(donor[donor_start:])
    for _ in range(rng.randint(1, 2)):
        if not parts:
            parts.append(bytearray(rng.randbytes(rng.randint(3, 12))))
        at = rng.randrange(len(parts))
        part = parts[at]
        choice = rng.randrange(7)
        if choice == 0:
            parts.insert(rng.randrange(len(parts) + 1), bytearray(part))
        elif choice == 1:
            del parts[at]
        elif choice == 2 and foreign:
            parts.insert(at, bytearray(rng.choice(foreign)))
        elif choice == 3:
            part[0] ^= rng.choice((0x80, 0x40, 0x20, 0xC0))
        elif choice == 4:
            part[1] = rng.choice(
                (1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 14, 15, 16, 17, 18, 22, 23, 29, 32, 128, 241, 242, 243)
            )
        elif len(part) > 4:
            value = bytearray(part[4 if part[0] & 0x10 else 3 :]) or bytearray(1)
            rng.choice(_BLIND)(value, rng)
            part[4 if part[0] & 0x10 else 3 :] = value
            _resize(part)
    section = b"".join(parts)[:4000]
    return bytes(withdrawn) + len(section).to_bytes(2, "big") + section + body[end:]


def mutate(seeds: list[bytes], rng: random.Random) -> tuple[int, bytes]:
    """(type, body) of the next case."""
    seed = rng.choice(seeds)
    kind, body = seed[0], seed[1:]
    choice = rng.random()
    if choice < 0.05:
        return rng.choice((1, 2, 2, 2, 3, 5)), rng.randbytes(rng.randint(0, 120))
    if kind == _UPDATE and choice < 0.85:
        donor = rng.choice(seeds)
        body = _mutate_attributes(body, donor[1:] if donor[0] == _UPDATE else body, rng)
        if choice < 0.75:
            return kind, body
    data = bytearray(body or b"\x00")
    for _ in range(rng.randint(1, 2)):
        rng.choice(_BLIND)(data, rng)
        if not data:
            break
    return kind, bytes(data[:4077])


# --- what must hold -------------------------------------------------------------------------------------------------


def read_out(attributes: Attributes, session: Session) -> None:
    """Reads every field, prints what prints, and writes the set both ways."""
    for name in _FIELDS:
        getattr(attributes, name)
    _ = attributes.as_path.text, attributes.as_path.length, attributes.as_path.first
    for value in (*attributes.ext_communities, *attributes.origin_vn_path):
        ext_community.text(value)
    for as4 in (True, False):
        attributes.encode(as4, session.behaviour)
    assert attributes.replace(med=7).med == 7


def _said(received: update.Received) -> object:
    """Everything in it, to compare a reading that remembers earlier messages with one that does not."""
    reach = [(r.family, r.attributes.key, r.routes) for r in received.reach]
    return reach, [(u.family, u.keys) for u in received.unreach], received.end_of_rib, received.faults


def check(kind: int, body: bytes, session: Session, in_full: bool) -> str:
    """Reads one message and checks what came of it; the verdict as a word."""
    try:
        message = decode(kind, body, session.behaviour)
        if kind != _UPDATE:
            if in_full and isinstance(message, Open):
                assert all(capability.text for capability in message.capabilities)
            return "other"
        received = update.read(body, session.negotiated, session.behaviour)
    except MessageError as error:
        assert len(error.data) <= MAX_DATA
        return f"{error.code}/{error.subcode}"
    count = sum(len(reach.routes) for reach in received.reach) + sum(len(gone.keys) for gone in received.unreach)
    assert count <= len(body)
    assert len(received.faults) <= len(body)
    if in_full:
        assert _said(received) == _said(update.read(body, session.fresh(), session.behaviour))
        for reach in received.reach:
            read_out(reach.attributes, session)
            codec = nlri.codec(reach.family)
            for key, payload in reach.routes:
                codec.text(key)
                nlri.label(payload, vxlan=True)
                assert codec.read(codec.write(key, payload)) == [(key, payload)]
        for gone in received.unreach:
            codec = nlri.codec(gone.family)
            for key in gone.keys:
                codec.text(key)
                assert codec.read(codec.write_withdrawn(key), withdrawn=True) == [(key, b"")]
    return "read with faults" if received.faults else "read"


def _check_repeated(body: bytes, session: Session, rng: random.Random) -> None:
    """A message that differs a little from the one just read: the quick way must not be taken when it does not fit."""
    update.read(body, session.negotiated, session.behaviour)
    data = bytearray(body)
    rng.choice(_BLIND)(data, rng)
    assert _outcome(bytes(data), session.negotiated, session) == _outcome(bytes(data), session.fresh(), session)


def _outcome(body: bytes, negotiated: Negotiated, session: Session) -> object:
    try:
        return _said(update.read(body, negotiated, session.behaviour))
    except MessageError as error:
        return error.code, error.subcode, error.data, error.reason


def run(cases: int, seed: int) -> Counter[str]:
    """Runs the cases; how often each verdict came. On a failure says what to feed to `check`."""
    rng = random.Random(seed)
    seeds = corpus()
    ways = sessions()
    verdicts: Counter[str] = Counter()
    for number in range(cases):
        kind, body = mutate(seeds, rng)
        session = ways[number & 7]
        try:
            verdict = check(kind, body, session, number % _READ_OUT_SHARE == 0)
        except BaseException:
            sys.stderr.write(f"case {number} of seed {seed}: type {kind}, session {number & 7}, body {body.hex()}\n")
            raise
        verdicts[verdict] += 1
        if number % _READ_OUT_SHARE == 0 and verdict == "read":
            _check_repeated(body, session, rng)
        if verdict.startswith("read") and number % 16 == 0 and len(seeds) < 4000:
            seeds.append(bytes((kind,)) + body)  # what was accepted is worth mutating further
    return verdicts


def header_case(rng: random.Random) -> bytes:
    """19 bytes that are a header, nearly one, or none."""
    header = bytearray(MARKER + rng.randint(0, 4200).to_bytes(2, "big") + bytes((rng.randint(0, 7),)))
    if rng.random() < 0.3:
        rng.choice((_flip, _set))(header, rng)
    return bytes(header) if rng.random() < 0.9 else rng.randbytes(19)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--cases", type=int, default=1_000_000)
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    for verdict, count in run(options.cases, options.seed).most_common():
        sys.stdout.write(f"{count:9d}  {verdict}\n")


if __name__ == "__main__":
    main()

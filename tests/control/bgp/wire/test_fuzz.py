"""Nothing but MessageError leaves the wire core, whatever a peer sends; the killers of other speakers by name."""

import os
import random
import tracemalloc

import pytest
from control.bgp.wire import fuzzing

from contrail_emulator.base.behaviour import CONTRAIL, RFC, Behaviour
from contrail_emulator.control.bgp import update
from contrail_emulator.control.bgp.family import Family
from contrail_emulator.control.bgp.message import MARKER, MessageError, decode, read_header
from contrail_emulator.control.bgp.negotiation import Negotiated

CASES = int(os.environ.get("CONTRAIL_EMULATOR_FUZZ_CASES", "50000"))
SEED = int(os.environ.get("CONTRAIL_EMULATOR_FUZZ_SEED", "20240229"))


@pytest.mark.timeout(max(120, CASES // 1000))
def test_mutated_messages() -> None:
    """Every verdict of the table is reached, so the mutations go deep, not only to the first check."""
    verdicts = fuzzing.run(CASES, SEED)
    assert sum(verdicts.values()) == CASES
    wanted = {"read", "read with faults", "other", "1/2", "1/3", "2/0", "2/1", "2/4"}
    wanted |= {f"3/{subcode}" for subcode in (1, 2, 3, 4, 5, 6, 8, 9, 10, 11)}
    assert wanted <= set(verdicts)
    assert verdicts["read"] > CASES // 10


def test_headers() -> None:
    rng = random.Random(SEED)
    sound = 0
    for _ in range(5000):
        header = fuzzing.header_case(rng)
        try:
            length, kind = read_header(header, RFC)
        except MessageError as error:
            assert error.code == 1
            continue
        sound += 1
        assert 19 <= length <= 4096
        assert 1 <= kind <= 5
    assert sound > 1000


# --- known killers --------------------------------------------------------------------------------------------------

OPEN = bytes.fromhex("04fc00005a0aff0001")
IBGP = bytes.fromhex("4001010040020040050400000064")
INET = bytes.fromhex("800e0d000101040a00000100180a0102")


def _update(attributes: bytes, nlri: bytes = b"", withdrawn: bytes = b"") -> bytes:
    return len(withdrawn).to_bytes(2, "big") + withdrawn + len(attributes).to_bytes(2, "big") + attributes + nlri


KILLERS: list[tuple[str, int, bytes, str, str]] = [
    # An OPEN in the extended form of RFC 9072 with less behind it than it says.
    ("CVE-2022-40302", 1, OPEN + b"\xff\xff\x00\x10\x02", "2/0", "2/0"),
    ("CVE-2022-40302, length cut", 1, OPEN + b"\xff\xff\x00", "2/0", "2/0"),
    # An OPEN that ends right behind an option's type, or its length.
    ("CVE-2022-43681", 1, OPEN + b"\x01\x02", "2/0", "2/0"),
    ("CVE-2022-43681, length only", 1, OPEN + b"\x02\x02\x08", "2/0", "2/0"),
    ("CVE-2022-43681, capability type only", 1, OPEN + b"\x03\x02\x01\x41", "2/0", "2/0"),
    # A 4-octet AS capability of a wrong length, which another speaker asserted on.
    ("CVE-2022-36440", 1, OPEN + b"\x06\x02\x04\x41\x02\x00\x01", "other", "other"),
    ("CVE-2022-36440, overrun", 1, OPEN + b"\x04\x02\x02\x41\x04", "2/0", "2/0"),
    # Tunnel Encapsulation whose sub-TLVs lie about their lengths: transitive, so it must pass untouched or be dropped.
    ("CVE-2023-38802", 2, _update(IBGP + bytes.fromhex("c01706000800ff0102") + INET), "read", "read"),
    ("CVE-2023-38802, empty", 2, _update(IBGP + bytes.fromhex("c01700") + INET), "read", "read"),
    # MP_UNREACH together with classic NLRI and without the mandatory attributes.
    ("CVE-2023-47234", 2, _update(bytes.fromhex("800f03000101"), b"\x18\x0a\x01\x02"), "3/3", "read with faults"),
    (
        "CVE-2023-47234, a route",
        2,
        _update(bytes.fromhex("800f07000101180a0901"), b"\x08\x0a"),
        "3/3",
        "read with faults",
    ),
    # That one is an OSPF message: a traffic engineering TLV shorter than what is read of it. Here as BGP-LS.
    ("CVE-2024-27913", 2, _update(IBGP + bytes.fromhex("801d06040400ff0000") + INET), "read", "read"),
    ("CVE-2024-27913, short", 2, _update(IBGP + bytes.fromhex("801d03040400") + INET), "read", "read"),
    # Attribute 128 (ATTR_SET), AIGP and an entropy label of length 0 brought down several speakers.
    ("ATTR_SET of length 0", 2, _update(IBGP + bytes.fromhex("c08000801a00c01c00") + INET), "read", "read"),
]


@pytest.mark.parametrize(("name", "kind", "body", "contrail", "rfc"), KILLERS, ids=[killer[0] for killer in KILLERS])
def test_known_killers(name: str, kind: int, body: bytes, contrail: str, rfc: str) -> None:
    for session in fuzzing.sessions():
        if not session.negotiated.ibgp:
            continue
        expected = contrail if session.behaviour is CONTRAIL else rfc
        assert fuzzing.check(kind, body, session, in_full=True) == expected
    for cut in range(len(body)):
        for session in fuzzing.sessions():
            fuzzing.check(kind, body[:cut], session, in_full=True)


@pytest.mark.parametrize("behaviour", [CONTRAIL, RFC], ids=["contrail", "rfc"])
def test_memory_stays_a_small_multiple_of_the_input(behaviour: Behaviour) -> None:
    """The most routes, communities and AS numbers that 4096 bytes can hold."""
    prefixes = _update(IBGP + bytes.fromhex("4003040a000001"), b"\x00" * 4000)
    communities = _update(IBGP + b"\xd0\x08\x0f\x00" + bytes(0xF00) + INET)
    path = _update(IBGP[:4] + b"\x50\x02\x0f\x00" + b"\x01\x00" * 0x780 + IBGP[7:] + INET)
    agreed = Negotiated(list(Family), local_as=64512, peer_as=64512)
    for body in (prefixes, communities, path):
        update.read(body, agreed, behaviour)
        tracemalloc.start()
        received = update.read(body, agreed, behaviour)
        for reach in received.reach:
            _ = reach.attributes.communities, reach.attributes.as_path.segments
        _, peak = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        assert peak < 100 * len(body)


def test_a_message_of_another_type_is_refused_not_raised() -> None:
    for kind in (0, 6, 255):
        with pytest.raises(MessageError):
            decode(kind, b"", RFC)
    assert MARKER == b"\xff" * 16

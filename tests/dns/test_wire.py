"""Messages, with dnspython as the other side, and any bytes at all."""

import dns.edns
import dns.flags
import dns.message
import dns.opcode
import dns.rcode
import dns.rrset
import dns.update
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.names import dns as twisted_dns

from contrail_emulator.dns import wire
from contrail_emulator.dns.records import ResourceRecord, rr
from contrail_emulator.dns.resolver import Reply


def query(name: str = "vm.example.com", rr_type: str = "A", *txt: str, **options: object) -> bytes:
    made = dns.message.make_query(name, rr_type, **options)  # type: ignore[arg-type]
    for text in txt:
        made.additional.append(dns.rrset.from_text("view.", 0, "IN", "TXT", text))
    return made.to_wire()


def address(number: int) -> tuple[bytes, ResourceRecord]:
    host = b"host-%d.example.com" % number
    payload = rr.Record_A(f"10.0.{number >> 8 & 255}.{number & 255}")
    return host, ResourceRecord.make(host, twisted_dns.A, 60, payload)


def test_a_question() -> None:
    request = wire.read(query("Vm.Example.com", "AAAA", '"view=a-b"'))
    assert request is not None and request.fault == 0
    assert (request.question.name.name, request.question.type, request.question.cls) == (b"Vm.Example.com", 28, 1)
    assert (request.view, request.recursion, request.edns, request.limit) == ("a-b", True, False, 512)


@pytest.mark.parametrize(
    ("texts", "view"),
    [
        ((), None),
        (('"view=a"', '"view=b"'), "b"),
        (('"view=a"', '"no"'), ""),
        (('"view=" "a"',), ""),
        (('"View=a"',), ""),
    ],
)
def test_the_last_txt_decides_on_the_view(texts: tuple[str, ...], view: str | None) -> None:
    request = wire.read(query("vm.example.com", "A", *texts))
    assert request is not None and request.view == view


@pytest.mark.parametrize(("payload", "limit"), [(0, 512), (512, 512), (900, 900), (4096, 1232), (65535, 1232)])
def test_edns_says_how_much_fits(payload: int, limit: int) -> None:
    request = wire.read(query(use_edns=0, payload=payload))
    assert request is not None and request.edns and request.limit == limit
    answer = dns.message.from_wire(wire.write(request, Reply(), limit))
    assert answer.edns == 0 and answer.payload == 1232


def test_a_later_edns_version_is_answered_with_ours() -> None:
    request = wire.read(query(use_edns=1))
    assert request is not None and request.fault == wire.BAD_VERSION
    answer = dns.message.from_wire(wire.write(request, Reply(request.fault), 512))
    assert answer.rcode() == dns.rcode.BADVERS and answer.edns == 0


def test_two_opt_records_are_one_too_many() -> None:
    raw = bytearray(query(use_edns=0))
    opt = raw[-11:]
    raw[10:12] = b"\x00\x02"
    request = wire.read(bytes(raw + opt))
    assert request is not None and request.fault == twisted_dns.EFORMAT


def test_flags_and_question_come_back() -> None:
    made = dns.message.make_query("x.org", "MX")
    made.flags |= dns.flags.CD
    made.flags &= ~dns.flags.RD
    request = wire.read(made.to_wire())
    assert request is not None
    answer = dns.message.from_wire(wire.write(request, Reply(authoritative=True), 512))
    assert answer.is_response(made) or answer.id == made.id
    assert answer.flags == dns.flags.QR | dns.flags.AA | dns.flags.RA | dns.flags.CD
    assert answer.question == made.question


def test_what_does_not_fit_comes_back_cut_off() -> None:
    request = wire.read(query())
    assert request is not None
    reply = Reply(answers=[address(n) for n in range(50)])
    cut = dns.message.from_wire(wire.write(request, reply, 512))
    assert cut.flags & dns.flags.TC and not cut.answer and cut.question
    whole = dns.message.from_wire(wire.write(request, reply, 65535))
    assert not whole.flags & dns.flags.TC and len(whole.answer) == 50


def test_the_additional_section_goes_first_and_silently() -> None:
    request = wire.read(query())
    assert request is not None
    reply = Reply(answers=[address(0)], additional=[address(n) for n in range(50)])
    answer = dns.message.from_wire(wire.write(request, reply, 512))
    assert not answer.flags & dns.flags.TC and len(answer.answer) == 1 and not answer.additional


def test_names_beyond_the_reach_of_a_pointer_are_written_out() -> None:
    request = wire.read(query())
    assert request is not None
    some = [address(n) for n in range(1000)]
    answer = dns.message.from_wire(wire.write(request, Reply(answers=some + some), 65535))
    assert {str(rrset.name) for rrset in answer.answer} == {owner.decode() + "." for owner, _ in some}


def test_more_than_65535_bytes_are_cut_off_even_over_tcp() -> None:
    request = wire.read(query())
    assert request is not None
    assert dns.message.from_wire(wire.write(request, Reply(answers=[address(n) for n in range(5000)]), 65535)).flags & (
        dns.flags.TC
    )


def test_an_update_is_understood_as_far_as_its_zone() -> None:
    made = dns.update.UpdateMessage("example.com")
    made.delete("vm", "A", "10.0.0.1")
    made.delete("vm2")
    made.add("vm", 60, "A", "10.0.0.2")
    request = wire.read(made.to_wire())
    assert request is not None and (request.opcode, request.fault) == (5, 0)
    answer = dns.message.from_wire(wire.write(request, Reply(twisted_dns.EREFUSED), 512))
    assert answer.rcode() == dns.rcode.REFUSED and answer.opcode() == dns.opcode.UPDATE and answer.id == made.id


@pytest.mark.parametrize(
    "data",
    [b"", b"\x00" * 11, dns.message.make_response(dns.message.make_query("a", "A")).to_wire()],
    ids=["empty", "short", "response"],
)
def test_what_must_not_be_answered(data: bytes) -> None:
    assert wire.read(data) is None


def head(questions: int = 1, additional: int = 0) -> bytes:
    return b"\x12\x34\x01\x00" + questions.to_bytes(2, "big") + b"\x00\x00\x00\x00" + additional.to_bytes(2, "big")


QUESTION = b"\x01a\x00\x00\x01\x00\x01"


@pytest.mark.parametrize(
    "data",
    [
        head(0),
        head(2) + QUESTION * 2,
        head() + QUESTION[:-1],
        b"\x12\x34\x28\x00" + head()[4:] + QUESTION,
        head() + b"\xc0\x0c\x00\x01\x00\x01",
        head() + b"\x40" + b"a" * 64 + b"\x00\x00\x01\x00\x01",
        head() + b"\x03a.b\x00\x00\x01\x00\x01",
        head() + b"\x01.\x00\x00\x01\x00\x01",
        head() + (b"\x3f" + b"a" * 63) * 4 + b"\x00\x00\x01\x00\x01",
        head(additional=1) + QUESTION,
        head(additional=1) + QUESTION + b"\x00\x00\x10\x00\x01\x00\x00\x00\x00\x00\x09\x08view",
    ],
)
def test_what_makes_no_sense_is_a_format_error(data: bytes) -> None:
    request = wire.read(data)
    assert request is not None and request.fault == twisted_dns.EFORMAT
    answer = dns.message.from_wire(wire.write(request, Reply(request.fault), 512))
    assert (answer.id, answer.rcode()) == (0x1234, dns.rcode.FORMERR)


good = st.sampled_from(
    [
        query(),
        query("a.b", "ANY", '"view=x"', use_edns=0),
        query("x", "SOA", '"view=" "y"'),
        head(additional=1) + QUESTION,
    ]
)


@st.composite
def damaged(draw: st.DrawFn) -> bytes:
    """A good message with some bytes changed, cut or doubled."""
    data = bytearray(draw(good))
    for _ in range(draw(st.integers(0, 6))):
        at = draw(st.integers(0, len(data) - 1))
        data[at : at + draw(st.integers(0, 2))] = draw(st.binary(max_size=3))
        if not data:
            break
    return bytes(data)


@settings(max_examples=600, deadline=None)
@given(st.one_of(st.binary(max_size=80), damaged()))
def test_any_bytes_are_read_and_every_answer_is_a_message(data: bytes) -> None:
    request = wire.read(data)
    if request is not None:
        question = request.opcode == twisted_dns.OP_QUERY and not request.fault
        reply = Reply(request.fault, answers=[address(1)] if question else [])
        written = wire.write(request, reply, request.limit)
        assert len(written) <= request.limit and written[:2] == data[:2]
        parsed = dns.message.from_wire(written, one_rr_per_rrset=True)
        assert parsed.flags & dns.flags.QR

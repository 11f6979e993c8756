"""Extended communities: RFC 4360, RFC 7153; names and bytes of reference/bgp.md 3.3.

A value is 8 bytes. `text` prints each form of the reference, anything else as 16 hex digits; `parse` reads them back.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from struct import Struct

from .rd import ipv4_bytes

_AS2 = Struct("!BBHI")
_AS4 = Struct("!BBIH")

TRANSITIVE_AS2, TRANSITIVE_IPV4, TRANSITIVE_AS4 = 0x00, 0x01, 0x02
OPAQUE, EVPN, PRIVATE_AS2, PRIVATE_AS4, PRIVATE_EVPN = 0x03, 0x06, 0x80, 0x82, 0xC0
ROUTE_TARGET, SITE_OF_ORIGIN, SOURCE_AS, VRF_ROUTE_IMPORT = 0x02, 0x03, 0x09, 0x0B
SECURITY_GROUP, ORIGIN_VN, TAG, SUB_CLUSTER = 0x04, 0x71, 0x84, 0x85

ENCAPSULATIONS: Mapping[str, int] = {
    "gre": 2,
    "vxlan": 8,
    "nvgre": 9,
    "mpls": 10,
    "mpls-o-gre": 11,
    "vxlan-gpe": 12,
    "udp": 13,
    "native": 16,
}
ENCAPSULATION_NAMES: Mapping[int, str] = {value: name for name, value in ENCAPSULATIONS.items()}

_ENCAPSULATION_HEAD = b"\x03\x0c\x00\x00\x00\x00"
VXLAN = _ENCAPSULATION_HEAD + b"\x00\x08"
DEFAULT_GATEWAY = b"\x03\x0d" + bytes(6)

_AS_FORMS = (TRANSITIVE_AS2, TRANSITIVE_AS4)
_TARGET_FORMS = (TRANSITIVE_AS2, TRANSITIVE_IPV4, TRANSITIVE_AS4)
_TARGET_HEADS = frozenset((b"\x00\x02", b"\x01\x02", b"\x02\x02"))
_PRIVATE_FORMS = (PRIVATE_AS2, PRIVATE_AS4)


def as_specific(first: int, subtype: int, asn: int, value: int) -> bytes:
    """An AS-specific value: `first` is the type with a 2-byte AS; its low bits become 2 when the AS needs 4 bytes."""
    if asn <= 0xFFFF:
        return _AS2.pack(first, subtype, asn, value)
    return _AS4.pack(first | TRANSITIVE_AS4, subtype, asn, value)


def read_as_specific(raw: bytes) -> tuple[int, int]:
    """(AS, value) of an AS-specific value of either size."""
    if raw[0] & 0x0F == TRANSITIVE_AS4:
        _, _, asn, value = _AS4.unpack(raw)
    else:
        _, _, asn, value = _AS2.unpack(raw)
    return asn, value


def _read_private(raw: bytes, subtype: int) -> tuple[int, int] | None:
    return read_as_specific(raw) if raw[1] == subtype and raw[0] in _PRIVATE_FORMS else None


# --- route target, site of origin, source AS, VRF route import -----------------------------------------------------


def route_target(text: str) -> bytes:
    """The value of `A:N`, `IP:N` or `AL:N`, with or without the leading `target:`. ValueError."""
    return _target(ROUTE_TARGET, text.removeprefix("target:"))


def is_route_target(raw: bytes) -> bool:
    return raw[:2] in _TARGET_HEADS


def vrf_route_import(address: bytes, index: int) -> bytes:
    """RFC 6514 section 7: the router id and the instance's index."""
    return bytes((TRANSITIVE_IPV4, VRF_ROUTE_IMPORT)) + address + index.to_bytes(2, "big")


def source_as(asn: int, value: int = 0) -> bytes:
    """RFC 6514 section 6."""
    return as_specific(TRANSITIVE_AS2, SOURCE_AS, asn, value)


def _number(text: str, limit: int) -> int:
    if not text.isdecimal() or not text.isascii() or int(text) > limit:
        raise ValueError(f"{text!r} is not a number up to {limit}")
    return int(text)


def _target(subtype: int, text: str) -> bytes:
    administrator, _, value = text.rpartition(":")
    if "." in administrator:
        address = ipv4_bytes(administrator)
        return bytes((TRANSITIVE_IPV4, subtype)) + address + _number(value, 0xFFFF).to_bytes(2, "big")
    wide = administrator.endswith("L")
    asn = _number(administrator.removesuffix("L"), 0xFFFFFFFF)
    if wide or asn > 0xFFFF:
        return _AS4.pack(TRANSITIVE_AS4, subtype, asn, _number(value, 0xFFFF))
    return _AS2.pack(TRANSITIVE_AS2, subtype, asn, _number(value, 0xFFFFFFFF))


def _target_text(raw: bytes) -> str:
    if raw[0] == TRANSITIVE_IPV4:
        return f"{raw[2]}.{raw[3]}.{raw[4]}.{raw[5]}:{raw[6] << 8 | raw[7]}"
    asn, value = read_as_specific(raw)
    wide = "L" if raw[0] == TRANSITIVE_AS4 and asn <= 0xFFFF else ""
    return f"{asn}{wide}:{value}"


# --- encapsulation, default gateway, load balance ------------------------------------------------------------------


def encapsulation(name: str) -> bytes:
    """RFC 9012 section 4.1, by the names of ENCAPSULATIONS or a number. ValueError."""
    value = ENCAPSULATIONS[name] if name in ENCAPSULATIONS else _number(name, 0xFFFF)
    return _ENCAPSULATION_HEAD + value.to_bytes(2, "big")


def is_encapsulation(raw: bytes) -> bool:
    return raw[:2] == b"\x03\x0c"


def read_encapsulation(raw: bytes) -> str | None:
    """The name (digits for a number nobody named), None when it is no encapsulation."""
    if not is_encapsulation(raw):
        return None
    number = raw[6] << 8 | raw[7]
    return ENCAPSULATION_NAMES.get(number, str(number))


def encapsulations(ext_communities: Iterable[bytes]) -> tuple[str, ...]:
    """The encapsulation names in a list of values, in their order."""
    names = (read_encapsulation(raw) for raw in ext_communities)
    return tuple(name for name in names if name is not None)


def is_vxlan(ext_communities: Iterable[bytes]) -> bool:
    """Whether VXLAN is among the encapsulations: then labels are VNIs (reference/bgp.md 2.3)."""
    return any(raw[:2] == b"\x03\x0c" and raw[6:] == b"\x00\x08" for raw in ext_communities)


ALL_HASH_FIELDS = 0xF8
"""Source IP, destination IP, protocol, source port, destination port, from the most significant bit."""


def load_balance(fields: int = ALL_HASH_FIELDS, source_bias: bool = False) -> bytes:
    return bytes((OPAQUE, 0xAA, fields, 0, 0x80 if source_bias else 0, 0, 0, 0))


def read_load_balance(raw: bytes) -> tuple[int, bool] | None:
    """(hash field bits, source bias), None when it is no load-balance value."""
    return (raw[2], bool(raw[4] & 0x80)) if raw[:2] == b"\x03\xaa" else None


# --- EVPN: RFC 7432 section 7, RFC 8317, RFC 9135, RFC 9251 --------------------------------------------------------


def mac_mobility(sticky: bool, sequence: int) -> bytes:
    return bytes((EVPN, 0x00, int(sticky), 0)) + sequence.to_bytes(4, "big")


def read_mac_mobility(raw: bytes) -> tuple[bool, int] | None:
    """(sticky, sequence number), None when it is no MAC mobility value."""
    return (bool(raw[2] & 1), int.from_bytes(raw[4:8], "big")) if raw[:2] == b"\x06\x00" else None


def esi_label(single_active: bool, label: int) -> bytes:
    return bytes((EVPN, 0x01, int(single_active), 0, 0)) + (label << 4).to_bytes(3, "big")


def read_esi_label(raw: bytes) -> tuple[bool, int] | None:
    """(single active, label), None when it is no ESI label value."""
    return (bool(raw[2] & 1), int.from_bytes(raw[5:8], "big") >> 4) if raw[:2] == b"\x06\x01" else None


def es_import(mac: bytes) -> bytes:
    return bytes((EVPN, 0x02)) + mac


def router_mac(mac: bytes) -> bytes:
    return bytes((EVPN, 0x03)) + mac


def read_router_mac(raw: bytes) -> bytes | None:
    return raw[2:8] if raw[:2] == b"\x06\x03" else None


def etree(leaf: bool, label: int) -> bytes:
    return bytes((EVPN, 0x05, int(leaf), 0, 0)) + (label << 4).to_bytes(3, "big")


def read_etree(raw: bytes) -> tuple[bool, int] | None:
    """(leaf, label), None when it is no E-Tree value."""
    return (bool(raw[2] & 1), int.from_bytes(raw[5:8], "big") >> 4) if raw[:2] == b"\x06\x05" else None


def multicast_flags(flags: int) -> bytes:
    return bytes((EVPN, 0x09)) + flags.to_bytes(2, "big") + bytes(4)


def read_multicast_flags(raw: bytes) -> int | None:
    return raw[2] << 8 | raw[3] if raw[:2] == b"\x06\x09" else None


# --- Contrail's own ------------------------------------------------------------------------------------------------


def security_group(asn: int, number: int) -> bytes:
    return as_specific(PRIVATE_AS2, SECURITY_GROUP, asn, number)


def read_security_group(raw: bytes) -> tuple[int, int] | None:
    """(AS, id), None when it is no security group."""
    return _read_private(raw, SECURITY_GROUP)


def origin_vn(asn: int, index: int) -> bytes:
    """One value. With an AS above 65535 the index must fit 16 bits: see `origin_vn_pair` for the others."""
    return as_specific(PRIVATE_AS2, ORIGIN_VN, asn, index)


def read_origin_vn(raw: bytes) -> tuple[int, int] | None:
    """(AS, virtual network index), None when it is no origin-vn."""
    return _read_private(raw, ORIGIN_VN)


AS_TRANS = 23456


def origin_vn_values(asn: int, index: int) -> tuple[bytes, ...]:
    """One origin-vn, or the two of a 4-byte AS with an index above 65535 (reference/bgp.md 3.3)."""
    if asn > 0xFFFF and index > 0xFFFF:
        wide = _AS4.pack(PRIVATE_AS4, ORIGIN_VN, asn, AS_TRANS)
        return wide, _AS2.pack(PRIVATE_AS2, ORIGIN_VN, AS_TRANS, index)
    return (origin_vn(asn, index),)


def paired(subtype: int, asn: int, values: Iterable[int]) -> tuple[bytes, ...]:
    """Security groups or tags of one AS: plain, or for a 4-byte AS each as the pair of reference/bgp.md 3.3."""
    if asn <= 0xFFFF:
        return tuple(_AS2.pack(PRIVATE_AS2, subtype, asn, value) for value in values)
    pairs = (
        (_AS4.pack(PRIVATE_AS4, subtype, asn, count), _AS2.pack(PRIVATE_AS2, subtype, count, value))
        for count, value in enumerate(values)
    )
    return tuple(raw for pair in pairs for raw in pair)


def tag(asn: int, value: int, overwrites_as: bool = False) -> bytes:
    """`overwrites_as`: the defect of reference/bgp.md 3.3, the value in place of the low half of a 4-byte AS."""
    if overwrites_as and asn > 0xFFFF:
        return bytes((PRIVATE_AS4, TAG)) + (asn >> 16).to_bytes(2, "big") + value.to_bytes(2, "big") + bytes(2)
    return as_specific(PRIVATE_AS2, TAG, asn, value)


def read_tag(raw: bytes) -> tuple[int, int] | None:
    """(AS, value), None when it is no tag."""
    return _read_private(raw, TAG)


def sub_cluster(asn: int, number: int) -> bytes:
    return as_specific(PRIVATE_AS2, SUB_CLUSTER, asn, number)


def read_sub_cluster(raw: bytes) -> tuple[int, int] | None:
    """(AS, id), None when it is no sub-cluster."""
    return _read_private(raw, SUB_CLUSTER)


def local_sequence_number(sequence: int) -> bytes:
    return bytes((PRIVATE_EVPN, 0x00)) + sequence.to_bytes(4, "big") + bytes(2)


def read_local_sequence_number(raw: bytes) -> int | None:
    return int.from_bytes(raw[2:6], "big") if raw[:2] == b"\xc0\x00" else None


# --- printed forms -------------------------------------------------------------------------------------------------


def _as_text(raw: bytes) -> str:
    asn, value = read_as_specific(raw)
    return f"{asn}:{value}"


def _encapsulation_text(raw: bytes) -> str:
    return read_encapsulation(raw) or ""


def _load_balance_text(raw: bytes) -> str:
    return "source-bias" if raw[4] & 0x80 else "field-hash"


def _mobility_text(raw: bytes) -> str:
    return f"{'sticky' if raw[2] & 1 else 'non-sticky'}:{int.from_bytes(raw[4:8], 'big')}"


def _flag_label_text(on: str, off: str) -> Callable[[bytes], str]:
    return lambda raw: f"{on if raw[2] & 1 else off}:{int.from_bytes(raw[5:8], 'big') >> 4}"


def _mac_text(raw: bytes) -> str:
    return raw[2:8].hex(":")


_PRINTED: Mapping[int, tuple[str, Callable[[bytes], str]]] = {
    **{kind << 8 | ROUTE_TARGET: ("target", _target_text) for kind in _TARGET_FORMS},
    **{kind << 8 | SITE_OF_ORIGIN: ("soo", _target_text) for kind in _TARGET_FORMS},
    **{kind << 8 | SOURCE_AS: ("source-as", _as_text) for kind in _AS_FORMS},
    0x010B: ("rt-import", _target_text),
    0x030C: ("encapsulation", _encapsulation_text),
    0x030D: ("defaultgw", lambda raw: str(int.from_bytes(raw[2:8], "big"))),
    0x03AA: ("load-balance", _load_balance_text),
    0x0600: ("mobility", _mobility_text),
    0x0601: ("esilabel", _flag_label_text("sa", "aa")),
    0x0602: ("esimport", _mac_text),
    0x0603: ("rtrmac", _mac_text),
    0x0605: ("etree", _flag_label_text("leaf", "root")),
    0x0609: ("evpn-mcast-flags", lambda raw: str(raw[2] << 8 | raw[3])),
    **{kind << 8 | SECURITY_GROUP: ("secgroup", _as_text) for kind in _PRIVATE_FORMS},
    **{kind << 8 | ORIGIN_VN: ("originvn", _as_text) for kind in _PRIVATE_FORMS},
    **{kind << 8 | TAG: ("tag", _as_text) for kind in _PRIVATE_FORMS},
    **{kind << 8 | SUB_CLUSTER: ("subcluster", _as_text) for kind in _PRIVATE_FORMS},
}


def text(raw: bytes) -> str:
    """`name:value` as in reference/bgp.md 3.3, else 16 hex digits."""
    printed = _PRINTED.get(raw[0] << 8 | raw[1])
    if printed is None:
        return raw.hex()
    name, value = printed
    return f"{name}:{value(raw)}"


def _choice(text: str, on: str, off: str) -> tuple[bool, str]:
    flag, _, rest = text.partition(":")
    if flag not in (on, off):
        raise ValueError(f"{flag!r} is neither {on} nor {off}")
    return flag == on, rest


def _mac(text: str) -> bytes:
    parts = text.split(":")
    if len(parts) != 6 or not all(len(part) == 2 for part in parts):
        raise ValueError(f"not a MAC address: {text!r}")
    return bytes.fromhex("".join(parts))


def _as_value(first: int, subtype: int) -> Callable[[str], bytes]:
    def parse_value(text: str) -> bytes:
        asn_text, _, value = text.partition(":")
        asn = _number(asn_text, 0xFFFFFFFF)
        return as_specific(first, subtype, asn, _number(value, 0xFFFFFFFF if asn <= 0xFFFF else 0xFFFF))

    return parse_value


def _parse_import(text: str) -> bytes:
    address, _, index = text.partition(":")
    return vrf_route_import(ipv4_bytes(address), _number(index, 0xFFFF))


def _parse_load_balance(text: str) -> bytes:
    source_bias, _ = _choice(text, "source-bias", "field-hash")
    return load_balance(source_bias=source_bias)


def _parse_mobility(text: str) -> bytes:
    sticky, sequence = _choice(text, "sticky", "non-sticky")
    return mac_mobility(sticky, _number(sequence, 0xFFFFFFFF))


def _parse_esi_label(text: str) -> bytes:
    single_active, label = _choice(text, "sa", "aa")
    return esi_label(single_active, _number(label, 0xFFFFF))


def _parse_etree(text: str) -> bytes:
    leaf, label = _choice(text, "leaf", "root")
    return etree(leaf, _number(label, 0xFFFFF))


_PARSERS: Mapping[str, Callable[[str], bytes]] = {
    "target": lambda value: _target(ROUTE_TARGET, value),
    "soo": lambda value: _target(SITE_OF_ORIGIN, value),
    "source-as": _as_value(TRANSITIVE_AS2, SOURCE_AS),
    "rt-import": _parse_import,
    "encapsulation": encapsulation,
    "defaultgw": lambda value: b"\x03\x0d" + _number(value, (1 << 48) - 1).to_bytes(6, "big"),
    "load-balance": _parse_load_balance,
    "mobility": _parse_mobility,
    "esilabel": _parse_esi_label,
    "esimport": lambda value: es_import(_mac(value)),
    "rtrmac": lambda value: router_mac(_mac(value)),
    "etree": _parse_etree,
    "evpn-mcast-flags": lambda value: multicast_flags(_number(value, 0xFFFF)),
    "secgroup": _as_value(PRIVATE_AS2, SECURITY_GROUP),
    "originvn": _as_value(PRIVATE_AS2, ORIGIN_VN),
    "tag": _as_value(PRIVATE_AS2, TAG),
    "subcluster": _as_value(PRIVATE_AS2, SUB_CLUSTER),
}


def parse(text: str) -> bytes:
    """The 8 bytes of a printed form or of 16 hex digits. Raises ValueError."""
    name, colon, value = text.partition(":")
    if not colon:
        if len(text) != 16:
            raise ValueError(f"not an extended community: {text!r}")
        return bytes.fromhex(text)
    parser = _PARSERS.get(name)
    if parser is None:
        raise ValueError(f"unknown kind of extended community: {text!r}")
    return parser(value)

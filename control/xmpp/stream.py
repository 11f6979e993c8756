"""Stream opens, TLS negotiation and keepalives: the fixed texts of the dialect (reference/xmpp.md 1.2, 1.4, 1.6)."""

import re
from typing import Final, NamedTuple

from .names import STREAM_NAMESPACE, TLS_NAMESPACE
from .stanza import StanzaError, document
from .text import escape

MAX_OPEN: Final = 1024
"""Open and reply must fit in this many bytes."""
STREAM_ID: Final = "++123"

KEEPALIVE: Final = b"\xc8\x80"
BLANK: Final = b" "
"""The keepalive of RFC 6120 4.6.1."""
FEATURES: Final = (
    '<?xml version="1.0"?>\n'
    f'<stream:features><starttls xmlns="{TLS_NAMESPACE}"><required/></starttls></stream:features>'
).encode()
STARTTLS: Final = f'<?xml version="1.0"?>\n<starttls xmlns="{TLS_NAMESPACE}" />'.encode()
PROCEED: Final = f'<?xml version="1.0"?>\n<proceed xmlns="{TLS_NAMESPACE}" />'.encode()

_DECLARATION: Final = re.compile(rb'<\?xml version="1\.0"\s*\?>\s*')
_ANY_DECLARATION: Final = re.compile(rb"<\?xml\s[^<>]*\?>\s*")

_PLAIN: Final = rb"([ !#-%'-;=-~]*)"
"""An attribute's value as it is: no reference, no white space that XML would turn into blanks, nothing but ASCII."""
_USUAL_OPEN: Final = re.compile(
    b'<stream:stream from="%b" to="%b" (?:id="%b" )?version="1\\.0" xml:lang="en" xmlns="%b" xmlns:stream="%b"  >'
    % (_PLAIN, _PLAIN, _PLAIN, _PLAIN, re.escape(STREAM_NAMESPACE.encode()))
)
"""As all known ends write it (1.2): what it says can be read without an XML parser."""
_XMLNS: Final = re.compile(rb"(\"[^\"]*\"|'[^']*')|\bxmlns(?=\s*=)")
_SUBCLUSTER: Final = "subcluster"


class StreamError(Exception):
    """A stream open or TLS stanza that closes the connection; also an open of our own that does not fit."""


class StreamOpen(NamedTuple):
    """What a stream open says. `default_namespace` carries an agent's subcluster name, `jabber:client` in a reply."""

    from_: str
    to: str
    id: str = ""
    default_namespace: str = ""


def open_bytes(name: str, to: str, subcluster: str = "") -> bytes:
    """A client's open. Raises StreamError when it is longer than 1024 bytes."""
    return _open(name, to, "", subcluster)


def reply_bytes(hostname: str, to: str) -> bytes:
    """A server's reply: `to` is the `from` it received. Raises StreamError when it is longer than 1024 bytes."""
    return _open(hostname, to, f'id="{STREAM_ID}" ', "jabber:client")


def _open(name: str, to: str, ident: str, default_namespace: str) -> bytes:
    text = (
        f'<stream:stream from="{escape(name)}" to="{escape(to)}" {ident}version="1.0" xml:lang="en" '
        f'xmlns="{escape(default_namespace)}" xmlns:stream="{STREAM_NAMESPACE}"  >'
    ).encode()
    if len(text) > MAX_OPEN:
        raise StreamError(f"stream open of {len(text)} bytes, more than {MAX_OPEN}")
    return text


def read_open(frame: bytes, strict: bool = True) -> StreamOpen:
    """Read an open or a reply. Raises StreamError.

    It must begin with `<stream:stream`, or with a declaration in double quotes: a real receiver closes on all else.
    Not `strict`, any XML declaration will do.
    """
    usual = _USUAL_OPEN.fullmatch(frame)
    if usual is not None:
        return StreamOpen(*(group.decode() for group in usual.groups(b"")))
    declaration = (_DECLARATION if strict else _ANY_DECLARATION).match(frame)
    text = frame[declaration.end() :] if declaration else frame
    if not text.startswith(b"<stream:stream"):
        raise StreamError(f"stream open begins {frame[:60]!r}")
    try:
        root = document(_plain_namespace(text).rstrip()[:-1] + b"/>")
    except StanzaError as error:
        raise StreamError(f"stream open: {error}") from None
    return StreamOpen(root.get("from", ""), root.get("to", ""), root.get("id", ""), root.get(_SUBCLUSTER, ""))


def _plain_namespace(text: bytes) -> bytes:
    """The default namespace as an attribute of another name: a subcluster name need not be a URI."""
    return _XMLNS.sub(lambda match: match[1] or _SUBCLUSTER.encode(), text)


def check_features(frame: bytes) -> None:
    """Raises StreamError unless the features require TLS, in the exact texts a real client looks for (1.4)."""
    for text in (b"<stream:features>", b"<starttls", b"<required", TLS_NAMESPACE.encode()):
        if text not in frame:
            raise StreamError(f"stream features without {text.decode()}")


def check_tls(frame: bytes) -> None:
    """Raises StreamError unless a `starttls` or `proceed` names the TLS namespace."""
    if TLS_NAMESPACE.encode() not in frame:
        raise StreamError("TLS stanza without its namespace")

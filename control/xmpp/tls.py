"""StartTLS contexts from certificate files (reference/xmpp.md 1.4)."""

from pathlib import Path
from typing import Final, NamedTuple

from OpenSSL import SSL
from twisted.internet.interfaces import IOpenSSLClientConnectionCreator, IOpenSSLServerConnectionCreator
from zope.interface import implementer

_OPTIONS: Final = SSL.OP_NO_COMPRESSION | SSL.OP_NO_RENEGOTIATION


class TlsSettings(NamedTuple):
    """Paths of PEM files: `xmpp_server_cert`, `xmpp_server_key`, `xmpp_ca_cert`; no `ca`: the peer is not verified."""

    certificate: str
    key: str
    ca: str = ""


class TlsError(Exception):
    """A certificate, key or CA file cannot be used; the text names it."""


@implementer(IOpenSSLServerConnectionCreator, IOpenSSLClientConnectionCreator)
class TlsContext:
    """What `ITLSTransport.startTLS` wants: one context for all connections, its files read once."""

    def __init__(self, settings: TlsSettings, server: bool) -> None:
        self._context = _context(settings, server)

    def serverConnectionForTLS(self, protocol: object) -> SSL.Connection:  # noqa: N802 - Twisted's name
        """See IOpenSSLServerConnectionCreator."""
        return SSL.Connection(self._context, None)

    def clientConnectionForTLS(self, protocol: object) -> SSL.Connection:  # noqa: N802 - Twisted's name
        """See IOpenSSLClientConnectionCreator."""
        return SSL.Connection(self._context, None)


def _context(settings: TlsSettings, server: bool) -> SSL.Context:
    context = SSL.Context(SSL.TLS_METHOD)
    context.set_options(_OPTIONS)
    context.set_min_proto_version(SSL.TLS1_2_VERSION)
    files = [path for path in settings if path]
    try:
        for path in files:
            Path(path).open("rb").close()  # OpenSSL says of a file it cannot read no more than "system lib"
        if server:
            context.use_certificate_file(settings.certificate)
        else:
            context.use_certificate_chain_file(settings.certificate)
        context.use_privatekey_file(settings.key)
        context.check_privatekey()
        if settings.ca:
            context.load_verify_locations(settings.ca)
    except OSError as error:
        raise TlsError(f"cannot use the TLS files {', '.join(files)}: {error.filename}: {error.strerror}") from None
    except SSL.Error as error:
        raise TlsError(f"cannot use the TLS files {', '.join(files)}: {_text(error)}") from None
    # A server asks for a certificate and checks what is given; a client without one passes. No host name is checked.
    context.set_verify(SSL.VERIFY_PEER if settings.ca else SSL.VERIFY_NONE, _verdict)
    return context


def _verdict(connection: SSL.Connection, certificate: object, error: int, depth: int, ok: int) -> bool:
    return bool(ok)


def _text(error: SSL.Error) -> str:
    parts = error.args[0] if error.args else []
    return "; ".join(str(part[-1]) for part in parts if part and part[-1]) or "not PEM"

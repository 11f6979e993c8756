"""TLS towards Cassandra, RabbitMQ and ZooKeeper, with certificates from files.

As the real daemons do: with a CA file the server's chain is checked against it, without one it is not; no host name is
checked, because servers are listed by address. TLS 1.2 or newer, whatever an older file asks for.
"""

import ssl
from dataclasses import dataclass

from OpenSSL import SSL
from twisted.internet.interfaces import IOpenSSLClientConnectionCreator
from zope.interface import implementer


class TlsError(Exception):
    """A CA, certificate or key file cannot be used; the text names it."""


@dataclass(frozen=True, slots=True)
class TlsFiles:
    """Paths of PEM files, empty for none: who is trusted, and what the client shows when the server asks."""

    ca: str = ""
    certificate: str = ""
    key: str = ""

    def context(self) -> ssl.SSLContext:
        """For client libraries on Python's ssl. Raises TlsError."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        context.check_hostname = False
        context.verify_mode = ssl.CERT_REQUIRED if self.ca else ssl.CERT_NONE
        try:
            if self.ca:
                context.load_verify_locations(self.ca)
            if self.certificate:
                context.load_cert_chain(self.certificate, self.key or None)
        except (OSError, ssl.SSLError) as error:
            raise TlsError(f"cannot use the TLS files {self}: {error.strerror or error}") from None
        return context

    def __str__(self) -> str:
        return ", ".join(path for path in (self.ca, self.certificate, self.key) if path)


@implementer(IOpenSSLClientConnectionCreator)
class TwistedTls:
    """What Twisted's `wrapClientTLS` wants: one context for all connections, its files read once."""

    def __init__(self, files: TlsFiles) -> None:
        """Raises TlsError."""
        context = SSL.Context(SSL.TLS_METHOD)
        context.set_options(SSL.OP_NO_COMPRESSION | SSL.OP_NO_RENEGOTIATION)
        context.set_min_proto_version(SSL.TLS1_2_VERSION)
        files.context()  # the same files, with errors that say more than OpenSSL's
        try:
            if files.ca:
                context.load_verify_locations(files.ca)
            if files.certificate:
                context.use_certificate_chain_file(files.certificate)
                context.use_privatekey_file(files.key or files.certificate)
        except SSL.Error:
            raise TlsError(f"cannot use the TLS files {files}") from None
        context.set_verify(SSL.VERIFY_PEER if files.ca else SSL.VERIFY_NONE)
        self._context = context

    def clientConnectionForTLS(self, protocol: object) -> SSL.Connection:  # noqa: N802 - Twisted's name
        """See IOpenSSLClientConnectionCreator."""
        return SSL.Connection(self._context, None)

"""Certificates for tests of StartTLS, made anew."""

from __future__ import annotations

import datetime
from pathlib import Path
from typing import NamedTuple

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from contrail_emulator.control.xmpp import TlsSettings


class Files(NamedTuple):
    """`good`: a certificate and the authority that signed it; `self_signed`: one that this authority did not sign."""

    good: TlsSettings
    other_ca: str
    self_signed: TlsSettings


def make_files(folder: Path) -> Files:
    """Written into `folder`."""
    ca, ca_key = _certificate("an authority")
    other, other_key = _certificate("another authority")
    node, node_key = _certificate("a node", ca, ca_key)
    good = TlsSettings(
        _write(folder, "node.pem", node), _write_key(folder, "node.key", node_key), _write(folder, "ca.pem", ca)
    )
    bad = TlsSettings(_write(folder, "bad.pem", other), _write_key(folder, "bad.key", other_key), good.ca)
    return Files(good, bad.certificate, bad)


def _certificate(
    name: str, issuer: x509.Certificate | None = None, issuer_key: ec.EllipticCurvePrivateKey | None = None
) -> tuple[x509.Certificate, ec.EllipticCurvePrivateKey]:
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    start = datetime.datetime.now(datetime.UTC) - datetime.timedelta(days=1)
    builder = x509.CertificateBuilder().subject_name(subject).public_key(key.public_key())
    builder = builder.issuer_name(subject if issuer is None else issuer.subject)
    builder = builder.serial_number(x509.random_serial_number())
    builder = builder.not_valid_before(start).not_valid_after(start + datetime.timedelta(days=10))
    builder = builder.add_extension(x509.BasicConstraints(ca=issuer is None, path_length=None), critical=True)
    return builder.sign(issuer_key or key, hashes.SHA256()), key


def _write(folder: Path, name: str, certificate: x509.Certificate) -> str:
    path = folder / name
    path.write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
    return str(path)


def _write_key(folder: Path, name: str, key: ec.EllipticCurvePrivateKey) -> str:
    path = folder / name
    form, none = serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    path.write_bytes(key.private_bytes(serialization.Encoding.PEM, form, none))
    return str(path)

"""HTTPS: a server context over a given certificate, or over one made here.

A certificate made here is signed by a certificate authority made for it alone, whose key is thrown away at once:
clients are given the authority's certificate and trust nothing else by it. This module does not know HTTP.
"""

from __future__ import annotations

import ipaddress
import os
import ssl
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from reference_server.errors import StartError

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from cryptography import x509

VALID_DAYS = 397
RENEW_DAYS = 30


def server_context(certificate: Path, key: Path) -> ssl.SSLContext:
    """TLS 1.2 or newer over a certificate chain and its key, both in PEM."""
    for path, what in ((certificate, "--tls-certificate"), (key, "--tls-key")):
        if not path.is_file():
            raise StartError(f"{what} {path} is not a file.")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    try:
        context.load_cert_chain(certificate, key, password=_no_password)
    except (OSError, ValueError) as error:
        raise StartError(f"{certificate} and {key} are not a PEM certificate and its key: {error}.") from error
    return context


def _no_password() -> str:
    raise ValueError("the key is locked with a password; give one that is not")


def made_here(folder: Path, hosts: Sequence[str], now: datetime | None = None) -> tuple[Path, Path, Path]:
    """The paths of certificate, key and certificate authority in a folder, made if they are not there, or will not do.

    :returns: certificate chain, private key (mode 0600), and the authority's certificate for clients, all in PEM.
    """
    moment = now or datetime.now(UTC)
    paths = folder / "certificate.pem", folder / "key.pem", folder / "ca.pem"
    if not _will_do(paths, hosts, moment):
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        for path, octets in zip(paths, _make(hosts, moment), strict=True):
            descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
            with os.fdopen(descriptor, "wb") as file:
                file.write(octets)
    return paths


def _will_do(paths: Sequence[Path], hosts: Sequence[str], now: datetime) -> bool:
    """Whether the certificate is whole, is for these hosts, and will be valid for a while."""
    from cryptography import x509

    try:
        certificate = x509.load_pem_x509_certificate(paths[0].read_bytes())
        names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
        ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER).load_cert_chain(paths[0], paths[1])
        authority = x509.load_pem_x509_certificate(paths[2].read_bytes())
    except (OSError, ValueError, x509.ExtensionNotFound):
        return False
    fresh = certificate.not_valid_after_utc - now > timedelta(days=RENEW_DAYS)
    return fresh and certificate.issuer == authority.subject and set(names) == set(_names(hosts))


def _names(hosts: Sequence[str]) -> list[x509.GeneralName]:
    """Hosts as a certificate names them; a bucket stands before a host name, hence the wildcards."""
    from cryptography import x509

    names: list[x509.GeneralName] = []
    for host in dict.fromkeys((*hosts, "localhost", "127.0.0.1")):
        try:
            names.append(x509.IPAddress(ipaddress.ip_address(host.strip("[]"))))
        except ValueError:
            names += [x509.DNSName(host), x509.DNSName(f"*.{host}")]
    return names


def _make(hosts: Sequence[str], now: datetime) -> tuple[bytes, bytes, bytes]:
    """Certificate chain, key and authority."""
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec
    from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

    authority_key, key = ec.generate_private_key(ec.SECP256R1()), ec.generate_private_key(ec.SECP256R1())
    serial = x509.random_serial_number()
    issuer = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, f"obs-reference-server {serial:x}")])

    def builder(subject: x509.Name, public_key: ec.EllipticCurvePublicKey) -> x509.CertificateBuilder:
        return (
            x509.CertificateBuilder()
            .subject_name(subject)
            .issuer_name(issuer)
            .public_key(public_key)
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - timedelta(days=1))
            .not_valid_after(now + timedelta(days=VALID_DAYS))
            .add_extension(x509.SubjectKeyIdentifier.from_public_key(public_key), critical=False)
            .add_extension(
                x509.AuthorityKeyIdentifier.from_issuer_public_key(authority_key.public_key()), critical=False
            )
        )

    authority = (
        builder(issuer, authority_key.public_key())
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(_usage(signs_certificates=True), critical=True)
        .sign(authority_key, hashes.SHA256())
    )
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "obs-reference-server")])
    certificate = (
        builder(subject, key.public_key())
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(_usage(signs_certificates=False), critical=True)
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
        .add_extension(x509.SubjectAlternativeName(_names(hosts)), critical=False)
        .sign(authority_key, hashes.SHA256())
    )
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    pem = [entry.public_bytes(serialization.Encoding.PEM) for entry in (certificate, authority)]
    return b"".join(pem), private, pem[1]


def _usage(*, signs_certificates: bool) -> x509.KeyUsage:
    from cryptography import x509

    return x509.KeyUsage(
        digital_signature=not signs_certificates,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=signs_certificates,
        crl_sign=signs_certificates,
        encipher_only=False,
        decipher_only=False,
    )

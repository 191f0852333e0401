"""The sandbox's own certificate authority, since clients speak TLS to web.whatsapp.com.

The authority, the server's certificate and the bundle live in one folder and are made anew only
when missing or about to expire, so that a client's bundle outlives restarts. The bundle holds the
system's roots as well: Go reads a single file (SSL_CERT_FILE) instead of its usual ones.
"""

from __future__ import annotations

import ipaddress
import os
import ssl
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path

import structlog
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_pem_private_key,
)
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

log = structlog.get_logger(__name__)

#: what a client of the sandbox may call it: the websocket, the media hosts, loopback
HOSTS = (
    "web.whatsapp.com",
    "whatsapp.net",
    "*.whatsapp.net",
    "*.cdn.whatsapp.net",
    "*.whatsapp.com",
    "localhost",
    "127.0.0.1",
    "::1",
)
_VALID = timedelta(days=365)
_RENEW_BEFORE = timedelta(days=30)
#: where Go looks for the system's roots (crypto/x509/root_linux.go), and macOS' OpenSSL file
_SYSTEM_ROOTS = (
    "/etc/ssl/certs/ca-certificates.crt",
    "/etc/pki/tls/certs/ca-bundle.crt",
    "/etc/ssl/ca-bundle.pem",
    "/etc/pki/tls/cacert.pem",
    "/etc/pki/ca-trust/extracted/pem/tls-ca-bundle.pem",
    "/etc/ssl/cert.pem",
)


@dataclass(frozen=True, slots=True, kw_only=True)
class TlsFiles:
    """Where the PEM files are."""

    #: the authority's certificate
    authority: Path
    #: the server's certificate
    certificate: Path
    #: the server's private key, readable by its owner only
    key: Path
    #: the system's roots and the authority: for SSL_CERT_FILE of clients
    bundle: Path

    def server_context(self) -> ssl.SSLContext:
        """The context a TLS server listens with."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        context.load_cert_chain(self.certificate, self.key)
        return context


def prepare(folder: Path, *, now: datetime, hosts: Sequence[str] = ()) -> TlsFiles:
    """Make what is missing or expires soon in `folder` (created), and say where it all is.

    `now` is aware; `hosts`: what clients may call it besides `HOSTS`. Raises OSError when the
    folder cannot be written.
    """
    folder.mkdir(parents=True, exist_ok=True)
    files = TlsFiles(
        authority=folder / "ca.pem",
        certificate=folder / "server.pem",
        key=folder / "server.key",
        bundle=folder / "bundle.pem",
    )
    names = _names((*HOSTS, *hosts))
    if not _still_good(files, now, names):
        _issue(files, now, names)
    _write(files.bundle, _system_roots(files.bundle) + files.authority.read_bytes())
    return files


def _still_good(files: TlsFiles, now: datetime, hosts: Sequence[x509.GeneralName]) -> bool:
    try:
        certificates = [
            x509.load_pem_x509_certificate(path.read_bytes())
            for path in (files.authority, files.certificate)
        ]
        key = load_pem_private_key(files.key.read_bytes(), None)
        certificates[1].verify_directly_issued_by(certificates[0])
        names = certificates[1].extensions.get_extension_for_class(x509.SubjectAlternativeName)
    except FileNotFoundError:
        return False
    except Exception as error:  # noqa: BLE001 - whatever is wrong with the files, new ones cure it
        log.warning("sandbox.tls.files_unusable", folder=str(files.key.parent), error=repr(error))
        return False
    return (
        key.public_key() == certificates[1].public_key()
        and set(names.value) == set(hosts)
        and all(
            certificate.not_valid_before_utc <= now
            and now + _RENEW_BEFORE < certificate.not_valid_after_utc
            for certificate in certificates
        )
    )


def _issue(files: TlsFiles, now: datetime, hosts: Sequence[x509.GeneralName]) -> None:
    authority_key = ec.generate_private_key(ec.SECP256R1())
    authority = _certificate(
        "WhatsApp sandbox CA", authority_key, issuer=None, issuer_key=authority_key, now=now
    )
    key = ec.generate_private_key(ec.SECP256R1())
    certificate = _certificate(
        "web.whatsapp.com", key, issuer=authority, issuer_key=authority_key, now=now, hosts=hosts
    )
    private = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    _write(files.key, private, mode=0o600)
    _write(files.certificate, certificate.public_bytes(Encoding.PEM))
    _write(files.authority, authority.public_bytes(Encoding.PEM))


def _certificate(
    name: str,
    key: ec.EllipticCurvePrivateKey,
    *,
    issuer: x509.Certificate | None,
    issuer_key: ec.EllipticCurvePrivateKey,
    now: datetime,
    hosts: Sequence[x509.GeneralName] = (),
) -> x509.Certificate:
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    is_authority = issuer is None
    identifier = x509.SubjectKeyIdentifier.from_public_key(issuer_key.public_key())
    builder = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer.subject if issuer else subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + _VALID)
        .add_extension(x509.BasicConstraints(is_authority, 0 if is_authority else None), True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), False)
        .add_extension(
            x509.AuthorityKeyIdentifier.from_issuer_subject_key_identifier(identifier), False
        )
        .add_extension(
            x509.KeyUsage(
                digital_signature=True,
                key_cert_sign=is_authority,
                crl_sign=is_authority,
                content_commitment=False,
                key_encipherment=False,
                data_encipherment=False,
                key_agreement=False,
                encipher_only=False,
                decipher_only=False,
            ),
            True,
        )
    )
    if not is_authority:
        builder = builder.add_extension(x509.SubjectAlternativeName(hosts), False)
        builder = builder.add_extension(
            x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), False
        )
    return builder.sign(issuer_key, hashes.SHA256())


def _names(hosts: Sequence[str]) -> list[x509.GeneralName]:
    names: list[x509.GeneralName] = []
    for host in hosts:
        try:
            names.append(x509.IPAddress(ipaddress.ip_address(host)))
        except ValueError:
            names.append(x509.DNSName(host))
    return names


def _system_roots(bundle: Path) -> bytes:
    """The roots this system trusts; SSL_CERT_FILE goes first unless it is our own bundle."""
    named = os.environ.get("SSL_CERT_FILE")
    for path in map(Path, (*([named] if named else []), *_SYSTEM_ROOTS)):
        if path.is_file() and path.resolve() != bundle.resolve():
            return path.read_bytes().rstrip() + b"\n"
    log.warning("sandbox.tls.no_system_roots", tried=list(_SYSTEM_ROOTS))
    return b""


def _write(path: Path, data: bytes, *, mode: int = 0o644) -> None:
    """Replace a file whole, so that no reader finds half of it; `mode` from the first byte."""
    temporary = path.with_suffix(path.suffix + ".new")
    temporary.unlink(missing_ok=True)
    with os.fdopen(os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode), "wb") as file:
        file.write(data)
    temporary.replace(path)

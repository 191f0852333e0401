"""The Noise certificate chain: why a client believes the server's static key.

Two certificates, signed with XEdDSA: the root signs the intermediate, the intermediate the leaf,
whose key is the server's static one. `verify_chain` makes exactly the checks of whatsmeow's
handshake.go (verifyServerCert), so what passes here passes there.
"""

from __future__ import annotations

import hmac
from datetime import datetime, timedelta

from sandbox.crypto.keys import KeyPair, verify
from sandbox.crypto.protobuf import DecodeError, wa

#: issuer serial of an intermediate certificate (whatsmeow: WACertIssuerSerial)
ROOT_SERIAL = 0
_INTERMEDIATE_SERIAL = 1
_LEAF_SERIAL = 2


class CertificateError(ValueError):
    """The chain does not prove the server's key."""


def issue_chain(
    root: KeyPair,
    static_public: bytes,
    *,
    now: datetime,
    valid: timedelta = timedelta(days=365),
    leeway: timedelta = timedelta(days=1),
) -> bytes:
    """A serialised `CertChain` for the server's static key (32 bytes).

    Valid from `leeway` before `now`, for clients whose clock is behind, until `valid` after it.
    """
    intermediate = KeyPair.generate()

    def certificate(serial: int, issuer: int, key: bytes, signer: KeyPair) -> wa.CertChain:
        details = wa.CertChain.NoiseCertificate.Details(
            serial=serial,
            issuerSerial=issuer,
            key=key,
            notBefore=int((now - leeway).timestamp()),
            notAfter=int((now + valid).timestamp()),
        ).SerializeToString()
        return wa.CertChain.NoiseCertificate(details=details, signature=signer.sign(details))

    chain = wa.CertChain(
        intermediate=certificate(_INTERMEDIATE_SERIAL, ROOT_SERIAL, intermediate.public, root),
        leaf=certificate(_LEAF_SERIAL, _INTERMEDIATE_SERIAL, static_public, intermediate),
    )
    return bytes(chain.SerializeToString())


def verify_chain(chain: bytes, static_public: bytes, root_public: bytes, *, now: datetime) -> None:
    """Check that the chain leads from the root key to the static key and is in its time.

    Raises:
        CertificateError: it does not; the message says which check failed.
    """
    try:
        parsed = wa.CertChain.FromString(chain)
        intermediate = wa.CertChain.NoiseCertificate.Details.FromString(parsed.intermediate.details)
        leaf = wa.CertChain.NoiseCertificate.Details.FromString(parsed.leaf.details)
    except DecodeError as error:
        raise CertificateError("not a certificate chain") from error
    if not verify(root_public, parsed.intermediate.details, parsed.intermediate.signature):
        raise CertificateError("the intermediate is not signed by the root")
    if intermediate.issuerSerial != ROOT_SERIAL:
        raise CertificateError("the intermediate names another issuer")
    if not verify(intermediate.key, parsed.leaf.details, parsed.leaf.signature):
        raise CertificateError("the leaf is not signed by the intermediate")
    if leaf.issuerSerial != intermediate.serial:
        raise CertificateError("the leaf names another issuer")
    if not hmac.compare_digest(leaf.key, static_public):
        raise CertificateError("the leaf is for another key")
    for name, details in (("intermediate", intermediate), ("leaf", leaf)):
        if not details.notBefore <= now.timestamp() <= details.notAfter:
            raise CertificateError(f"the {name} is not valid at this time")

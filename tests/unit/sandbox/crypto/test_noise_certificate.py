"""The chain convinces whoever trusts the root, and nobody else."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from sandbox.crypto.certificate import CertificateError, issue_chain, verify_chain
from sandbox.crypto.keys import KeyPair
from sandbox.crypto.protobuf import wa

NOW = datetime(2026, 1, 2, tzinfo=UTC)
ROOT, STATIC = KeyPair.generate(), KeyPair.generate()
CHAIN = issue_chain(ROOT, STATIC.public, now=NOW)


@pytest.mark.parametrize("days", [-0.9, 0, 364])
def test_a_chain_proves_the_static_key(days: float) -> None:
    verify_chain(CHAIN, STATIC.public, ROOT.public, now=NOW + timedelta(days=days))


@pytest.mark.parametrize("days", [-2, 366])
def test_a_chain_is_refused_outside_its_time(days: int) -> None:
    with pytest.raises(CertificateError, match="not valid"):
        verify_chain(CHAIN, STATIC.public, ROOT.public, now=NOW + timedelta(days=days))


def test_another_root_or_key_is_refused() -> None:
    other = KeyPair.generate().public
    with pytest.raises(CertificateError, match="root"):
        verify_chain(CHAIN, STATIC.public, other, now=NOW)
    with pytest.raises(CertificateError, match="another key"):
        verify_chain(CHAIN, other, ROOT.public, now=NOW)


def test_a_leaf_of_another_intermediate_is_refused() -> None:
    mixed = wa.CertChain.FromString(CHAIN)
    mixed.leaf.CopyFrom(wa.CertChain.FromString(issue_chain(ROOT, STATIC.public, now=NOW)).leaf)
    with pytest.raises(CertificateError, match="intermediate"):
        verify_chain(mixed.SerializeToString(), STATIC.public, ROOT.public, now=NOW)


@pytest.mark.parametrize(
    "chain", [b"", b"\xff", CHAIN[:-1]], ids=["empty", "no message", "cut off"]
)
def test_a_broken_chain_is_refused(chain: bytes) -> None:
    with pytest.raises(CertificateError):
        verify_chain(chain, STATIC.public, ROOT.public, now=NOW)

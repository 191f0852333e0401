"""The token that lets into a Ray cluster. Whoever is let in runs code on its nodes."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from cluster.domain.errors import Invalid

__all__ = ["cluster_token"]

#: In hex, half of Ray's own; whoever guesses runs code.
_SHORTEST = 32


def cluster_token(environment: Mapping[str, str]) -> str:
    """The token by the variables that Ray reads, in its order. Raises `Invalid` where there is
    none, or it is not asked for: then everybody who reaches Ray's ports is let in."""
    if environment.get("RAY_AUTH_MODE") != "token":
        raise Invalid("RAY_AUTH_MODE is not `token`: whoever reaches Ray's ports runs code there")
    token = environment.get("RAY_AUTH_TOKEN", "")
    path = environment.get("RAY_AUTH_TOKEN_PATH", "")
    if not token and path:
        try:
            token = Path(path).read_text()
        except OSError as error:
            raise Invalid(f"RAY_AUTH_TOKEN_PATH: {error.strerror}: {path}") from error
    if len(token.strip()) < _SHORTEST:
        raise Invalid("no token of 32 characters: RAY_AUTH_TOKEN=$(openssl rand -hex 32)")
    return token.strip()

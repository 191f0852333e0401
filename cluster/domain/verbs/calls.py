"""Incoming calls."""

from __future__ import annotations

from dataclasses import dataclass

from cluster.domain.verbs.verb import Verb

__all__ = ["Reject"]


@dataclass(frozen=True, kw_only=True)
class Reject(Verb[None], name="calls.reject"):
    """A linked device can turn a call down, and nothing else."""

    #: The JID in the call's event.
    caller: str
    call_id: str

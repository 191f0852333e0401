"""Received attachments."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from cluster.domain.verbs.verb import Verb

__all__ = ["Keep"]


@dataclass(frozen=True, kw_only=True)
class Keep(Verb[int], name="media.keep"):
    """Bring the attachment of a received message into the object store, as `key`; its size in
    bytes. See `actors.media.downloads.keep`."""

    #: The part of the protobuf, as JSON.
    part: dict[str, Any]
    #: `image`, `video` …
    kind: str
    key: str
    max_bytes: int

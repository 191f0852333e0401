"""Pictures of the account and of its groups, as verbs get them."""

from __future__ import annotations

import base64

from actors.whatsapp.library.no_picture import pictures_can_be_removed
from cluster.domain.errors import NotSupported

__all__ = ["image"]


def image(jpeg: str) -> bytes:
    """`jpeg`: base64; empty removes the picture. Raises `NotSupported` where that cannot be."""
    if not jpeg and not pictures_can_be_removed():
        raise NotSupported("this build of the library cannot remove pictures")
    return base64.b64decode(jpeg)

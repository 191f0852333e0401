"""How large the body of a request to a path may be: those that bring files have bounds of their
own."""

from __future__ import annotations

import re
from collections.abc import Callable

from cluster.settings import MediaSettings

__all__ = ["limit_by_path"]

_INLINE = re.compile(
    r"/api/(send(Image|File|Voice|Video|Sticker|Buttons)"
    r"|send/link-custom-preview"
    r"|sessions/import"
    r"|[^/]+/status/(image|voice|video)"
    r"|[^/]+/media/convert/(voice|video)"
    r"|[^/]+/profile/picture"
    r"|[^/]+/groups/[^/]+/picture"
    r"|[^/]+/channels)\Z"
)
_UPLOAD = re.compile(r"/api/[^/]+/media/upload\Z")


def limit_by_path(usual: int, media: MediaSettings) -> Callable[[str], int]:
    """Bytes by path; `usual` for those that bring no file."""

    def limit(path: str) -> int:
        if _UPLOAD.match(path):
            return media.max_bytes
        return max(usual, media.inline_max_bytes) if _INLINE.match(path) else usual

    return limit

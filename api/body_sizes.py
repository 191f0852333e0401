"""How large the body of a request to a path may be: those that bring files have bounds of their
own."""

from __future__ import annotations

import re
from collections.abc import Callable

from cluster.settings import MediaSettings

__all__ = ["limit_by_path", "takes_file"]

_INLINE = re.compile(
    r"/api/(send(Image|File|Voice|Video|Sticker|Buttons)"
    r"|send/link-custom-preview"
    r"|sessions/import"
    r"|[^/]+/status/(image|voice|video)"
    r"|[^/]+/media/convert/(voice|video)"
    r"|[^/]+/profile/picture"
    r"|[^/]+/groups/[^/]+/picture"
    r"|[^/]+/channels"
    r"|sandbox/phones/[^/]+/messages)\Z"
)
_UPLOAD = re.compile(r"/api/[^/]+/media/upload\Z")


#: Bytes of a form beside its file.
_FIELDS = 1 << 20


def takes_file(path: str) -> bool:
    """Whether a request to this path may hold a file, as base64 or in a form."""
    return _INLINE.match(path) is not None


def limit_by_path(usual: int, media: MediaSettings) -> Callable[[str, str], int]:
    """Bytes by path and content type; `usual` for those that bring no file."""

    def limit(path: str, content_type: str) -> int:
        if _UPLOAD.match(path):
            return media.max_bytes
        if not takes_file(path):
            return usual
        kind = content_type.partition(";")[0].strip().lower()
        if kind.startswith("multipart/"):
            return media.max_bytes + _FIELDS
        if kind == "application/x-www-form-urlencoded":
            # Read as a whole: a file in it is a URL, or a small one.
            return usual
        return max(usual, media.inline_max_bytes)

    return limit

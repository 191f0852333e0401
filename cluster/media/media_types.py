"""Media types that strangers wrote, before they become a header of ours."""

from __future__ import annotations

import re

__all__ = ["is_shown", "safe_media_type"]

_WORD = r"[A-Za-z0-9!#$&^_.+-]{1,127}"
#: RFC 9110, 8.3.1; parameters without quoting.
_FORM = re.compile(rf"{_WORD}/{_WORD}(\s*;\s*{_WORD}={_WORD})*\Z")


#: Types that a browser shows without running anything of theirs. Each by its whole name: what
#: only begins like one (`image/png+xml`) is another.
_SHOWN = frozenset(
    f"{kind}/{name}"
    for kind, names in {
        "image": ("jpeg", "png", "webp", "gif"),
        "audio": ("aac", "amr", "flac", "mp4", "mpeg", "ogg", "opus", "wav", "webm", "x-m4a"),
        "video": ("3gpp", "mp4", "mpeg", "ogg", "quicktime", "webm"),
    }.items()
    for name in names
)


def is_shown(mimetype: str) -> bool:
    """Whether a browser may show a file of this type in the place of a page."""
    return mimetype.partition(";")[0].strip().lower() in _SHOWN


def safe_media_type(text: str) -> str:
    """`text` if it is a media type, else the one that says nothing."""
    return text if _FORM.match(text) else "application/octet-stream"

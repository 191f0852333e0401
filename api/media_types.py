"""Media types that strangers wrote: those of files, and those that they accept."""

from __future__ import annotations

import re

__all__ = ["prefers_json", "safe_media_type"]

_WORD = r"[A-Za-z0-9!#$&^_.+-]{1,127}"
#: RFC 9110, 8.3.1; parameters without quoting.
_FORM = re.compile(rf"{_WORD}/{_WORD}(\s*;\s*{_WORD}={_WORD})*\Z")


def safe_media_type(text: str) -> str:
    """`text` if it is a media type, else the one that says nothing."""
    return text if _FORM.match(text) else "application/octet-stream"


def prefers_json(accept: str, over: str) -> bool:
    """As WAHA's interceptor: JSON when it is named, unless a type that begins with `over` is named
    before it."""
    kinds = [part.partition(";")[0].strip().lower() for part in accept.split(",")]
    named = [k for k in kinds if k == "application/json" or k.startswith(over)]
    return bool(named) and named[0] == "application/json"

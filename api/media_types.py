"""Media types that strangers wrote, before they become a header of ours."""

from __future__ import annotations

import re

__all__ = ["safe_media_type"]

_WORD = r"[A-Za-z0-9!#$&^_.+-]{1,127}"
#: RFC 9110, 8.3.1; parameters without quoting.
_FORM = re.compile(rf"{_WORD}/{_WORD}(\s*;\s*{_WORD}={_WORD})*\Z")


def safe_media_type(text: str) -> str:
    """`text` if it is a media type, else the one that says nothing."""
    return text if _FORM.match(text) else "application/octet-stream"

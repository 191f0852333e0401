"""`Range` headers (RFC 9110, 14.2): one range of bytes; everything else gets the whole file."""

from __future__ import annotations

import re

__all__ = ["read_range"]

_FORM = re.compile(r"bytes=(\d{0,15})-(\d{0,15})\Z")


def read_range(header: str, size: int) -> tuple[int, int] | None:
    """(offset, length), or None when the whole file is to be served."""
    found = _FORM.match(header.replace(" ", ""))
    if found is None or size == 0 or not (found[1] or found[2]):
        return None
    if not found[1]:
        length = min(int(found[2]), size)
        return (size - length, length) if length else None
    first = int(found[1])
    last = min(int(found[2]), size - 1) if found[2] else size - 1
    return (first, last - first + 1) if first <= last else None

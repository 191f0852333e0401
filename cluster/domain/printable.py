"""Texts as every store can hold them."""

from __future__ import annotations

import re

__all__ = ["printable"]

_SURROGATES = re.compile("[\ud800-\udfff]")


def printable(text: str | bytes) -> str:
    """`text` as PostgreSQL can hold it: no NUL, no half of a surrogate pair. Bytes, which is what
    protobuf gives for texts that are no UTF-8, with replacements for what they do not spell."""
    if isinstance(text, bytes):
        text = text.decode("utf-8", "replace")
    if not text.isascii():
        text = _SURROGATES.sub("\ufffd", text)
    return text.replace("\x00", "\ufffd")

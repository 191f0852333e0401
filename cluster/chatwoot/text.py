"""Chatwoot shows Markdown, WhatsApp has its own marks."""

from __future__ import annotations

import re
from collections.abc import Callable

__all__ = ["to_markdown", "to_whatsapp"]

#: What stays as it is: code in either form, and links.
_KEPT = re.compile(r"(```.*?```|`[^`\n]*`|https?://\S+)", re.S)
_BOLD_HERE = re.compile(r"(?<![\w*])\*(?=\S)([^*\n]*?\S)\*(?![\w*])")
_STRUCK_HERE = re.compile(r"(?<![\w~])~(?=\S)([^~\n]*?\S)~(?![\w~])")
_BOLD_THERE = re.compile(r"\*\*(?=\S)((?:(?!\*\*)[^\n])*?\S)\*\*(?!\*)")
_ITALIC_THERE = re.compile(r"(?<![\w*])\*(?=\S)([^*\n]*?\S)\*(?![\w*])")
_STRUCK_THERE = re.compile(r"~~(?=\S)([^~\n]*?\S)~~")
_LINK_THERE = re.compile(r"\[([^\]\n]{1,500})\]\((https?://[^)\s]{1,2000})\)")
#: Longer texts are passed on as they are: marks are not worth the time.
_LONGEST = 20_000


def to_markdown(text: str) -> str:
    """What WhatsApp shows so, Chatwoot does as well."""

    def marked(part: str) -> str:
        return _STRUCK_HERE.sub(r"~~\1~~", _BOLD_HERE.sub(r"**\1**", part))

    return _outside(text, marked)


def to_whatsapp(text: str) -> str:
    """What Chatwoot shows so, WhatsApp does as well."""

    def marked(part: str) -> str:
        # By way of a sign that nobody writes: one star means something else on either side.
        part = _BOLD_THERE.sub("\x01\\1\x01", part)
        part = _ITALIC_THERE.sub(r"_\1_", part)
        return _STRUCK_THERE.sub(r"~\1~", part).replace("\x01", "*")

    if len(text) <= _LONGEST:
        text = _LINK_THERE.sub(lambda m: m[2] if m[1] == m[2] else f"{m[1]} ({m[2]})", text)
    return _outside(text, marked)


def _outside(text: str, change: Callable[[str], str]) -> str:
    if len(text) > _LONGEST:
        return text
    parts = _KEPT.split(text)
    return "".join(part if place % 2 else change(part) for place, part in enumerate(parts))

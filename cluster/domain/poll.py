"""Polls: their options, and which of them a vote's hashes stand for."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from typing import Any

__all__ = ["SELECTED", "VOTE", "chosen", "options_of"]

#: Key of a vote's payload: SHA-256 of each option chosen, hex; missing when it was not decrypted.
VOTE = "vote_hashes"
#: Key of a vote's payload with the chosen options' texts; missing when it was not decrypted.
SELECTED = "selected_options"


def options_of(payload: dict[str, Any]) -> list[str]:
    """The options of a poll, from its payload in the history; none when it is no poll."""
    if content := payload.get("content"):
        return [str(option) for option in content.get("options", ())]
    for name, part in (payload.get("message") or {}).items():
        if name.startswith("pollCreationMessage"):
            return [str(option.get("optionName", "")) for option in part.get("options", ())]
    return []


def chosen(options: Iterable[str], hashes: Sequence[str]) -> list[str]:
    """The options that have these hashes."""
    wanted = set(hashes)
    return [o for o in options if hashlib.sha256(o.encode()).hexdigest() in wanted]

"""Ids of ours for messages that went out under one of the library's own: where `message_id` cannot
choose it. Known for the newest messages of this process; what was sent before is known to WhatsApp
by an id that nobody knows."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Iterable, Iterator
from typing import Any

__all__ = ["WireIds"]

_NEWEST = 20_000
#: Seconds that a receipt of an unknown message waits for sends to return: it may be of one of them.
_PATIENCE = 1.0


class WireIds:
    """Of one client. Ids that are not known stay as they are."""

    def __init__(self, newest: int = _NEWEST) -> None:
        self._newest = newest
        self._wire: dict[str, str] = {}
        self._ours: dict[str, str] = {}
        self._underway = 0
        self._returned = asyncio.Event()

    @contextlib.contextmanager
    def sending(self) -> Iterator[None]:
        """While a send has not reported its id."""
        self._underway += 1
        self._returned.clear()
        try:
            yield
        finally:
            self._underway -= 1
            if not self._underway:
                self._returned.set()

    def sent(self, ours: str, wire: str) -> None:
        """The message `ours` went out as `wire`."""
        if ours == wire:
            return
        self._wire[ours] = wire
        self._ours[wire] = ours
        while len(self._wire) > self._newest:
            self._ours.pop(self._wire.pop(next(iter(self._wire))), None)

    def ours(self, wire: str) -> str:
        return self._ours.get(wire, wire)

    async def all_ours(self, wire: Iterable[str], *, chosen: bool) -> tuple[str, ...]:
        """`chosen`: ids on the wire are ours anyway."""
        wire = tuple(wire)
        if not chosen and self._underway and not self._ours.keys() >= set(wire):
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._returned.wait(), _PATIENCE)
        return tuple(self.ours(one) for one in wire)

    def outgoing(self, content: dict[str, Any]) -> dict[str, Any]:
        """`content` of a send with what it quotes or is about by WhatsApp's ids."""
        named = {
            part: content[part] | {"id": self._wire[content[part]["id"]]}
            for part in ("key", "quoted")
            if isinstance(content.get(part), dict) and content[part].get("id") in self._wire
        }
        return content | named

"""What the sandbox saw of connections: who logged in, and beside whom."""

from __future__ import annotations

import asyncio
import contextlib
from collections import Counter
from typing import Any

import httpx

from chaos.people import Phones

__all__ = ["JournalWatch"]

_POLL_SECONDS = 2.0
_TROUBLES = ("retry asked", "retry unknown", "old counter")
_CONNECTED = ("login", "logout", "message", "receipt")


class JournalWatch:
    """Reads the journal on: it keeps the newest entries only."""

    def __init__(self, phones: Phones) -> None:
        self._phones = phones
        self._last = 0
        self._task: asyncio.Task[None] | None = None
        self._reading = asyncio.Lock()
        #: Logins of each device, and refused ones of each number, since `reset`.
        self.logins: Counter[str] = Counter()
        #: Devices that logged in while an older connection of theirs was there, since `reset`.
        self.doubles: list[str] = []
        #: What phones could not decrypt, since `reset`: evidence where something is missing.
        self.troubles: list[dict[str, Any]] = []
        #: Entries of connections and of what came through them, since `reset`.
        self.connected: list[dict[str, Any]] = []

    def start(self) -> None:
        self._task = asyncio.create_task(self._watch())

    async def stop(self) -> None:
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)

    async def reset(self) -> None:
        """Count from here on."""
        await self.read()
        self.logins.clear()
        self.doubles = []
        self.troubles = []
        self.connected = []

    async def read(self) -> None:
        async with self._reading:
            for entry in (await self._phones.get("/journal", after=self._last))["entries"]:
                self._last = max(self._last, entry["number"])
                if entry["kind"] in _CONNECTED:
                    self.connected.append(entry)
                if entry["kind"] in ("login", "login refused"):
                    self.logins[entry["device"]] += 1
                elif entry["kind"] == "replaced":
                    self.doubles.append(entry["device"])
                elif entry["kind"] in _TROUBLES:
                    self.troubles.append(entry)

    async def _watch(self) -> None:
        while True:
            with contextlib.suppress(httpx.HTTPError):
                await self.read()
            await asyncio.sleep(_POLL_SECONDS)

"""What the two ends of connections to WhatsApp saw: the owner's sockets, WhatsApp's journal."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from chaos.people import Person

from machines.hosts import Host

__all__ = ["OwnerSockets", "Recovery"]

_POLL_SECONDS = 0.1
_ESTABLISHED = "01"


class OwnerSockets:
    """The connections to WhatsApp that a machine's kernel has open, polled ten times a second: a
    cut connection is closed for its owner long before WhatsApp can know."""

    def __init__(self, host: Host, whatsapp: Host) -> None:
        self._host = host
        packed = socket.inet_aton(whatsapp.address)[::-1]
        self._remote = packed.hex().upper()
        self._open = self._ports()
        self._task = asyncio.create_task(self._watch())
        #: Seconds since the epoch, one for each that was open at first and is not any more.
        self.closed: list[float] = []

    async def stop(self) -> None:
        self._task.cancel()
        await asyncio.gather(self._task, return_exceptions=True)

    async def _watch(self) -> None:
        while True:
            there = self._ports()
            gone = self._open - there
            self.closed += [time.time()] * len(gone)
            self._open -= gone
            await asyncio.sleep(_POLL_SECONDS)

    def _ports(self) -> set[str]:
        """Local ports; none where the machine has no power."""
        found = set()
        with contextlib.suppress(OSError):
            table = Path(f"/proc/{self._host.pid}/net/tcp").read_text()
            for line in table.splitlines()[1:]:
                _, local, remote, state, *_ = line.split()
                if remote.startswith(self._remote) and state == _ESTABLISHED:
                    found.add(local)
        return found


class Recovery:
    """Of one session, seconds since the strike; None: it did not happen, or needed not to."""

    def __init__(self, person: Person, journal: Sequence[dict[str, Any]], since: float) -> None:
        device = f"{person.number}:"
        own = [
            one
            for one in journal
            if one["time"] > since
            and str(one.get("device") or one.get("by", "")).startswith(device)
            # The phone.
            and not str(one.get("by", "")).endswith(":0")
        ]
        logins = [one["time"] for one in own if one["kind"] == "login"]
        self.logins = len(logins)
        self.login: float | None = logins[0] - since if logins else None
        #: By its new connection a text reached WhatsApp, and one from there was taken.
        self.both_ways: float | None = None
        new = [one for one in own if logins and one["time"] > logins[0]]
        sent, taken = (
            next((one["time"] for one in new if one["kind"] == kind), None)
            for kind in ("message", "receipt")
        )
        if sent and taken:
            self.both_ways = max(sent, taken) - since

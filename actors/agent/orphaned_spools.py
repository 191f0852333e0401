"""What sessions left on this node when they moved away: received messages, and stale stores.

A process that is killed between the library's acknowledgement and our commit leaves the message in
its spool. When the session starts again on this node, it finds it; when it lives elsewhere, or when
the process ended only after its successor here had looked, nobody would. So the node's agent gives
it to the owner, and removes the folder, which no owner can use any more.
"""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import Awaitable, Callable
from pathlib import Path

import structlog

from actors.session.device_store import orphaned
from actors.session.spool import Spool
from actors.ticks import until_tick
from cluster.domain.errors import GatewayError, SessionNotFound
from cluster.domain.session import SessionRecord
from cluster.stores import Stores

__all__ = ["OrphanedSpools"]

log = structlog.get_logger(__name__)

#: Seconds between two looks.
_EVERY = 5.0

#: Has the owner of a session take over entries of a spool. Raises `GatewayError`.
Adopt = Callable[[SessionRecord, list[bytes]], Awaitable[None]]


class OrphanedSpools:
    """Looks again and again at the folders of one node."""

    def __init__(self, stores: Stores, root: Path, node: str, adopt: Adopt) -> None:
        """`root`: the node's data folder; `node`: its id."""
        self._stores = stores
        self._root = root
        self._node = node
        self._adopt = adopt

    async def run(self) -> None:
        """Until it is cancelled."""
        while True:
            try:
                await self.poll()
            except (GatewayError, OSError) as error:
                log.info("orphaned_spools.later", error=str(error))
            await asyncio.sleep(until_tick(_EVERY))

    async def poll(self) -> None:
        """Give away what can be given away now. Raises `GatewayError`, `OSError`."""
        folders = await asyncio.to_thread(orphaned, self._root)
        if not folders:
            return
        starts = {start.session_id: start for start in await self._stores.starts.list()}
        for session_id, folder in folders:
            start = starts.get(session_id)
            if start is None or start.released or start.lapsed > 0:
                continue
            if start.owner_node != self._node or self._taken_before(folder, start.epoch, folders):
                await self._give(session_id, folder)

    @staticmethod
    def _taken_before(folder: Path, epoch: int, left: list[tuple[int, Path]]) -> bool:
        """Whether the owner, on this node, has its own folder by now, and so left this one: what
        it finds when it starts it looks after itself."""
        own = folder.parent / str(epoch)
        orphaned_ones = [path for _, path in left]
        return int(folder.name) < epoch and own.exists() and own not in orphaned_ones

    async def _give(self, session_id: int, folder: Path) -> None:
        spool = folder / "received.spool"
        entries = await asyncio.to_thread(Spool.read, spool)
        if entries:
            try:
                record = await self._stores.sessions.get_by_id(session_id)
            except SessionNotFound:
                return
            await self._adopt(record, entries)
            log.warning("orphaned_spools.given", session=record.name, entries=len(entries))
        await asyncio.to_thread(shutil.rmtree, folder, ignore_errors=True)

"""The supervisor: brings every session to its desired state, again and again.

Truth is in PostgreSQL; the supervisor keeps nothing that it could not look up again. It is one
detached actor; a second one by accident would do no harm, because ownership is fenced by epochs.
"""

from __future__ import annotations

import asyncio
import threading
import time
from typing import Any

import ray
import structlog
from ray.exceptions import RayActorError

from actors.placement import create_session_actor
from cluster.domain.errors import GatewayError, Unavailable
from cluster.domain.reply import Reply, answer
from cluster.domain.session import DesiredState, SessionRecord, SessionStatus
from cluster.settings import Settings
from cluster.stores import Stores

__all__ = ["SUPERVISOR_NAME", "Supervisor"]

log = structlog.get_logger(__name__)

SUPERVISOR_NAME = "supervisor"
#: Seconds a clean stop may take before the actor is killed (its lease then runs out).
_STOP_PATIENCE = 30.0


class Supervisor:
    """Detached actor `supervisor`."""

    def __init__(self) -> None:
        self._settings = Settings()
        self._loop = asyncio.new_event_loop()
        self._stores: Stores | None = None
        self._actors: dict[int, Any] = {}
        self._locks: dict[int, asyncio.Lock] = {}
        self._paused = False
        self._next_start = 0.0
        self._last_tick = ""
        threading.Thread(target=self._main, name="supervisor-loop", daemon=True).start()
        asyncio.run_coroutine_threadsafe(self._reconcile_for_ever(), self._loop)

    def __repr__(self) -> str:
        return f"Supervisor(sessions={len(self._actors)}{' paused' if self._paused else ''})"

    async def ready(self) -> bool:
        """Answers when the actor is up."""
        return True

    async def start(self, session_id: int) -> Reply:
        """See to it now that the session's actor exists."""
        return await self._cross(self._start(session_id))

    async def stop(self, session_id: int) -> Reply:
        """End the session's actor cleanly; returns when its ownership is released."""
        return await self._cross(self._stop(session_id))

    async def stop_all(self) -> Reply:
        """The cluster goes down: end all actors cleanly and start none. Desired states stay."""
        return await self._cross(self._stop_all())

    async def _cross(self, work: Any) -> Reply:
        return await asyncio.wrap_future(asyncio.run_coroutine_threadsafe(answer(work), self._loop))

    def _main(self) -> None:
        asyncio.set_event_loop(self._loop)
        self._loop.run_forever()

    # -- in the supervisor's loop ---------------------------------------------------------------

    async def _open(self) -> Stores:
        if self._stores is None:
            self._stores = await Stores.open(self._settings)
        return self._stores

    async def _reconcile_for_ever(self) -> None:
        while True:
            try:
                await self._reconcile()
            except GatewayError as error:
                log.warning("supervisor.stores_away", error=error.detail)
            except Exception:
                # The loop is what brings sessions back; it must outlive any surprise.
                log.exception("supervisor.tick_failed")
            await asyncio.sleep(self._settings.placement.reconcile_seconds)

    async def _reconcile(self) -> None:
        if self._paused:
            return
        stores = await self._open()
        records = await stores.sessions.list(None)
        alive = await asyncio.to_thread(self._names)
        for record in records:
            wanted = (
                record.desired is DesiredState.RUNNING and record.status is not SessionStatus.FAILED
            )
            exists = record.actor_name in alive
            if self._lock(record.id).locked():
                continue
            if wanted and not exists:
                await self._pace()
                await self._start(record.id)
            elif exists and not wanted:
                await self._stop(record.id)
        known = {r.id for r in records}
        for gone in [i for i in self._actors if i not in known]:
            ray.kill(self._actors.pop(gone), no_restart=True)

    async def _pace(self) -> None:
        now = time.monotonic()
        wait = self._next_start - now
        self._next_start = (
            max(now, self._next_start) + 1 / self._settings.placement.starts_per_second
        )
        if wait > 0:
            await asyncio.sleep(wait)

    def _names(self) -> set[str]:
        listed = ray.util.list_named_actors(all_namespaces=True)
        namespace = self._settings.placement.namespace
        return {a["name"] for a in listed if a["namespace"] == namespace}

    async def _start(self, session_id: int) -> None:
        if self._paused:
            raise Unavailable("the cluster is going down", retry_after=10)
        async with self._lock(session_id):
            stores = await self._open()
            record = await stores.sessions.get_by_id(session_id)
            if record.desired is not DesiredState.RUNNING:
                return
            self._actors[session_id] = await asyncio.to_thread(
                create_session_actor, record, self._settings
            )
            log.info("supervisor.started", session=record.name)

    async def _stop(self, session_id: int) -> None:
        async with self._lock(session_id):
            stores = await self._open()
            record = await stores.sessions.get_by_id(session_id)
            await self._end_actor(record)

    async def _end_actor(self, record: SessionRecord) -> None:
        handle = await self._handle(record)
        if handle is None:
            return
        try:
            await asyncio.wait_for(_reply(handle.stop.remote()), _STOP_PATIENCE)
        except (TimeoutError, RayActorError, GatewayError) as error:
            log.warning("supervisor.stop_not_clean", session=record.name, error=str(error))
        await asyncio.to_thread(ray.kill, handle, no_restart=True)
        self._actors.pop(record.id, None)
        log.info("supervisor.stopped", session=record.name)

    async def _stop_all(self) -> int:
        self._paused = True
        stores = await self._open()
        records = await stores.sessions.list(None)
        alive = await asyncio.to_thread(self._names)
        mine = [r for r in records if r.actor_name in alive]
        gate = asyncio.Semaphore(20)

        async def end(record: SessionRecord) -> None:
            async with gate, self._lock(record.id):
                await self._end_actor(record)

        await asyncio.gather(*(end(r) for r in mine))
        return len(mine)

    async def _handle(self, record: SessionRecord) -> Any | None:
        if record.id in self._actors:
            return self._actors[record.id]
        try:
            return await asyncio.to_thread(
                ray.get_actor, record.actor_name, self._settings.placement.namespace
            )
        except ValueError:
            return None

    def _lock(self, session_id: int) -> asyncio.Lock:
        return self._locks.setdefault(session_id, asyncio.Lock())


async def _reply(reference: Any) -> Any:
    reply: Reply = await reference
    return reply.unwrap()

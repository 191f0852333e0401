"""A node's agent: reports how its node is, to Redis and to the backend. Plain asyncio, no Ray."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

import structlog
from tenacity import (
    AsyncRetrying,
    RetryError,
    retry_if_exception_type,
    stop_after_attempt,
    wait_exponential_jitter,
)

from actors.agent.health import Health, session_memory
from actors.delivery.sinks.backend import Backend
from actors.delivery.sinks.sink import SinkError
from cluster.domain.errors import GatewayError
from cluster.events.event_id import new_event_id
from cluster.settings import Settings
from cluster.stores import Stores
from cluster.telemetry.metrics.meter import METER

__all__ = ["Node", "WorkerAgent"]

log = structlog.get_logger(__name__)

#: Seconds between readings of what sessions' processes have of memory: the kernel walks through all
#: of it, ten milliseconds each.
_MEMORY_SECONDS = 60.0
#: Beats that may be missed before a node counts as silent.
_HEARTBEATS = 3


@dataclass(frozen=True, kw_only=True, slots=True)
class Node:
    """A node of the cluster."""

    #: Ray node id, hex.
    id: str
    name: str
    address: str
    #: `session_slots` it offers.
    slots: int


class WorkerAgent:
    """Beats until it is stopped."""

    def __init__(
        self,
        stores: Stores,
        settings: Settings,
        node: Node,
        alive: Callable[[], Awaitable[list[Node] | None]],
    ) -> None:
        """`alive` lists the nodes that are; None when nobody knows."""
        self._stores = stores
        self._settings = settings
        self._node = node
        self._alive = alive
        self._health = Health()
        self._backend = Backend(settings.backend) if settings.backend.url else None
        self._known: dict[str, Node] = {}
        self._stop = asyncio.Event()
        self._started_at = int(time.time() * 1000)
        self._memory = 0.0
        self._memory_at = float("-inf")

    def stop(self) -> None:
        """Say that this node's worker ends; `run` returns then."""
        self._stop.set()

    async def run(self) -> None:
        """Send heartbeats until `stop`. One that fails is logged, and the next one is tried."""
        await self._emit("worker.registered", self._node)
        while not self._stop.is_set():
            try:
                await self._heartbeat()
            except Exception:
                METER.count("work_errors", "heartbeat")
                log.exception("worker.beat_failed", node=self._node.id)
            with suppress(TimeoutError):
                async with asyncio.timeout(self._settings.backend.heartbeat_seconds):
                    await self._stop.wait()
        await self._emit("worker.stopped", self._node)
        if self._backend is not None:
            await self._backend.close()

    async def _heartbeat(self) -> None:
        sessions = await self._sessions()
        health = self._health.read(sessions=sessions)
        await self._read_memory()
        lifetime = _HEARTBEATS * self._settings.backend.heartbeat_seconds
        await self._stores.cache.worker_put(
            self._node.id, health | {"at": int(time.time() * 1000)}, lifetime
        )
        await self._emit("worker.heartbeat", self._node, health=health)
        await self._miss_others()

    async def _read_memory(self) -> None:
        if self._memory and time.monotonic() - self._memory_at < _MEMORY_SECONDS:
            return
        self._memory_at = time.monotonic()
        self._memory = await asyncio.to_thread(session_memory, self._settings.data_dir)
        METER.gauge("session_memory", self._node.name, lambda: self._memory)

    async def _sessions(self) -> int:
        try:
            workers = await self._stores.workers.list()
        except GatewayError as error:
            log.debug("worker.stores_unreachable", error=error.detail)
            return -1
        return next((w.sessions for w in workers if w.node == self._node.id), 0)

    async def _miss_others(self) -> None:
        """Nodes that were there and are not: the one with the least id reports them."""
        found = await self._alive()
        if found is None:
            return
        alive = {node.id: node for node in found}
        lost = [node for id, node in self._known.items() if id not in alive]
        self._known = alive
        if alive and min(alive) == self._node.id:
            for node in lost:
                log.warning("worker.lost", node=node.id, name=node.name)
                await self._emit("worker.lost", node)

    async def _emit(self, event: str, node: Node, **more: Any) -> None:
        if self._backend is None:
            return
        body = {
            "id": new_event_id(),
            "timestamp": int(time.time() * 1000),
            "event": event,
            "worker": {
                "id": node.id,
                "name": node.name,
                "address": node.address,
                "slots": node.slots,
                **({"startedAt": self._started_at} if node.id == self._node.id else {}),
            },
            **more,
        }
        patient = AsyncRetrying(
            retry=retry_if_exception_type(SinkError),
            # A heartbeat is worth little when the next one is due.
            stop=stop_after_attempt(2 if event == "worker.heartbeat" else 5),
            wait=wait_exponential_jitter(multiplier=0.2, max=3),
        )
        try:
            await patient(
                self._backend.send,
                json.dumps(body).encode(),
                subject=f"worker:{node.id}",
                id=str(body["id"]),
            )
        except RetryError as error:
            log.warning(
                "worker.not_reported", about=event, error=str(error.last_attempt.exception())
            )
        except Exception:
            # Spares and spools hang on the agent: the backend must not end it.
            METER.count("work_errors", "backend")
            log.exception("worker.not_reported", about=event)

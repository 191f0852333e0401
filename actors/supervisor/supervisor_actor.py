"""The supervisor's Ray shell: one detached actor; its work is in `actors.supervisor`."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Awaitable, Callable
from functools import partial
from typing import Any

import ray
import structlog

from actors.loop_thread import LoopThread
from actors.peers import one_that_reaches_postgresql
from actors.supervisor.cut_off import CutOff
from actors.supervisor.going_down import GoingDown
from actors.supervisor.host_actors import HostActors
from actors.supervisor.reconcile import Reconciler
from actors.supervisor.retention import Retention
from actors.ticks import until_tick
from actors.transfer.device_moves import DeviceMoves
from actors.zygote.options import become_control
from cluster.domain.device_source import DeviceSource
from cluster.domain.errors import GatewayError
from cluster.domain.reply import Reply, answer
from cluster.settings import Settings
from cluster.stores import Stores
from cluster.telemetry.configure import configure_telemetry

__all__ = ["Supervisor"]

log = structlog.get_logger(__name__)

#: Seconds that agents elsewhere have to say whether they reach PostgreSQL.
_ASK_SECONDS = 4.0
#: Seconds that one of them has to take the supervisor.
_TAKE_SECONDS = 10.0
#: Exit code of a supervisor on a node that is cut off from it.
_CUT_OFF = 72
#: So many times less often it looks while all is well on the only node. What users ask for is done
#: when they ask.
_SELDOM = 5


class Supervisor:
    """Detached actor `supervisor`."""

    def __init__(self, cert_file: str | None = None) -> None:
        """`cert_file`: see `become_control`."""
        become_control(cert_file)
        self._settings = Settings()
        configure_telemetry(self._settings, "supervisor")
        self._actors = HostActors(self._settings)
        self._opening = asyncio.Lock()
        self._going_down = GoingDown(self._settings.placement.namespace)
        self._reconciler: Reconciler | None = None
        self._moves: DeviceMoves | None = None
        self._loop = LoopThread("supervisor-loop")
        self._repeat("reconcile", lambda reconciler: reconciler.tick())
        self._repeat("drain", lambda reconciler: reconciler.drain_tick())
        retention = Retention(self._settings.history, self._settings.outbox)
        self._repeat("history", lambda reconciler: retention.tick(reconciler.stores))
        self._loop.keep("cut-off", self._end_if_cut_off)

    def __repr__(self) -> str:
        paused = self._reconciler is not None and self._reconciler.paused
        return f"Supervisor(hosts={len(self._actors)}{' paused' if paused else ''})"

    async def ready(self) -> bool:
        """Answers when the actor is up."""
        return True

    async def start(self, session_id: int) -> Reply:
        """See `Reconciler.start`."""
        return await self._cross(lambda reconciler: reconciler.start(session_id))

    async def stop(self, session_id: int) -> Reply:
        """See `Reconciler.stop`."""
        return await self._cross(lambda reconciler: reconciler.stop(session_id))

    async def move(self, session_id: int, node: str, cut_off: bool, closed: int = 0) -> Reply:
        """See `Reconciler.move`."""
        return await self._cross(
            lambda reconciler: reconciler.move(session_id, node, cut_off=cut_off, closed=closed)
        )

    async def hand_over(self, session_id: int, node: str) -> Reply:
        """See `Reconciler.hand_over`."""
        return await self._cross(lambda reconciler: reconciler.hand_over(session_id, node))

    async def stop_all(self) -> Reply:
        """See `Reconciler.stop_all`. A supervisor that is made anew meanwhile starts none, too."""

        async def down(reconciler: Reconciler) -> int:
            reconciler.paused = True
            await asyncio.to_thread(self._going_down.set, True)
            return await reconciler.stop_all()

        return await self._cross(down)

    async def resume(self) -> Reply:
        """The cluster is up (again): see to the sessions."""

        async def up() -> None:
            await asyncio.to_thread(self._going_down.set, False)
            if self._reconciler is not None:
                self._reconciler.paused = False

        # Without the stores: these loops wait for them.
        return await self._loop.call(lambda: answer(up()))

    async def export(self, session_id: int, passphrase: str | None, key: str | None) -> Reply:
        """See `DeviceMoves.export`."""
        return await self._move(lambda moves: moves.export(session_id, passphrase, key))

    async def take_back(self, session_id: int) -> Reply:
        """See `DeviceMoves.take_back`."""
        return await self._move(lambda moves: moves.take_back(session_id))

    async def bring(
        self, tenant: str, name: str, config: dict[str, Any], source: DeviceSource
    ) -> Reply:
        """See `DeviceMoves.bring`."""
        return await self._move(lambda moves: moves.bring(tenant, name, config, source))

    async def _cross(self, work: Callable[[Reconciler], Awaitable[Any]]) -> Reply:
        """Run `work` in the supervisor's own loop."""

        async def run() -> Any:
            return await work(await self._ready())

        return await self._loop.call(lambda: answer(run()))

    async def _move(self, work: Callable[[DeviceMoves], Awaitable[Any]]) -> Reply:
        """Run `work` in the supervisor's own loop."""

        async def run(_: Reconciler) -> Any:
            assert self._moves is not None  # noqa: S101 - made with the reconciler
            return await work(self._moves)

        return await self._cross(run)

    async def _ready(self) -> Reconciler:
        async with self._opening:
            if self._reconciler is None:
                stores = await Stores.open(self._settings)
                self._moves = DeviceMoves(stores, self._settings)
                made = Reconciler(stores, self._actors, self._settings)
                made.paused = await asyncio.to_thread(self._going_down.get)
                self._reconciler = made
        return self._reconciler

    def _repeat(self, name: str, work: Callable[[Reconciler], Awaitable[None]]) -> None:
        self._loop.keep(name, lambda: self._for_ever(name, work))

    async def _end_if_cut_off(self) -> None:
        """An agent that reaches PostgreSQL has it made anew on another node."""

        async def ping() -> bool:
            try:
                reconciler = await self._ready()
                if not reconciler.quiet:
                    await reconciler.stores.db.ping()
            except GatewayError:
                return False
            return True

        agent = await CutOff(
            ping, partial(one_that_reaches_postgresql, self._settings, _ASK_SECONDS)
        ).found()
        log.error("supervisor.cut_off")
        agent.take_supervisor.remote(ray.get_runtime_context().get_node_id())
        await asyncio.sleep(_TAKE_SECONDS)
        # Nobody took it: Ray starts it again, on any node that is alive.
        os._exit(_CUT_OFF)

    async def _for_ever(self, name: str, work: Callable[[Reconciler], Awaitable[None]]) -> None:
        while True:
            try:
                await work(await self._ready())
            except GatewayError as error:
                log.warning("supervisor.stores_unreachable", part=name, error=error.detail)
            except Exception:
                # These loops are what brings sessions back: they must outlive any surprise.
                log.exception("supervisor.tick_failed", part=name)
            quiet = self._reconciler is not None and self._reconciler.quiet
            seconds = self._settings.placement.reconcile_seconds
            await asyncio.sleep(until_tick(seconds * _SELDOM if quiet else seconds))

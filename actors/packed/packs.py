"""The packs of the cluster, as Ray knows them: made, poked, asked, ended."""

from __future__ import annotations

import asyncio
from typing import Any

import ray
import structlog
from ray.exceptions import RayActorError, RayError
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

from actors.hosts.session_actor import SessionActor, concurrency_groups
from actors.placement import session_environment
from cluster.domain.errors import GatewayError
from cluster.domain.reply import Reply
from cluster.domain.session import pack_name
from cluster.settings import Settings

__all__ = ["PackActors"]

log = structlog.get_logger(__name__)


class PackActors:
    """Handles are kept: they stay good over restarts of their actors."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._namespace = settings.placement.namespace
        self._handles: dict[int, Any] = {}

    def __len__(self) -> int:
        return len(self._handles)

    async def create(self, pack: int, node: str, capacity: int) -> None:
        """Have the pack's actor on `node`. Ray restarts its process there and nowhere else; when
        the node is lost the supervisor finds its sessions other places."""
        self._handles[pack] = await asyncio.to_thread(self._create, pack, node, capacity)

    async def poke(self, pack: int) -> None:
        """Have it look now what it has to run. It looks by itself, too: nothing hangs on this."""
        handle = await self._handle(pack)
        if handle is not None:
            try:
                handle.look.remote()
            except RayError as error:
                log.warning("packs.not_poked", pack=pack, error=str(error))

    async def stop(self, pack: int, session_id: int, patience: float) -> bool:
        """Have it let go of a session; False when that was not clean, or late."""
        handle = await self._handle(pack)
        if handle is None:
            return True
        return await self._asked(handle.stop.remote(session_id=session_id), patience, pack=pack)

    async def stop_all(self, pack: int, patience: float) -> bool:
        """Have it let go of all its sessions; False when that was not clean, or late."""
        handle = await self._handle(pack)
        if handle is None:
            return True
        return await self._asked(handle.stop_all.remote(), patience, pack=pack)

    async def answers(self, pack: int, patience: float) -> bool:
        """Whether its process answers within `patience` seconds."""
        handle = await self._handle(pack)
        return handle is not None and await self._asked(
            handle.describe.remote(), patience, pack=pack
        )

    async def kill(self, pack: int) -> None:
        """End its actor at once, for good."""
        handle = await self._handle(pack)
        self._handles.pop(pack, None)
        if handle is not None:
            await asyncio.to_thread(ray.kill, handle, no_restart=True)

    async def _asked(self, reference: Any, patience: float, *, pack: int) -> bool:
        try:
            reply: Reply = await asyncio.wait_for(_awaited(reference), patience)
            reply.unwrap()
        except (TimeoutError, RayActorError, GatewayError) as error:
            log.warning("packs.no_clean_answer", pack=pack, error=repr(error))
            return False
        return True

    def _create(self, pack: int, node: str, capacity: int) -> Any:
        # Concurrency groups are the class's, not an option of one actor.
        class_options: dict[str, Any] = {"concurrency_groups": concurrency_groups(capacity)}
        remote: Any = ray.remote(**class_options)(SessionActor)
        return remote.options(
            name=pack_name(pack),
            namespace=self._namespace,
            lifetime="detached",
            get_if_exists=True,
            max_restarts=-1,
            max_task_retries=0,
            num_cpus=0,
            resources={"session_slots": capacity},
            scheduling_strategy=NodeAffinitySchedulingStrategy(node, soft=False),
            runtime_env={"env_vars": session_environment(self._settings)},
        ).remote(f"pack {pack}", pack=pack, capacity=capacity)

    async def _handle(self, pack: int) -> Any | None:
        if pack in self._handles:
            return self._handles[pack]
        try:
            handle = await asyncio.to_thread(ray.get_actor, pack_name(pack), self._namespace)
        except ValueError:
            return None
        self._handles[pack] = handle
        return handle


async def _awaited(reference: Any) -> Any:
    return await reference

"""The actors that host sessions, as Ray knows them: listed, made, asked, ended."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Collection
from enum import StrEnum
from typing import Any, TypeVar

import ray
import structlog
from ray.exceptions import ActorUnavailableError, RayError

from actors.hosts.create_actor import HostActor, create_host_actor
from actors.supervisor.named_actor import NamedActor, named_actor
from cluster.domain.errors import GatewayError, Unavailable
from cluster.domain.reply import Reply
from cluster.settings import Settings
from cluster.stores.workers import NodeReport

__all__ = ["HostActors", "ProbeResult"]

log = structlog.get_logger(__name__)
T = TypeVar("T")

_SLOTS = "session_slots"
#: Bound on asking about one actor, seconds.
_STATE_SECONDS = 5.0
#: Bound on everything that Ray's control store (GCS) answers, seconds: while it is unreachable such
#: calls block for a minute, and those who make them hold a session's lock.
_GCS_SECONDS = 10.0
#: Bound on waiting for a name that an ended actor still has, and between looks; seconds.
_NAME_SECONDS, _NAME_POLL = 5.0, 0.1


class ProbeResult(StrEnum):
    """What became of a call to an actor."""

    ANSWERS = "answers"
    #: Ray counts it as alive, yet no answer came.
    SILENT = "silent"
    #: Ray is (re)starting it, or does not say.
    COMING = "coming"
    #: The same, and it may not run on a node that takes sessions (again).
    BARRED = "barred"


class HostActors:
    """By their names. Handles are kept: they stay good over restarts of their actors."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._namespace = settings.placement.namespace
        self._handles: dict[str, Any] = {}
        #: name → the actor that was ended last
        self._ended: dict[str, Any] = {}

    def __len__(self) -> int:
        return len(self._handles)

    async def nodes(self) -> list[NodeReport]:
        """Nodes that are alive."""
        return [
            NodeReport(
                node=node["NodeID"],
                name=node["NodeName"],
                address=node["NodeManagerAddress"],
                slots=int(node["Resources"].get(_SLOTS, 0)),
            )
            for node in await _from_gcs(ray.nodes)
            if node["Alive"]
        ]

    async def names(self) -> set[str]:
        """Names of all actors of the gateway, those that are yet to be placed included."""
        listed = await _from_gcs(lambda: ray.util.list_named_actors(all_namespaces=True))
        return {actor["name"] for actor in listed if actor["namespace"] == self._namespace}

    async def create(self, actor: HostActor, excluded: Collection[str]) -> None:
        """Have it; one that Ray may place elsewhere, on none of the nodes `excluded` (ids). Raises
        `Unavailable`."""
        deadline = asyncio.get_running_loop().time() + _NAME_SECONDS
        while True:
            handle = await _from_gcs(lambda: create_host_actor(actor, self._settings, excluded))
            # For a moment the name is that of the one that ends: it would be left without any.
            if handle._actor_id != self._ended.get(actor.name):
                break
            if asyncio.get_running_loop().time() > deadline:
                raise Unavailable("the session's former actor does not end", retry_after=1)
            await asyncio.sleep(_NAME_POLL)
        self._ended.pop(actor.name, None)
        self._handles[actor.name] = handle

    async def wake(self, name: str) -> None:
        """Have it look now at what it has to run. Best effort: it also polls."""
        handle = await self._handle(name)
        if handle is not None:
            try:
                handle.wake.remote()
            except (RayError, AttributeError) as error:  # a host of the version before
                log.warning("supervisor.not_woken", actor=name, error=str(error))

    async def stop(self, name: str, session_id: int, patience: float) -> bool:
        """Have it let go of a session; False when that was not clean, or late."""
        handle = await self._handle(name)
        if handle is None:
            return True
        return await self._asked(name, handle.stop.remote(session_id=session_id), patience)

    async def stop_all(self, name: str, patience: float) -> bool:
        """Have it let go of all its sessions; False when that was not clean, or late."""
        handle = await self._handle(name)
        if handle is None:
            return True
        return await self._asked(name, handle.stop_all.remote(), patience)

    async def kill(self, name: str) -> None:
        """End it at once, for good; its name is free afterwards."""
        handle = await self._handle(name)
        self._handles.pop(name, None)
        if handle is not None:
            self._ended[name] = handle._actor_id
            await _from_gcs(lambda: ray.kill(handle, no_restart=True))

    async def probe(self, name: str, patience: float, open_nodes: Collection[str]) -> ProbeResult:
        """Whether its process answers within `patience` seconds; `open_nodes` take sessions."""
        handle = await self._handle(name)
        if handle is None:
            return ProbeResult.COMING
        timed_out = False
        try:
            await asyncio.wait_for(_awaited(handle.describe.remote()), patience)
        except TimeoutError:
            timed_out = True
        except ActorUnavailableError:
            pass
        except RayError:
            # It is no more, or there is no node that it may live on.
            self._handles.pop(name, None)
            return ProbeResult.COMING
        else:
            return ProbeResult.ANSWERS
        state = await self._state(name)
        if state is None or (state.state == "ALIVE" and not timed_out):
            return ProbeResult.COMING
        if state.state == "ALIVE":
            return ProbeResult.SILENT
        return ProbeResult.BARRED if state.barred & set(open_nodes) else ProbeResult.COMING

    async def keep_only(self, names: Collection[str]) -> None:
        """End those that nobody needs any more, as far as they are known here."""
        self._ended = {name: actor for name, actor in self._ended.items() if name in names}
        for gone in [name for name in self._handles if name not in names]:
            await self.kill(gone)

    async def _asked(self, name: str, reference: Any, patience: float) -> bool:
        try:
            reply: Reply = await asyncio.wait_for(_awaited(reference), patience)
            reply.unwrap()
        except (TimeoutError, RayError, GatewayError) as error:
            log.warning("supervisor.stop_not_clean", actor=name, error=repr(error))
            return False
        return True

    async def _state(self, name: str) -> NamedActor | None:
        """What Ray says of it; None when the GCS is unreachable, or knows no living one."""
        gcs = ray.get_runtime_context().gcs_address
        try:
            return await asyncio.to_thread(
                named_actor, gcs, name, self._namespace, seconds=_STATE_SECONDS
            )
        except Unavailable as error:
            log.warning("supervisor.control_store_unreachable", error=error.detail)
            return None

    async def _handle(self, name: str) -> Any | None:
        if name in self._handles:
            return self._handles[name]
        try:
            handle = await _from_gcs(lambda: ray.get_actor(name, self._namespace))
        except ValueError:
            return None
        self._handles[name] = handle
        return handle


async def _awaited(reference: Any) -> Any:
    return await reference


async def _from_gcs(ask: Callable[[], T]) -> T:
    """What Ray's control store answers. Raises `Unavailable` when it does not, in time; what was
    asked may be done all the same."""
    try:
        return await asyncio.wait_for(asyncio.to_thread(ask), _GCS_SECONDS)
    except TimeoutError:
        raise Unavailable("Ray's control store does not answer", retry_after=5) from None

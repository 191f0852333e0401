"""The Ray shell of a pack: a detached, named actor. All work happens in the pack's loop."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any

import ray
import structlog
from ray.exceptions import RayError

from actors.moving import ask_to_move
from actors.packed.host import PackHost
from actors.session.session import Session
from actors.session_actor import neonize_factory
from actors.spare import taken
from actors.zygote.started import started
from cluster.domain.errors import GatewayError
from cluster.domain.reply import Reply, answer
from cluster.domain.session import pack_name
from cluster.observed import observe
from cluster.settings import Settings
from cluster.tracing import Carried, of_caller

__all__ = ["PACK_CONCURRENCY", "PackActor"]

log = structlog.get_logger(__name__)

_HAND_OVER_SECONDS = 30.0

#: Calls that must get through while sends are queued up, and the sends themselves: who may work is
#: decided session by session, in the pack.
PACK_CONCURRENCY = {"control": 64, "send": 4096}


class PackActor:
    """The sessions of one pack. Its name is `pack:<id>`."""

    def __init__(self, pack: int, capacity: int) -> None:
        taken()
        settings, node = Settings(), ray.get_runtime_context().get_node_id()
        observe(settings, "pack", pack=pack, node=node)
        started()
        self._host = PackHost(
            pack=pack,
            capacity=capacity,
            node=node,
            settings=settings,
            client_factory=neonize_factory,
            hand_over=_hand_over,
            move_away=ask_to_move,
        )

    def __repr__(self) -> str:
        facts = self._host.describe()
        working = facts["statuses"].get("WORKING", 0)
        return (
            f"PackActor({facts['pack']}: {facts['sessions']} of {facts['capacity']} sessions, "
            f"{working} WORKING)"
        )

    @ray.method(concurrency_group="send")
    async def send(self, session_id: int, carrier: Carried, /, **request: Any) -> Reply:
        """See `Session.send`."""
        return await self._of(
            session_id,
            lambda session: _traced("session.send", carrier, session.send(**request)),
        )

    @ray.method(concurrency_group="send")
    async def check_numbers(self, session_id: int, numbers: list[str]) -> Reply:
        return await self._of(session_id, lambda session: session.check_numbers(numbers))

    @ray.method(concurrency_group="send")
    async def request(
        self, session_id: int, carrier: Carried, verb: str, arguments: dict[str, Any]
    ) -> Reply:
        """See `Session.request`."""
        return await self._of(
            session_id,
            lambda s: _traced(f"session.{verb}", carrier, s.request(verb, arguments)),
        )

    @ray.method(concurrency_group="control")
    async def request_code(self, session_id: int, number: str) -> Reply:
        return await self._of(session_id, lambda s: s.request_code(number), turn=False)

    @ray.method(concurrency_group="control")
    async def logout(self, session_id: int) -> Reply:
        return await self._of(session_id, lambda session: session.logout(), turn=False)

    @ray.method(concurrency_group="control")
    async def adopt(self, session_id: int, entries: list[bytes]) -> Reply:
        """See `Session.adopt`."""
        return await self._of(session_id, lambda session: session.adopt(entries), turn=False)

    @ray.method(concurrency_group="control")
    async def stop(self, session_id: int) -> Reply:
        """Hand over cleanly; returns when the ownership is released."""
        return await self._cross(lambda: self._host.stop(session_id))

    @ray.method(concurrency_group="control")
    async def stop_all(self) -> Reply:
        """Hand over all sessions cleanly, and start none any more."""
        return await self._cross(self._host.stop_all)

    @ray.method(concurrency_group="control")
    async def look(self) -> Reply:
        """What is to run here has changed."""
        return await self._cross(self._host.look)

    @ray.method(concurrency_group="control")
    async def describe(self) -> Reply:
        return Reply(value=self._host.describe())

    async def _of(
        self,
        session_id: int,
        work: Callable[[Session], Coroutine[Any, Any, Any]],
        *,
        turn: bool = True,
    ) -> Reply:
        return await self._cross(lambda: self._host.call(session_id, work, turn=turn))

    async def _cross(self, work: Callable[[], Coroutine[Any, Any, Any]]) -> Reply:
        return await asyncio.wrap_future(self._host.submit(lambda: answer(work())))


async def _traced(name: str, carrier: Carried, work: Coroutine[Any, Any, Any]) -> Any:
    """Do `work` as a part of what `carrier` tells of the caller."""
    with of_caller(name, carrier):
        return await work


async def _hand_over(pack: int, session_id: int, entries: list[bytes]) -> bool:
    """Give what a fenced session received to its newer owner."""
    name = pack_name(pack)
    namespace = ray.get_runtime_context().namespace
    try:
        newer = await asyncio.to_thread(ray.get_actor, name, namespace)
        async with asyncio.timeout(_HAND_OVER_SECONDS):
            reply: Reply = await newer.adopt.remote(session_id, entries)
        reply.unwrap()
    except (ValueError, TimeoutError, RayError, GatewayError) as error:
        log.warning("pack.not_handed_over", pack=pack, entries=len(entries), error=str(error))
        return False
    return True

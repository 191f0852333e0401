"""The Ray shell of a session: a detached, named actor. All work happens in the session's loop."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

import ray
import structlog
from ray.exceptions import RayError

from actors.host import SessionHost
from actors.moving import ask_to_move
from actors.session.dead_man import DeadMan
from actors.session.session import ClientFactory
from actors.spare import taken
from actors.whatsapp.port import EventSpool, WhatsAppClient
from actors.zygote import deferred
from actors.zygote.started import started
from cluster.domain.errors import GatewayError
from cluster.domain.reply import Reply, answer
from cluster.observed import observe
from cluster.settings import Settings
from cluster.stores.objects import ObjectStore
from cluster.tracing import Carried, of_caller

__all__ = ["CONCURRENCY_GROUPS", "SessionActor", "neonize_factory"]

log = structlog.get_logger(__name__)

_HAND_OVER_SECONDS = 30.0
T = TypeVar("T")

#: Calls that must get through while sends are queued up, and the sends themselves.
CONCURRENCY_GROUPS = {"control": 8, "send": 256}


def neonize_factory(settings: Settings) -> ClientFactory:
    """Clients of the real library. Imported late: the import costs 18 MB and loads Go."""

    uploads: Any = None

    def make(store: Path, key: str, on_event: Any, spool: EventSpool) -> WhatsAppClient:
        nonlocal uploads
        from actors.media.uploads import Uploads
        from actors.whatsapp.neonize_client import NeonizeClient

        # In a forked process the library was only noted.
        deferred.load()

        uploads = uploads or Uploads(ObjectStore(settings.stores))
        return NeonizeClient(
            store=store,
            key=key,
            settings=settings.whatsapp,
            proxy_allow=settings.media.fetch_allow,
            on_event=on_event,
            uploads=uploads,
            spool=spool,
        )

    return make


class SessionActor:
    """One session of one tenant. Its name is `session:<tenant>:<session>`."""

    def __init__(self, session_id: int, label: str) -> None:
        taken()
        self._label = label
        settings, node = Settings(), ray.get_runtime_context().get_node_id()
        observe(settings, "session", session=label, node=node)
        started()
        self._host = SessionHost(
            session_id=session_id,
            node=node,
            settings=settings,
            client_factory=neonize_factory,
            dead_man=DeadMan(),
            hand_over=self._hand_over,
            move_away=partial(ask_to_move, session_id),
        )

    async def _hand_over(self, entries: list[bytes]) -> bool:
        """Give what this fenced process received to the actor's newer incarnation."""
        context = ray.get_runtime_context()
        name = context.get_actor_name() or ""
        try:
            newer = await asyncio.to_thread(ray.get_actor, name, context.namespace)
            async with asyncio.timeout(_HAND_OVER_SECONDS):
                reply: Reply = await newer.adopt.remote(entries)
            reply.unwrap()
        except (ValueError, TimeoutError, RayError, GatewayError) as error:
            log.warning("actor.not_handed_over", entries=len(entries), error=str(error))
            return False
        return True

    def __repr__(self) -> str:
        facts = self._host.describe()
        return f"SessionActor({self._label} {facts['status']} epoch={facts['epoch']})"

    @ray.method(concurrency_group="send")
    async def send(self, carrier: Carried, /, **request: Any) -> Reply:
        """See `Session.send`."""
        return await self._cross(
            lambda: self._host.session.send(**request), "session.send", carrier
        )

    @ray.method(concurrency_group="send")
    async def check_numbers(self, numbers: list[str]) -> Reply:
        return await self._cross(lambda: self._host.session.check_numbers(numbers))

    @ray.method(concurrency_group="send")
    async def request(self, carrier: Carried, verb: str, arguments: dict[str, Any]) -> Reply:
        """See `Session.request`."""
        return await self._cross(
            lambda: self._host.session.request(verb, arguments), f"session.{verb}", carrier
        )

    @ray.method(concurrency_group="control")
    async def request_code(self, number: str) -> Reply:
        return await self._cross(lambda: self._host.session.request_code(number))

    @ray.method(concurrency_group="control")
    async def logout(self) -> Reply:
        return await self._cross(lambda: self._host.session.logout())

    @ray.method(concurrency_group="control")
    async def adopt(self, entries: list[bytes]) -> Reply:
        """See `Session.adopt`."""
        return await self._cross(lambda: self._host.session.adopt(entries))

    @ray.method(concurrency_group="control")
    async def stop(self) -> Reply:
        """Hand over cleanly; returns when the ownership is released."""
        return await self._cross(self._host.stop)

    @ray.method(concurrency_group="control")
    async def describe(self) -> Reply:
        return Reply(value=self._host.describe())

    async def _cross(
        self,
        work: Callable[[], Coroutine[Any, Any, T]],
        name: str = "",
        carrier: Carried | None = None,
    ) -> Reply:
        """Run `work` in the session's loop, as a part of what `carrier` tells of the caller."""

        async def run() -> Reply:
            async def guarded() -> T:
                if not name:
                    return await work()
                with of_caller(name, carrier):
                    return await work()

            return await answer(guarded())

        return await asyncio.wrap_future(self._host.submit(run))

"""The Ray shell of a process that hosts sessions. All work happens in the sessions' loop."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any

import ray
import structlog
from ray.exceptions import RayError

from actors.hosts.clients import neonize_factory
from actors.hosts.host import Assigned, SessionHost, Turn
from actors.hosts.relocation import ask_to_move, report_whatsapp_unreachable
from actors.session.session import Session
from actors.zygote.spares import taken
from actors.zygote.started import started
from cluster.domain.errors import GatewayError, NotSupported
from cluster.domain.reply import Reply, answer
from cluster.domain.session import host_name
from cluster.local_calls import local_socket, serve_local_calls
from cluster.settings import Settings
from cluster.stores.outbox import OutboxRow
from cluster.telemetry.configure import configure_telemetry
from cluster.telemetry.tracing import Carried, of_caller

__all__ = ["SessionActor", "concurrency_groups"]

log = structlog.get_logger(__name__)

_HAND_OVER_SECONDS = 30.0


def concurrency_groups(capacity: int) -> dict[str, int]:
    """Calls that must get through while sends are queued up, and the sends themselves: who may work
    is decided session by session, in the host."""
    return {"control": 8, "send": 256} if capacity == 1 else {"control": 64, "send": 4096}


class SessionActor:
    """A session of one tenant (`session:<tenant>:<session>`), or several (`host:<id>`).

    Methods of a session take `session_id`; where there is one session it may be left out.
    """

    def __init__(
        self, label: str, *, session_id: int = 0, host: int = 0, capacity: int = 1
    ) -> None:
        """Either `session_id`, or `host` with its `capacity`."""
        taken()
        self._label = label
        settings, context = Settings.current(), ray.get_runtime_context()
        node = context.get_node_id()
        configure_telemetry(settings, "host" if host else "session", session=label, node=node)
        started()
        self._host = SessionHost(
            assigned=Assigned(host=host, capacity=capacity, session_id=session_id),
            node=node,
            settings=settings,
            client_factory=neonize_factory,
            hand_over=self._hand_over,
            move_away=ask_to_move,
            whatsapp_unreachable=report_whatsapp_unreachable,
        )
        path = local_socket(settings.data_dir, host=host, session_id=session_id)
        self._host.loop.keep("local calls", lambda: self._serve_local_calls(path))

    async def _serve_local_calls(self, path: Path) -> None:
        self._server = await serve_local_calls(path, self._local)

    async def _local(self, name: str, arguments: dict[str, Any]) -> Any:
        """What is asked over the node's socket, in the sessions' loop."""
        if name != "follow":
            raise NotSupported(name)
        row, carrier = OutboxRow.of_json(arguments["row"]), arguments["carrier"]
        followed = await self._host.call(
            arguments["session_id"],
            lambda session: _traced(
                "session.send", carrier, session.calls.follow(row, arguments["wait"])
            ),
            turn="sends",
        )
        return followed.to_json()

    @staticmethod
    async def _hand_over(session_id: int, host: int, entries: list[bytes]) -> bool:
        """Give what a fenced session received to its newer owner."""
        context = ray.get_runtime_context()
        name = host_name(host) if host else context.get_actor_name() or ""
        try:
            newer = await asyncio.to_thread(ray.get_actor, name, context.namespace)
            async with asyncio.timeout(_HAND_OVER_SECONDS):
                reply: Reply = await newer.adopt.remote(entries, session_id=session_id)
            reply.unwrap()
        except (ValueError, TimeoutError, RayError, GatewayError) as error:
            log.warning("actor.not_handed_over", entries=len(entries), error=str(error))
            return False
        return True

    def __repr__(self) -> str:
        facts = self._host.describe()
        if "host" not in facts:
            return f"SessionActor({self._label} {facts['status']} epoch={facts['epoch']})"
        working = facts["statuses"].get("WORKING", 0)
        return (
            f"SessionActor(host {facts['host']}: {facts['sessions']} of {facts['capacity']} "
            f"sessions, {working} WORKING)"
        )

    @ray.method(concurrency_group="send")
    async def follow(
        self, carrier: Carried, row: OutboxRow, wait: float, *, session_id: int = 0
    ) -> Reply:
        """See `Calls.follow`."""
        return await self._of(
            session_id,
            lambda session: _traced("session.send", carrier, session.calls.follow(row, wait)),
            turn="sends",
        )

    @ray.method(concurrency_group="send")
    async def request(
        self, carrier: Carried, verb: str, arguments: dict[str, Any], *, session_id: int = 0
    ) -> Reply:
        """See `Calls.request`."""
        return await self._of(
            session_id,
            lambda s: _traced(f"session.{verb}", carrier, s.calls.request(verb, arguments)),
            turn="calls",
        )

    @ray.method(concurrency_group="control")
    async def request_code(self, number: str, *, session_id: int = 0) -> Reply:
        return await self._of(session_id, lambda session: session.calls.request_code(number))

    @ray.method(concurrency_group="control")
    async def logout(self, *, session_id: int = 0) -> Reply:
        return await self._of(session_id, lambda session: session.calls.logout())

    @ray.method(concurrency_group="control")
    async def adopt(self, entries: list[bytes], *, session_id: int = 0) -> Reply:
        """See `Serving.adopt`."""
        return await self._of(session_id, lambda session: session.adopt(entries))

    @ray.method(concurrency_group="control")
    async def stop(self, *, session_id: int = 0) -> Reply:
        """Hand over cleanly; returns when the ownership is released."""
        return await self._cross(lambda: self._host.stop(session_id))

    @ray.method(concurrency_group="control")
    async def stop_all(self) -> Reply:
        """Hand over all sessions cleanly, and start none any more."""
        return await self._cross(self._host.stop_all)

    @ray.method(concurrency_group="control")
    async def wake(self) -> Reply:
        """What is to run here has changed."""
        return await self._cross(self._host.wake)

    @ray.method(concurrency_group="control")
    async def describe(self) -> Reply:
        return Reply(value=self._host.describe())

    async def _of(
        self,
        session_id: int,
        work: Callable[[Session], Coroutine[Any, Any, Any]],
        *,
        turn: Turn = "",
    ) -> Reply:
        return await self._cross(lambda: self._host.call(session_id, work, turn=turn))

    async def _cross(self, work: Callable[[], Coroutine[Any, Any, Any]]) -> Reply:
        return await self._host.loop.call(lambda: answer(work()))


async def _traced(name: str, carrier: Carried, work: Coroutine[Any, Any, Any]) -> Any:
    """Do `work` as a part of what `carrier` says of the caller."""
    with of_caller(name, carrier):
        return await work

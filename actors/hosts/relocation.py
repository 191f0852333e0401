"""A process finds that a session cannot go on on its node, and asks the supervisor for another."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Awaitable, Callable
from typing import Any, TypeAlias

import ray
import structlog
from ray.exceptions import RayError

from actors.peers import agent_name
from cluster.domain.errors import GatewayError, Unavailable
from cluster.domain.reply import Reply
from cluster.domain.session import SUPERVISOR

__all__ = ["MoveAway", "ask_to_move", "reaches_postgresql", "report_whatsapp_unreachable"]

log = structlog.get_logger(__name__)

#: `ask_to_move` of one session: whether its node is cut off, and the epoch that is closed for good.
#: True: it is being done.
MoveAway: TypeAlias = Callable[[bool, int], Awaitable[bool]]

_SECONDS = 3.0
#: Patience with PostgreSQL when a lease was not renewed in time, seconds.
_PROBE = 1.0


async def reaches_postgresql(statement: Awaitable[Any]) -> bool:
    """Whether a statement is answered soon: then PostgreSQL was merely unreachable for a while, or
    this process too slow, and there is nothing to move for."""
    asking = asyncio.ensure_future(statement)
    # On a connection that was cut the call does not let itself be cancelled in time.
    await asyncio.wait({asking}, timeout=_PROBE)
    if not asking.done():
        asking.cancel()
        return False
    return not isinstance(asking.exception(), Unavailable)


async def ask_to_move(session_id: int, cut_off: bool, closed: int) -> bool:
    """`cut_off`: this node does not reach PostgreSQL; otherwise its disk is full. `closed`: this
    epoch's connection is closed for good, which who reaches PostgreSQL may note there; 0: it may be
    open. False: it is to go on here, or nobody can say."""
    context = ray.get_runtime_context()
    try:
        async with asyncio.timeout(_SECONDS):
            supervisor: Any = await asyncio.to_thread(ray.get_actor, SUPERVISOR, context.namespace)
            node = context.get_node_id()
            reply: Reply = await supervisor.move.remote(session_id, node, cut_off, closed)
        return bool(reply.unwrap())
    except (ValueError, TimeoutError, RayError, GatewayError) as error:
        log.info("actor.not_moved", session_id=session_id, error=str(error))
        return False


def report_whatsapp_unreachable() -> None:
    """Has the node's agent look whether this node reaches WhatsApp: if not, it is drained."""
    context = ray.get_runtime_context()

    def ask() -> None:
        try:
            agent = ray.get_actor(agent_name(context.get_node_id()), context.namespace)
            agent.probe_whatsapp.remote()
        except (ValueError, RayError, AttributeError) as error:
            # It also polls, every few seconds; an agent of the version before only does that.
            log.info("actor.whatsapp_unreachable_not_reported", error=str(error))

    # Ray may be slow to answer; a thread that ends by itself.
    threading.Thread(target=ask, name="whatsapp-unreachable", daemon=True).start()

"""A process asks the supervisor for a session of its own to be run on another node."""

from __future__ import annotations

import asyncio
from typing import Any

import ray
import structlog
from ray.exceptions import RayError

from cluster.domain.errors import GatewayError
from cluster.domain.reply import Reply
from cluster.domain.session import SUPERVISOR

__all__ = ["ask_to_move"]

log = structlog.get_logger(__name__)

_SECONDS = 5.0


async def ask_to_move(session_id: int, cut_off: bool) -> bool:
    """`cut_off`: this node does not reach PostgreSQL; otherwise its disk is full. False: it is to
    go on here, or nobody can say."""
    context = ray.get_runtime_context()
    try:
        async with asyncio.timeout(_SECONDS):
            supervisor: Any = await asyncio.to_thread(ray.get_actor, SUPERVISOR, context.namespace)
            reply: Reply = await supervisor.move.remote(session_id, context.get_node_id(), cut_off)
        return bool(reply.unwrap())
    except (ValueError, TimeoutError, RayError, GatewayError) as error:
        log.info("actor.not_moved", session_id=session_id, error=str(error))
        return False

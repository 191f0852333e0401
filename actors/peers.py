"""The agents of other nodes, as a process of the cluster finds and asks them."""

from __future__ import annotations

import asyncio
from typing import Any

import ray
import structlog
from ray.exceptions import RayError

from cluster.settings import Settings

__all__ = ["agent_name", "agents_present", "one_that_reaches_postgresql"]

log = structlog.get_logger(__name__)


def agent_name(node: str) -> str:
    """Name of the actor of a node (Ray's id)."""
    return f"node-agent:{node}"


def agents_present(settings: Settings) -> set[str]:
    """Names of all agents' actors."""
    listed = ray.util.list_named_actors(all_namespaces=True)
    prefix, namespace = agent_name(""), settings.placement.namespace
    return {
        a["name"] for a in listed if a["namespace"] == namespace and a["name"].startswith(prefix)
    }


async def one_that_reaches_postgresql(settings: Settings, seconds: float) -> Any | None:
    """The agent of another node than this that says so first, within `seconds`; None as well when
    Ray does not answer."""
    try:
        async with asyncio.timeout(seconds):
            handles = await asyncio.to_thread(_others, settings)
            asked = [asyncio.ensure_future(_if_it_reaches(handle)) for handle in handles]
            for answer in asyncio.as_completed(asked):
                if (agent := await answer) is not None:
                    return agent
    except (TimeoutError, RayError, ValueError) as error:
        log.warning("worker.others_do_not_say", error=type(error).__name__)
    return None


async def _if_it_reaches(agent: Any) -> Any | None:
    try:
        return agent if await agent.reaches_postgresql.remote() else None
    except RayError:
        return None


def _others(settings: Settings) -> list[Any]:
    own = agent_name(ray.get_runtime_context().get_node_id())
    names = sorted(agents_present(settings) - {own})
    return [ray.get_actor(name, settings.placement.namespace) for name in names]

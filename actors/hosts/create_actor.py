"""Creating the actors that host sessions. The one place that knows their Ray options."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from functools import cache
from typing import Any

import ray
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

from actors.hosts.session_actor import SessionActor, concurrency_groups
from actors.zygote.options import NODE_LABEL, off_nodes, session_environment
from cluster.settings import Settings

__all__ = ["HostActor", "create_host_actor"]


@dataclass(frozen=True, kw_only=True, slots=True)
class HostActor:
    """An actor that hosts sessions: one that carries its session's name, or a shared one."""

    name: str
    #: For people.
    label: str
    #: Where it shall be (Ray id).
    node: str
    capacity: int = 1
    #: Of a shared one, and of one with a single session: either.
    host: int = 0
    session_id: int = 0


def create_host_actor(actor: HostActor, settings: Settings, excluded: Collection[str] = ()) -> Any:
    """Create it, or return the one of that name that exists.

    A shared one lives on its node and nowhere else: when that is lost the supervisor finds its
    sessions other places. One with a single session comes back through Ray alone, on its node as
    long as that is there, or else on any that is not `excluded` (Ray ids).
    """
    if actor.host:
        where: dict[str, Any] = {
            "scheduling_strategy": NodeAffinitySchedulingStrategy(actor.node, soft=False)
        }
    else:
        where = {
            "scheduling_strategy": "SPREAD",
            "label_selector": {NODE_LABEL: actor.node},
            "fallback_strategy": [off_nodes(excluded) or {"label_selector": {}}],
        }
    remote = _actor_class(actor.capacity)
    return remote.options(
        name=actor.name,
        namespace=settings.placement.namespace,
        lifetime="detached",
        get_if_exists=True,
        max_restarts=-1,
        max_task_retries=0,
        num_cpus=0,
        resources={"session_slots": actor.capacity},
        runtime_env={"env_vars": session_environment(settings)},
        **where,
    ).remote(actor.label, session_id=actor.session_id, host=actor.host, capacity=actor.capacity)


@cache
def _actor_class(capacity: int) -> Any:
    """Made once: Ray disassembles and exports each class that it is given, and its control store
    keeps them all."""
    # Concurrency groups are the class's, not an option of one actor (Ray: `ActorClass.options`).
    class_options: dict[str, Any] = {"concurrency_groups": concurrency_groups(capacity)}
    return ray.remote(**class_options)(SessionActor)

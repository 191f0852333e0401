"""Creating the supervisor's actor, and having it live on another node."""

from __future__ import annotations

import time
from typing import Any

import ray
import structlog
from ray.exceptions import GetTimeoutError, RayActorError
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

from actors.supervisor import Supervisor
from cluster.domain.session import SUPERVISOR
from cluster.settings import Settings

__all__ = ["start_supervisor", "take_supervisor"]

log = structlog.get_logger(__name__)

_READY_SECONDS, _TRY_SECONDS, _PAUSE = 15.0, 60.0, 0.2


def start_supervisor(settings: Settings, node: str = "") -> Any:
    """Its handle; made if there is none. `node` (Ray's id): where it lives while that is alive."""
    where: dict[str, Any] = {}
    if node:
        where["scheduling_strategy"] = NodeAffinitySchedulingStrategy(node, soft=True)
    remote: Any = ray.remote(Supervisor)
    return remote.options(
        name=SUPERVISOR,
        namespace=settings.placement.namespace,
        lifetime="detached",
        get_if_exists=True,
        max_restarts=-1,
        max_concurrency=100,
        num_cpus=0,
        **where,
    ).remote()


def take_supervisor(settings: Settings, node: str) -> None:
    """End the supervisor where it is, and start it on `node`. Blocks.

    Ray's own restart of an actor whose process ended goes to any node, and was seen to go to the
    same one five times in a row. Raises `TimeoutError`.
    """
    deadline = time.monotonic() + _TRY_SECONDS
    try:
        ray.kill(ray.get_actor(SUPERVISOR, settings.placement.namespace), no_restart=True)
    except ValueError:
        log.info("supervisor.none_to_take")
    while True:
        supervisor = start_supervisor(settings, node)
        try:
            ray.get(supervisor.ready.remote(), timeout=_READY_SECONDS)
        except (RayActorError, GetTimeoutError) as error:
            # For a moment its name is that of the one that was ended.
            if time.monotonic() > deadline:
                raise TimeoutError("the supervisor did not start") from error
            time.sleep(_PAUSE)
        else:
            return

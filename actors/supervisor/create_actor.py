"""Creating the supervisor's actor, and having it live on another node."""

from __future__ import annotations

import time
from typing import Any

import ray
import structlog
from ray.exceptions import GetTimeoutError, RayActorError

from actors.supervisor.supervisor_actor import Supervisor
from actors.zygote.options import control_options, off_nodes, own_cert_file
from cluster.domain.session import SUPERVISOR
from cluster.settings import Settings

__all__ = ["start_supervisor", "take_supervisor"]

log = structlog.get_logger(__name__)

_READY_SECONDS, _TRY_SECONDS, _PAUSE = 15.0, 60.0, 0.2


def start_supervisor(settings: Settings, off: str = "") -> Any:
    """Its handle; made if there is none. `off` (Ray's id): a node that it shall not live on; Ray's
    own restarts keep to that."""
    remote: Any = ray.remote(Supervisor)
    return remote.options(
        name=SUPERVISOR,
        namespace=settings.placement.namespace,
        lifetime="detached",
        get_if_exists=True,
        max_restarts=-1,
        max_concurrency=100,
        num_cpus=0,
        **off_nodes([off] if off else []),
        **control_options(settings),
    ).remote(own_cert_file(settings))


def take_supervisor(settings: Settings, off: str) -> None:
    """End the supervisor on the node `off`, and start it on another. Blocks.

    Ray's own restart of an actor whose process ended goes to any node, and was seen to go to the
    same one five times in a row. Raises `TimeoutError`.
    """
    deadline = time.monotonic() + _TRY_SECONDS
    old: Any = None
    try:
        old = ray.get_actor(SUPERVISOR, settings.placement.namespace)
    except ValueError:
        log.info("supervisor.none_to_take")
    while True:
        if old is not None:
            ray.kill(old, no_restart=True)
        supervisor = start_supervisor(settings, off)
        # For a moment the name is that of the one that ends, and that one may still answer.
        if old is None or supervisor._actor_id != old._actor_id:
            try:
                ray.get(supervisor.ready.remote(), timeout=_READY_SECONDS)
            except (RayActorError, GetTimeoutError) as error:
                log.warning("supervisor.not_ready", error=str(error))
            else:
                return
        if time.monotonic() > deadline:
            raise TimeoutError("the supervisor did not start")
        time.sleep(_PAUSE)

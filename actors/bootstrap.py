"""Start or stop the control plane on a running Ray cluster: `python -m actors.bootstrap [--stop]`.

The supervisor is a detached actor: it lives in the cluster, not in this process.
"""

from __future__ import annotations

import asyncio
import os
from typing import Annotated, Any

import ray
import structlog
import typer

from actors.agent.agent_actor import start_agents, stop_agents
from actors.delivery.create_actors import start_dispatchers, stop_dispatchers
from actors.supervisor.create_actor import start_supervisor
from cluster.domain.errors import Unavailable
from cluster.domain.session import SUPERVISOR
from cluster.settings import Settings
from cluster.stores.objects import ObjectStore
from cluster.telemetry.configure import configure_telemetry

log = structlog.get_logger(__name__)


def bootstrap(
    stop: Annotated[
        bool, typer.Option(help="End all sessions cleanly and the supervisor.")
    ] = False,
    timeout: Annotated[float, typer.Option(help="Seconds to wait.")] = 120.0,
) -> None:
    """Start the supervisor (idempotent), or with --stop end all sessions cleanly first."""
    settings = Settings()
    configure_telemetry(settings, "bootstrap")
    ray.init(
        address=os.environ.get("RAY_ADDRESS", "auto"),
        namespace=settings.placement.namespace,
        log_to_driver=False,
    )
    try:
        if stop:
            _stop(settings, timeout)
        else:
            _start(settings, timeout)
    finally:
        ray.shutdown()


def _start(settings: Settings, timeout: float) -> None:
    # All at once: on each node the first waits for what the others are forked from.
    supervisor = start_supervisor(settings)
    others = [*start_dispatchers(settings), *start_agents(settings)]
    _make_bucket(settings)
    resumed: Any = ray.get(supervisor.resume.remote(), timeout=timeout)
    resumed.unwrap()
    ray.get([actor.ready.remote() for actor in (supervisor, *others)], timeout=timeout)
    log.info("bootstrap.up", actors=1 + len(others))


def _make_bucket(settings: Settings) -> None:
    """A new S3 server has none. One that is unreachable, or keeps its buckets to itself, holds up
    nothing: checkpoints wait, and `/health/ready` says so."""
    try:
        asyncio.run(ObjectStore(settings.stores).ensure_bucket())
    except Unavailable as error:
        log.warning("bootstrap.no_bucket", error=error.detail)


def _stop(settings: Settings, timeout: float) -> None:
    try:
        supervisor = ray.get_actor(SUPERVISOR, settings.placement.namespace)
    except ValueError:
        log.info("bootstrap.no_supervisor")
        return
    pending: Any = supervisor.stop_all.remote()
    reply: Any = ray.get(pending, timeout=timeout)
    log.info("bootstrap.sessions_stopped", count=reply.unwrap())
    ray.kill(supervisor, no_restart=True)
    stop_dispatchers(settings)
    stop_agents(settings)


def main() -> None:
    """The command line."""
    typer.run(bootstrap)


if __name__ == "__main__":
    main()

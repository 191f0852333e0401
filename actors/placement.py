"""Creating and finding session actors. The one place that knows their Ray options."""

from __future__ import annotations

import os
import sys
from collections.abc import Collection
from typing import Any

import ray

from actors.hosts.session_actor import SessionActor, concurrency_groups
from actors.lean import SESSION_PROCESS
from actors.prestart import prestart
from actors.zygote.launch import FORK
from cluster.domain.errors import Unavailable
from cluster.domain.session import SessionRecord
from cluster.settings import Settings

__all__ = ["NODE_LABEL", "create_session_actor", "off_nodes", "session_environment", "start_spare"]

#: Ray gives it to every node: its id.
NODE_LABEL = "ray.io/node-id"


#: Less memory for a little more work: Go collects its heap when it has grown by half, and threads
#: share two arenas of malloc.
_SMALL = {"GOGC": "50", "MALLOC_ARENA_MAX": "2"}


def session_environment(settings: Settings) -> dict[str, str]:
    """Environment of a process that hosts sessions. Go reads its own when the process starts."""
    found = {SESSION_PROCESS: "1", **{n: os.environ.get(n, value) for n, value in _SMALL.items()}}
    if settings.placement.fork and sys.platform == "linux":
        found[FORK] = "1"
    if settings.whatsapp.sandbox and settings.whatsapp.sandbox_ca_bundle:
        found["SSL_CERT_FILE"] = settings.whatsapp.sandbox_ca_bundle
    elif present := os.environ.get("SSL_CERT_FILE"):
        found["SSL_CERT_FILE"] = present
    return found


def start_spare(settings: Settings, node: str) -> None:
    """Have Ray start a process on a node (id) that a session actor can be placed in. Raises
    `Unavailable`."""
    listed: list[dict[str, Any]] = ray.nodes()  # type: ignore[no-untyped-call]
    found = next((n for n in listed if n["NodeID"] == node and n["Alive"]), None)
    if found is None:
        raise Unavailable(f"Ray does not know node {node}")
    raylet = f"{found['NodeManagerAddress']}:{found['NodeManagerPort']}"
    prestart(raylet, session_environment(settings), 1)


def off_nodes(excluded: Collection[str]) -> dict[str, Any]:
    """Options of an actor that shall live on none of these nodes (Ray ids); Ray's own restarts of
    it keep to that, too."""
    if not excluded:
        return {}
    return {"label_selector": {NODE_LABEL: f"!in({','.join(sorted(excluded))})"}}


def create_session_actor(
    record: SessionRecord, settings: Settings, excluded: Collection[str] = ()
) -> Any:
    """Create the session's actor on none of the nodes `excluded` (Ray ids), or return the one that
    exists. Ray's own restarts of it keep to that, too."""
    # Concurrency groups are the class's, not an option of one actor (Ray: `ActorClass.options`).
    class_options: dict[str, Any] = {"concurrency_groups": concurrency_groups(1)}
    remote: Any = ray.remote(**class_options)(SessionActor)
    return remote.options(
        name=record.actor_name,
        namespace=settings.placement.namespace,
        lifetime="detached",
        get_if_exists=True,
        max_restarts=-1,
        max_task_retries=0,
        num_cpus=0,
        resources={"session_slots": 1},
        scheduling_strategy="SPREAD",
        runtime_env={"env_vars": session_environment(settings)},
        **off_nodes(excluded),
    ).remote(f"{record.tenant}/{record.name}", session_id=record.id)

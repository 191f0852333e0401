"""What Ray Serve does in every replica, and what lets strangers in.

It opens a port for calls between deployments, on all addresses, whatever
RAY_SERVE_USE_GRPC_BY_DEFAULT says, that unpickles what comes (Ray 2.60, `_on_initialized` and
`handle_request` in serve/_private/replica.py): with the cluster's token whoever reaches it runs
code there. Our handles make actor calls, so it is not opened.

Its servers believe `X-Forwarded-For` of every process of the same machine, by uvicorn's default.
Whom to believe is the edge policy's to know (api/security/edge_policy.py).

They look ten times a second whether they are to end, and make a date once a second (uvicorn,
`Server.main_loop`): a third of what a replica or a proxy does while nobody asks.

Serve's controller looks at everything ten times a second, or as seldom as its setting says: then
each step of a start, or of a lost replica's replacement, waits so long. Each time it asks the GCS
three questions, of which only the first matters where there is one node. Its proxy looks twice a
second whether a new HAProxy has taken over from the one before, which takes a twentieth of that.

A replica that is asked to end stays reachable for seconds, until every HAProxy has left it out.
Where the whole front goes there is none to leave it for.
"""

from __future__ import annotations

import asyncio
import os
from typing import Any

import structlog
import uvicorn
from ray.serve._private import controller, haproxy, replica
from ray.serve._private.common import DeploymentStatus
from ray.serve._private.constants import RAY_GCS_RPC_TIMEOUT_S

from actors.supervisor.going_down import GoingDown
from actors.ticks import until_tick

__all__ = ["close_replica", "drain_by_need", "poll_at_once", "tick_by_need", "tick_seldom"]

log = structlog.get_logger(__name__)

#: Of uvicorn's ticks, a tenth of a second each, one in so many is made: those with a new date.
_TICKS = 10
#: Seconds between the controller's looks while something changes, and how many of them follow it:
#: what is deployed is passed to HAProxy in the next ones.
_QUICK, _AFTER = 0.1, 20
#: Seconds between a proxy's first looks whether its HAProxy answers, and how many there are.
_SOON, _POLLS = 0.02, 50


def close_replica() -> None:
    """In a replica, before it is initialized: while its application is built."""
    os.environ.setdefault("FORWARDED_ALLOW_IPS", "nobody")
    if hasattr(replica, "add_port_to_grpc_server"):
        replica.add_port_to_grpc_server = _no_port
    else:
        log.warning("ingress.replica_port_open", reason="this version of Ray opens it otherwise")


def _no_port(server: Any, address: str) -> int:
    """In place of adding a port to `server`."""
    return 0


def drain_by_need(front: GoingDown) -> None:
    """In a replica: when `front` goes, it takes no request from the beginning of its end on."""
    replicas: Any = replica.Replica
    if (usual := getattr(replicas, "_drain_behind_haproxy", None)) is None:
        log.warning("ingress.drains_longer", reason="this version of Ray drains otherwise")
        return

    async def drain(self: Any, reachable: float) -> None:
        goes = await asyncio.to_thread(front.get)
        await usual(self, 0.0 if goes else reachable)

    replicas._drain_behind_haproxy = drain


def tick_seldom() -> None:
    """In a process with such a server, before that serves."""
    setattr(uvicorn.Server, "main_loop", _main_loop)  # noqa: B010


def tick_by_need() -> None:
    """In Serve's controller, before its loop begins: it looks often while something changes, and
    else as its setting says, at the machine's moments. On the only node it does not ask meanwhile
    what is free there, and whether it drains."""
    module: Any = controller
    usual: float = module.CONTROL_LOOP_INTERVAL_S
    step = module.ServeController.run_control_loop_step
    steady = 0

    async def run_control_loop_step(self: Any, *arguments: Any) -> None:
        nonlocal steady
        nodes = self.cluster_node_info_cache
        vars(nodes).pop("update", None)
        if steady > _AFTER and _alone(nodes):
            nodes.update = _up_to_date
        await step(self, *arguments)
        statuses = [one.status for one in self.deployment_state_manager.get_deployment_statuses()]
        settled = bool(statuses) and set(statuses) == {DeploymentStatus.HEALTHY}
        steady = steady + 1 if settled else 0
        module.CONTROL_LOOP_INTERVAL_S = (
            until_tick(usual) if steady > _AFTER else min(usual, _QUICK)
        )

    module.ServeController.run_control_loop_step = run_control_loop_step


def _alone(nodes: Any) -> bool:
    """Whether the cluster still has one node, and never had another."""
    if len(nodes.get_alive_node_ids()) != 1:
        return False
    try:
        known = nodes._gcs_client.get_all_node_info(timeout=RAY_GCS_RPC_TIMEOUT_S)
    except Exception:  # noqa: BLE001 - the update that follows fails as well, and reports it
        return False
    return len(known) == 1


def _up_to_date() -> None:
    """In place of an update of what is known of nodes."""


def poll_at_once() -> None:
    """In Serve's proxy, before it starts HAProxy: it looks often in the first second, and then as
    Ray does."""
    api: Any = haproxy.HAProxyApi
    usual = api._wait_for_hap_availability

    async def wait(self: Any, process: Any, *arguments: Any, **named: Any) -> None:
        for _ in range(_POLLS):
            # Whose end is reported by what follows.
            if process.returncode is not None or await self._get_running_pid() == process.pid:
                break
            await asyncio.sleep(_SOON)
        await usual(self, process, *arguments, **named)

    api._wait_for_hap_availability = wait


async def _main_loop(server: uvicorn.Server) -> None:
    tick = 0
    while not await server.on_tick(tick):
        tick += _TICKS
        await asyncio.sleep(until_tick(_TICKS / 10))

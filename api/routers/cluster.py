"""The cluster for those who look at it: nodes, drains, owners; and what the caller may do."""

from __future__ import annotations

from typing import Annotated

from fastapi import Path, Query, Request

from api.models.cluster import (
    AccessInfo,
    DrainAnswer,
    NodeInfo,
    OwnershipInfo,
    SessionVitalsInfo,
    TrafficInfo,
)
from api.models.events import SessionDeadLetter
from api.paging import at_most
from api.params import MOST, GatewayDep, SessionName
from api.problems import responses
from api.router import Router
from api.security.caller import principal_of
from api.strict_json import StrictJsonRoute
from cluster.domain.errors import Conflict, Forbidden, Invalid, NotFound, Unauthorized, Unavailable

__all__ = ["router"]

router = Router(
    tags=["🔭 Cluster"],
    route_class=StrictJsonRoute,
    responses=responses(Unauthorized, Forbidden, Unavailable),
)
_Node = Annotated[
    str,
    Path(min_length=1, max_length=256, description="Name or id of the node, or its beginning."),
]


@router.get(
    "/api/access",
    operation_id="AccessController_get",
    summary="What the key or token may do",
)
async def access(request: Request, gateway: GatewayDep) -> AccessInfo:
    principal = principal_of(request)
    versions = await gateway.version()
    return AccessInfo.of(
        principal,
        sandbox=principal.operates and gateway.sandbox.there,
        version=versions.get("whatsapp-session-gateway", ""),
    )


@router.get(
    "/api/vitals",
    operation_id="VitalsController_list",
    summary="How sessions are doing",
    description="Node, epoch, memory, age of the checkpoint: of the sessions that the caller sees.",
    responses=responses(Invalid),
)
async def vitals(
    gateway: GatewayDep,
    sessions: Annotated[
        list[SessionName] | None, Query(max_length=500, description="Only these.")
    ] = None,
    limit: Annotated[int, Query(ge=0), at_most(1000)] = 500,
) -> list[SessionVitalsInfo]:
    return [SessionVitalsInfo.of(one) for one in await gateway.vitals(sessions, limit=limit)]


@router.get(
    "/api/vitals/traffic",
    operation_id="VitalsController_traffic",
    summary="What went through the sessions in the last hour",
    description="By minute: messages, events that webhooks took, and how long those had waited.",
)
async def traffic(
    gateway: GatewayDep,
    sessions: Annotated[
        list[SessionName] | None, Query(max_length=500, description="Only these.")
    ] = None,
) -> list[TrafficInfo]:
    return [TrafficInfo.of(one) for one in await gateway.traffic(sessions)]


@router.get(
    "/api/vitals/dead-letters",
    operation_id="VitalsController_deadLetters",
    summary="Events of any session that a webhook did not take",
    description="Those that wait, newest first; `POST /api/{session}/webhooks/dead-letters/replay` "
    "tries them again.",
)
async def dead_letters(
    gateway: GatewayDep,
    before: Annotated[int | None, Query(ge=1, le=MOST, description="Ids below this.")] = None,
    limit: Annotated[int, Query(ge=0), at_most(1000)] = 100,
) -> list[SessionDeadLetter]:
    found = await gateway.dead_letters(before=before, limit=limit)
    return [SessionDeadLetter.of_session(session, letter) for session, letter in found]


@router.get(
    "/api/cluster/nodes",
    operation_id="ClusterController_nodes",
    summary="Nodes with their sessions",
)
async def nodes(gateway: GatewayDep) -> list[NodeInfo]:
    return [NodeInfo.of(node) for node in await gateway.cluster.nodes()]


@router.post(
    "/api/cluster/nodes/{node}/drain",
    operation_id="ClusterController_drain",
    summary="Drain a node",
    description="It takes no more sessions, and those it has are handed over one after the other.",
    status_code=202,
    responses=responses(Conflict, NotFound, Invalid),
)
async def drain(gateway: GatewayDep, node: _Node) -> DrainAnswer:
    worker = await gateway.nodes.drain(node)
    return DrainAnswer(node=worker.name or worker.node, drained=True)


@router.post(
    "/api/cluster/nodes/{node}/undrain",
    operation_id="ClusterController_undrain",
    summary="Take sessions on a node again",
    responses=responses(Conflict, NotFound, Invalid),
)
async def undrain(gateway: GatewayDep, node: _Node) -> DrainAnswer:
    return DrainAnswer(node=await gateway.nodes.undrain(node), drained=False)


@router.get(
    "/api/cluster/ownerships",
    operation_id="ClusterController_ownerships",
    summary="Who owned which session when",
    description="Starts, handovers and takeovers in every tenant, newest first.",
    responses=responses(Invalid),
)
async def ownerships(
    gateway: GatewayDep, limit: Annotated[int, Query(ge=0), at_most(1000)] = 200
) -> list[OwnershipInfo]:
    return [OwnershipInfo.of(one) for one in await gateway.cluster.ownerships(limit=limit)]

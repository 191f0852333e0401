"""API keys, and the audit log: for admins."""

from __future__ import annotations

from typing import Annotated

from fastapi import Path, Query, Response

from api.gateway import Gateway
from api.models.keys import ApiKeyAnswer, ApiKeyRequest, AuditAnswer, ScopedApiKeyRequest
from api.paging import at_most
from api.params import MOST, GatewayDep
from api.problems import responses
from api.router import Router
from api.strict_json import StrictJsonRoute
from cluster.domain.errors import (
    Conflict,
    Forbidden,
    Invalid,
    NotFound,
    Unauthorized,
    Unavailable,
)
from cluster.domain.principal import SCOPES, check_tenant

__all__ = ["router"]

router = Router(
    tags=["🔑 Api Keys"],
    route_class=StrictJsonRoute,
    responses=responses(Invalid, Unauthorized, Forbidden, Unavailable),
)
KeyId = Annotated[str, Path(max_length=64, pattern=r"^[A-Za-z0-9_]+$")]


@router.post(
    "/api/keys",
    operation_id="ApiKeysController_create",
    summary="Create a new API key",
    description="The answer is the only one that has the whole key.",
    status_code=201,
    responses=responses(Conflict),
)
async def create(gateway: GatewayDep, request: ApiKeyRequest) -> ApiKeyAnswer:
    record, secret = await _for(gateway, request.tenant).keys.create(
        admin=request.isAdmin,
        session=request.session,
        actions=request.granted(),
        active=request.isActive,
    )
    return ApiKeyAnswer.of(record, secret)


@router.get("/api/keys", operation_id="ApiKeysController_list", summary="Get all API keys")
async def list_keys(
    gateway: GatewayDep,
    tenant: Annotated[
        str | None, Query(description="Of which tenant; the operator's to choose. Ours.")
    ] = None,
) -> list[ApiKeyAnswer]:
    return [ApiKeyAnswer.of(record) for record in await _for(gateway, tenant).keys.list()]


@router.post(
    "/api/keys/media",
    operation_id="ApiKeysController_media",
    summary="Create a media-download-only API key for a session",
    description="A new one each time: keys are kept as digests and cannot be shown again.",
    status_code=201,
    responses=responses(Conflict),
)
async def media_key(gateway: GatewayDep, request: ScopedApiKeyRequest) -> ApiKeyAnswer:
    return await _scoped(gateway, request.session, "media")


@router.post(
    "/api/keys/control",
    operation_id="ApiKeysController_control",
    summary="Create a control-only API key for a session",
    description="A new one each time: keys are kept as digests and cannot be shown again.",
    status_code=201,
    responses=responses(Conflict),
)
async def control_key(gateway: GatewayDep, request: ScopedApiKeyRequest) -> ApiKeyAnswer:
    return await _scoped(gateway, request.session, "control")


@router.put(
    "/api/keys/{id}",
    operation_id="ApiKeysController_update",
    summary="Update an API key",
    description="In effect within two seconds, on open streams within fifteen.",
    responses=responses(NotFound),
)
async def update(gateway: GatewayDep, id: KeyId, request: ApiKeyRequest) -> ApiKeyAnswer:
    record = await _for(gateway, request.tenant).keys.update(
        id,
        admin=request.isAdmin,
        session=request.session,
        actions=request.granted(),
        active=request.isActive,
    )
    return ApiKeyAnswer.of(record)


@router.delete(
    "/api/keys/{id}",
    operation_id="ApiKeysController_delete",
    summary="Delete an API key",
    responses=responses(NotFound),
)
async def delete(gateway: GatewayDep, id: KeyId, tenant: str | None = None) -> Response:
    await _for(gateway, tenant).keys.delete(id)
    return Response(status_code=200)


@router.get(
    "/api/audit",
    operation_id="AuditController_list",
    summary="Read the audit log",
    description="Control actions of the tenant, newest first; those that were refused too. Ours.",
)
async def audit(
    gateway: GatewayDep,
    before: Annotated[
        int | None, Query(ge=1, le=MOST, description="Entries with ids below it.")
    ] = None,
    limit: Annotated[int, Query(ge=0), at_most(1000)] = 100,
) -> list[AuditAnswer]:
    found = await gateway.keys.audit(before=before, limit=limit)
    return [AuditAnswer.of(entry) for entry in found]


async def _scoped(gateway: Gateway, session: str, scope: str) -> ApiKeyAnswer:
    record, secret = await gateway.keys.create(session=session, actions=SCOPES[scope])
    return ApiKeyAnswer.of(record, secret)


def _for(gateway: Gateway, tenant: str | None) -> Gateway:
    return gateway if tenant is None else gateway.for_tenant(check_tenant(tenant))

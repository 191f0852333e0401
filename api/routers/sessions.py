"""The life of sessions: create, look, start, stop, log out, delete."""

from __future__ import annotations

import secrets
from enum import StrEnum
from typing import Annotated, Any

from fastapi import Depends, Query, Request, Response

from api.files import FilesUrl
from api.gateway import Gateway
from api.models.apps import AppAnswer
from api.models.sessions import (
    DeprecatedLogout,
    DeprecatedStart,
    DeprecatedStop,
    LogoutRequest,
    MeInfo,
    SessionCreateRequest,
    SessionInfo,
    SessionUpdateRequest,
)
from api.params import GatewayDep, SessionPath
from api.problems import SessionExists, responses
from api.router import Router
from api.security.caller import principal_of
from api.strict_json import StrictJsonRoute
from cluster.domain.config_secrets import unmasked
from cluster.domain.errors import (
    BodyTooLarge,
    Conflict,
    Forbidden,
    Invalid,
    NotSupported,
    SessionNotFound,
    Unauthorized,
    Unavailable,
)
from cluster.domain.principal import Action
from cluster.domain.session import DesiredState, SessionRecord

__all__ = ["router"]

router = Router(
    prefix="/api/sessions",
    tags=["🖥️ Sessions"],
    route_class=StrictJsonRoute,
    responses=responses(Unauthorized, Unavailable),
)

_KNOWN = responses(Invalid, SessionNotFound)


class Expanded(StrEnum):
    APPS = "apps"


class _AppsOf:
    """The apps of a session, shown on demand."""

    def __init__(self, gateway: Gateway, base: str, *, wanted: bool) -> None:
        self._gateway, self._base, self._wanted = gateway, base, wanted

    async def __call__(self, session: str) -> list[AppAnswer] | None:
        """None where nobody asked for them."""
        if not self._wanted:
            return None
        found = await self._gateway.apps.list(session)
        return [AppAnswer.of(one, base=self._base) for one in found]


async def _apps_of(
    gateway: GatewayDep,
    request: Request,
    files: FilesUrl,
    expand: Annotated[
        list[Expanded] | None,
        Query(description="`apps`: with the session's apps; takes what `GET /api/apps` takes."),
    ] = None,
) -> _AppsOf:
    wanted = Expanded.APPS in (expand or ())
    if wanted and not principal_of(request).may((Action.APP,)):
        raise Forbidden(f"The key or token does not allow that: it takes {Action.APP}")
    return _AppsOf(gateway, files.base, wanted=wanted)


AppsOf = Annotated[_AppsOf, Depends(_apps_of)]


def _no_apps(apps: list[Any] | None) -> None:
    if apps:
        raise NotSupported(
            "apps are made by POST /api/apps, with the rights that this takes", field="apps"
        )


@router.get(
    "",
    operation_id="SessionsController_list",
    summary="List all sessions",
    responses=responses(Invalid),
)
async def list_sessions(
    gateway: GatewayDep,
    apps_of: AppsOf,
    all: Annotated[
        bool, Query(description="Return all sessions, including those that are STOPPED.")
    ] = False,
    search: Annotated[
        str,
        Query(
            max_length=100,
            description="Only those whose name, number or account's name has it, whatever its "
            "case. Ours.",
        ),
    ] = "",
) -> list[SessionInfo]:
    sought = search.casefold()
    records = [
        record
        for record in await gateway.list_sessions(all=all)
        if not sought or sought in _found_by(record)
    ]
    smaller = await gateway.smaller_promises(records)
    return [
        SessionInfo.of(record, promises, await apps_of(record.name))
        for record, promises in zip(records, smaller, strict=True)
    ]


def _found_by(record: SessionRecord) -> str:
    me = record.me
    return " ".join([record.name, *((me.push_name, f"+{me.id}", me.lid) if me else ())]).casefold()


@router.post(
    "",
    operation_id="SessionsController_create",
    summary="Create a session",
    description="Create a new session (and start it at the same time if required).",
    status_code=201,
    responses=responses(Invalid, SessionExists, BodyTooLarge, NotSupported),
)
async def create(gateway: GatewayDep, request: SessionCreateRequest | None = None) -> SessionInfo:
    request = request or SessionCreateRequest()
    _no_apps(request.apps)
    name = request.name or f"session_{secrets.token_hex(13)}"
    config = unmasked(request.config.stored(), {}) if request.config else {}
    try:
        record = await gateway.create_session(name, config, start=bool(request.start))
    except Conflict as error:
        raise SessionExists(
            f"Session '{name}' already exists. Use PUT to update it.", session=name
        ) from error
    return SessionInfo.of(record)


# The deprecated three stand before `/{session}/…` although no path of theirs is shadowed: WAHA's
# `/start` is no session's name there either.
@router.post(
    "/start",
    operation_id="SessionsController_DEPRACATED_start",
    summary="Upsert and Start session",
    status_code=201,
    deprecated=True,
    responses=responses(Invalid, Conflict, BodyTooLarge),
)
async def deprecated_start(gateway: GatewayDep, request: DeprecatedStart) -> SessionInfo:
    session = gateway.session(request.name)
    try:
        before = await session.info()
    except SessionNotFound:
        config = unmasked(request.config.stored(), {}) if request.config else {}
        return SessionInfo.of(await gateway.create_session(request.name, config, start=True))
    if request.config:
        await session.update(unmasked(request.config.stored(), before.config))
    return SessionInfo.of(await session.start())


@router.post(
    "/stop",
    operation_id="SessionsController_DEPRECATED_stop",
    summary="Stop (and Logout if asked) session",
    status_code=201,
    deprecated=True,
    responses=_KNOWN,
)
async def deprecated_stop(gateway: GatewayDep, request: DeprecatedStop) -> Response:
    session = gateway.session(request.name)
    if request.logout:
        await session.delete()
    else:
        await session.stop()
    return Response(status_code=201)


@router.post(
    "/logout",
    operation_id="SessionsController_DEPRECATED_logout",
    summary="Logout and Delete session.",
    status_code=201,
    deprecated=True,
    responses=_KNOWN,
)
async def deprecated_logout(gateway: GatewayDep, request: DeprecatedLogout) -> Response:
    await gateway.session(request.name).delete()
    return Response(status_code=201)


@router.get(
    "/{session}",
    operation_id="SessionsController_get",
    summary="Get session information",
    responses=_KNOWN,
)
async def get(gateway: GatewayDep, session: SessionPath, apps_of: AppsOf) -> SessionInfo:
    record = await session.info()
    (smaller,) = await gateway.smaller_promises([record])
    return SessionInfo.of(record, smaller, await apps_of(record.name))


@router.put(
    "/{session}",
    operation_id="SessionsController_update",
    summary="Update a session",
    description="Replace the configuration. A running session restarts with it. `***` keeps the "
    "secret that is there, for the same URL or proxy.",
    responses=_KNOWN | responses(BodyTooLarge),
)
async def update(session: SessionPath, request: SessionUpdateRequest | None = None) -> SessionInfo:
    _no_apps(request.apps if request else None)
    config = request.config.stored() if request and request.config else {}
    record = await session.update(unmasked(config, (await session.info()).config))
    if record.desired is DesiredState.RUNNING:
        record = await session.restart()
    return SessionInfo.of(record)


@router.delete(
    "/{session}",
    operation_id="SessionsController_delete",
    summary="Delete the session",
    description="Log out, stop and forget the session with its history.",
    responses=_KNOWN,
)
async def delete(session: SessionPath) -> Response:
    await session.delete()
    return Response(status_code=200)


@router.get(
    "/{session}/me",
    operation_id="SessionsController_getMe",
    summary="Get information about the authenticated account",
    responses=_KNOWN,
)
async def get_me(session: SessionPath) -> MeInfo | None:
    me = await session.me()
    return MeInfo.of(me) if me else None


@router.post(
    "/{session}/start",
    operation_id="SessionsController_start",
    summary="Start the session",
    description="The session must exist. Idempotent operation.",
    status_code=201,
    responses=_KNOWN,
)
async def start(session: SessionPath) -> SessionInfo:
    return SessionInfo.of(await session.start())


@router.post(
    "/{session}/stop",
    operation_id="SessionsController_stop",
    summary="Stop the session",
    description="The device stays linked. Idempotent operation.",
    status_code=201,
    responses=_KNOWN,
)
async def stop(session: SessionPath) -> SessionInfo:
    return SessionInfo.of(await session.stop())


@router.post(
    "/{session}/logout",
    operation_id="SessionsController_logout",
    summary="Logout from the session",
    description="Unlink the device; restart the session if it was not STOPPED.",
    status_code=201,
    responses=_KNOWN,
)
async def logout(session: SessionPath, request: LogoutRequest | None = None) -> SessionInfo:
    if request and request.apps and request.apps.purge:
        raise NotSupported(
            "apps are purged by POST /api/apps/{id}/purge, with the rights that this takes",
            field="apps.purge",
        )
    before = await session.info()
    record = await session.logout()
    if before.desired is DesiredState.RUNNING:
        record = await session.start()
    return SessionInfo.of(record)


@router.post(
    "/{session}/restart",
    operation_id="SessionsController_restart",
    summary="Restart the session",
    status_code=201,
    responses=_KNOWN,
)
async def restart(session: SessionPath) -> SessionInfo:
    return SessionInfo.of(await session.restart())


@router.post(
    "/{session}/move",
    operation_id="SessionsController_move",
    summary="Hand the session over to another node",
    description="With its newest state; what is sent to it meanwhile waits. Where to, the gateway "
    "decides: the node with the least load. Ours.",
    status_code=201,
    responses=_KNOWN | responses(Conflict),
)
async def move(session: SessionPath) -> SessionInfo:
    return SessionInfo.of(await session.move())

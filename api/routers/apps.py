"""Apps of sessions."""

from __future__ import annotations

from typing import Annotated, Any, TypeVar

from fastapi import Path, Query, Response
from pydantic import BaseModel, ValidationError

from api.files import FilesUrl
from api.models.apps import (
    AppAnswer,
    AppId,
    AppRequest,
    CallsConfig,
    ChatwootConfig,
    McpConfig,
    unmasked,
)
from api.params import GatewayDep, SessionName
from api.problems import responses
from api.router import Router
from api.strict_json import StrictJsonRoute
from cluster.chatwoot.templates import TEMPLATES, check_template
from cluster.domain.errors import (
    Conflict,
    Forbidden,
    Invalid,
    NotFound,
    NotSupported,
    SessionNotFound,
    Unauthorized,
    Unavailable,
)
from cluster.domain.principal import SCOPES, Action

__all__ = ["router"]

router = Router(
    tags=["🧩 Apps"],
    route_class=StrictJsonRoute,
    responses=responses(Invalid, Unauthorized, Forbidden, Unavailable),
)
_Id = Annotated[AppId, Path(description="The app's id.", examples=["app_1"])]
Config = TypeVar("Config", bound=BaseModel)
#: What agents may do with WhatsApp.
_AGENTS = SCOPES["send"]
_REFUSED = responses(SessionNotFound, Conflict, NotSupported)


@router.get(
    "/api/apps",
    operation_id="AppsController_list",
    summary="List all apps for a session",
    responses=responses(SessionNotFound),
)
async def list_apps(
    gateway: GatewayDep,
    files: FilesUrl,
    session: Annotated[SessionName, Query(description="Session name", examples=["default"])],
) -> list[AppAnswer]:
    return [AppAnswer.of(record, base=files.base) for record in await gateway.apps.list(session)]


@router.post(
    "/api/apps",
    operation_id="AppsController_create",
    summary="Create a new app",
    description="`mcp` makes a key for an agent, `chatwoot` a bridge to an inbox, `calls` rejects "
    "calls; the key, and the address for the inbox's webhook, are whole in this answer only.",
    status_code=201,
    responses=_REFUSED,
)
async def create(gateway: GatewayDep, files: FilesUrl, request: AppRequest) -> AppAnswer:
    config, actions = _read(request)
    record, secret = await gateway.apps.create(
        request.session,
        request.app,
        config,
        app_id=request.id,
        enabled=request.enabled,
        key_actions=actions,
    )
    return AppAnswer.of(record, secret, base=files.base)


@router.get(
    "/api/apps/{id}",
    operation_id="AppsController_get",
    summary="Get app by ID",
    responses=responses(NotFound),
)
async def get(gateway: GatewayDep, files: FilesUrl, id: _Id) -> AppAnswer:
    return AppAnswer.of(await gateway.apps.get(id), base=files.base)


@router.put(
    "/api/apps/{id}",
    operation_id="AppsController_update",
    summary="Update an existing app",
    description="As WAHA's: creates it where there is none. Kind and session stay what they are.",
    responses=_REFUSED | responses(NotFound),
)
async def update(gateway: GatewayDep, files: FilesUrl, id: _Id, request: AppRequest) -> AppAnswer:
    if request.id not in {None, id}:
        raise Invalid("the id of the body is not that of the path", field="id")
    try:
        before = await gateway.apps.get(id)
    except NotFound:
        return await create(gateway, files, request.model_copy(update={"id": id}))
    for name in ("app", "session"):
        if getattr(request, name) != getattr(before, name):
            raise Invalid(f"an app keeps its {name}: delete it and create another", field=name)
    if request.app == "chatwoot":
        request = request.model_copy(update={"config": unmasked(request.config, before.config)})
    config, actions = _read(request)
    return AppAnswer.of(
        await gateway.apps.update(id, config, enabled=request.enabled, key_actions=actions),
        base=files.base,
    )


@router.delete(
    "/api/apps/{id}",
    operation_id="AppsController_delete",
    summary="Delete an app",
    description="With its key.",
    responses=responses(NotFound),
)
async def delete(gateway: GatewayDep, id: _Id) -> Response:
    await gateway.apps.delete(id)
    return Response(status_code=200)


@router.post(
    "/api/apps/{id}/purge",
    operation_id="AppsController_purge",
    summary="Purge app storage by app ID",
    description="What it keeps of its own: `chatwoot` which message there is which one here.",
    status_code=201,
    responses=responses(NotFound),
)
async def purge(gateway: GatewayDep, files: FilesUrl, id: _Id) -> AppAnswer:
    return AppAnswer.of(await gateway.apps.purge(id), base=files.base)


@router.post(
    "/api/apps/{app}/{session}/purge",
    operation_id="AppsController_purgeUniqueApp",
    summary="Purge app storage by app name and session",
    status_code=201,
    responses=responses(NotFound, SessionNotFound),
)
async def purge_of_session(
    gateway: GatewayDep,
    files: FilesUrl,
    app: Annotated[str, Path(max_length=64, examples=["mcp"])],
    session: Annotated[SessionName, Path(examples=["default"])],
) -> AppAnswer:
    for record in await gateway.apps.list(session):
        if record.app == app and record.enabled:
            return await purge(gateway, files, record.id)
    raise NotFound(f"the session has no {app} app that is enabled")


def _read(request: AppRequest) -> tuple[dict[str, Any], frozenset[Action] | None]:
    """What is kept of the configuration, and what the app's key may do (None: it has none)."""
    if request.app == "mcp":
        config = _checked(McpConfig, request.config)
        kept = config.model_dump(include={"actions"}, exclude_none=True)
        return kept, config.actions.actions()
    if request.app == "chatwoot":
        bridge = _checked(ChatwootConfig, request.config)
        for name, text in (bridge.templates or {}).items():
            field = f"config.templates.{name}"
            if name not in TEMPLATES:
                raise Invalid(f"{field}: there are {', '.join(TEMPLATES)}", field=field)
            check_template(text, field)
        return bridge.model_dump(exclude_none=True, exclude={"webhook"}), _AGENTS
    if request.app == "calls":
        return _checked(CallsConfig, request.config).model_dump(exclude_none=True), None
    raise NotSupported(
        f"there is no app {request.app} here; docs/api/apps.md says what does it", field="app"
    )


def _checked(model: type[Config], config: dict[str, Any]) -> Config:
    try:
        return model.model_validate(config)
    except ValidationError as error:
        found = error.errors()[0]
        place = ".".join(str(part) for part in ("config", *found["loc"]))
        raise Invalid(f"{place}: {found['msg']}", field=place) from error

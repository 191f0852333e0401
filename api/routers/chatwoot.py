"""Where Chatwoot reports what agents do."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import Path
from pydantic import BaseModel, ConfigDict

from api.models.apps import AppId
from api.params import GatewayDep, SessionName
from api.problems import responses
from api.router import Router
from api.strict_json import StrictJsonRoute
from cluster.domain.errors import (
    Forbidden,
    Invalid,
    NotFound,
    SessionNotFound,
    SessionNotWorking,
    Unauthorized,
    Unavailable,
)

__all__ = ["router"]

router = Router(
    tags=["🧩 Apps"],
    route_class=StrictJsonRoute,
    responses=responses(
        Invalid, Unauthorized, Forbidden, NotFound, SessionNotFound, SessionNotWorking, Unavailable
    ),
)


class ChatwootEvent(BaseModel):
    """What Chatwoot's webhooks of an API inbox say."""

    model_config = ConfigDict(
        extra="allow", json_schema_extra={"examples": [{"event": "conversation_updated"}]}
    )

    event: str = ""


class Taken(BaseModel):
    success: bool = True


@router.post(
    "/webhooks/chatwoot/{session}/{id}/{key}",
    operation_id="ChatwootController_webhook",
    summary="Chatwoot's webhook",
    description="The app's first answer has the address: its last part is the app's key. What "
    "was not sent is refused, and Chatwoot shows it as failed.",
)
async def take(
    gateway: GatewayDep,
    session: Annotated[SessionName, Path(examples=["default"])],
    id: Annotated[AppId, Path(examples=["app_1"])],
    key: Annotated[str, Path(max_length=64)],
    event: ChatwootEvent,
) -> Taken:
    body: dict[str, Any] = event.model_dump()
    await gateway.chatwoot(session, id).take(body)
    return Taken()

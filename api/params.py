"""Parameters that many routes share: the gateway, and sessions and chats in paths."""

from __future__ import annotations

from typing import Annotated

from fastapi import Depends, Path
from pydantic import StringConstraints
from starlette.requests import HTTPConnection

from api.gateway import Gateway
from api.security.caller import gateway_of
from client.session import SessionClient
from cluster.domain.chat_id import ChatId, parse_chat_id

__all__ = [
    "MOST",
    "AnyChatPath",
    "GatewayDep",
    "SessionName",
    "SessionPath",
    "every_chat_or",
]

#: The largest number that PostgreSQL keeps as `bigint`; every integer of a request has a bound.
MOST = 2**63 - 1
#: The same as `cluster.domain.session.check_session_name`, for OpenAPI and bodies.
SessionName = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9_-]{1,64}$")]


async def _gateway(connection: HTTPConnection) -> Gateway:
    return gateway_of(connection)


GatewayDep = Annotated[Gateway, Depends(_gateway)]


async def _session(
    session: Annotated[
        SessionName, Path(description="Session name", openapi_examples={"it": {"value": "default"}})
    ],
    gateway: GatewayDep,
) -> SessionClient:
    return gateway.session(session)


SessionPath = Annotated[SessionClient, Depends(_session)]


def every_chat_or(chat_id: str) -> ChatId | None:
    """WAHA's `all` is every chat: None. Raises `Invalid` naming `chatId`."""
    return None if chat_id == "all" else parse_chat_id(chat_id)


async def _chat(
    chat_id: Annotated[
        str,
        Path(
            alias="chatId",
            description="Chat ID: `…@c.us`, `…@lid`, `…@g.us`, a plain number, or `all`",
            openapi_examples={"person": {"value": "11111111111@c.us"}, "every": {"value": "all"}},
        ),
    ],
) -> ChatId | None:
    return every_chat_or(chat_id)


#: A chat of the path; None for `all`.
AnyChatPath = Annotated[ChatId | None, Depends(_chat)]

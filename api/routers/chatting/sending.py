"""What all routes that send have in common."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import Header, Query

from api.files import FilesUrl
from api.models.messages import WAMessage
from api.params import GatewayDep, SessionName
from api.problems import responses
from client.session import SessionClient
from cluster.domain.errors import (
    BodyTooLarge,
    Conflict,
    Invalid,
    NotOnWhatsApp,
    SessionNotWorking,
    WhatsAppRefused,
)
from cluster.domain.message import SentMessage
from cluster.domain.session import Me

__all__ = ["ASKING", "DURABLE", "FILES", "SENDING", "IdempotencyKey", "Sender", "SessionQuery"]

SessionQuery = Annotated[SessionName, Query(description="Session name")]
IdempotencyKey = Annotated[str | None, Header(min_length=1, max_length=255)]
SENDING: dict[str, Any] = {
    "status_code": 201,
    "responses": responses(
        Invalid, SessionNotWorking, NotOnWhatsApp, BodyTooLarge, Conflict, WhatsAppRefused
    ),
}
ASKING: dict[str, Any] = {"responses": responses(Invalid, SessionNotWorking, WhatsAppRefused)}
DURABLE = (
    "Answers when WhatsApp has taken the message, or when it is durably accepted (`ack` 0) and "
    "will be sent. The same `Idempotency-Key`, or `id`, is the same message."
)
FILES = f"The file by URL, as base64, or uploaded before. {DURABLE}"


class Sender:
    """One request to send: the session, who it is, and how the answer is made."""

    def __init__(self, session: SessionClient, me: Me | None, files: str) -> None:
        self.session = session
        self._me = me
        self._files = files

    @classmethod
    async def of(cls, gateway: GatewayDep, name: str, files: FilesUrl) -> Sender:
        session = gateway.session(name)
        # Before the send: nothing that can fail may stand between an accepted message and its
        # answer.
        return cls(session, await session.me(), files(name))

    @classmethod
    async def of_text(cls, gateway: GatewayDep, name: str, files: FilesUrl) -> Sender:
        """Of a request that has nothing done before the send, which says whether the session may
        send."""
        session = gateway.session(name)
        return cls(session, await session.sender(), files(name))

    def answer(self, sent: SentMessage) -> WAMessage:
        return WAMessage.of_send(sent, sent.sender or self._me, files=self._files)

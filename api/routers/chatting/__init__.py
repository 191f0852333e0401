"""Sending messages, and what else one does while chatting."""

from __future__ import annotations

from api.problems import responses
from api.router import Router
from api.routers.chatting import attachments, marks, structured, texts
from api.routers.chatting.sending import IdempotencyKey
from cluster.domain.errors import Invalid, SessionNotFound, Unauthorized, Unavailable

__all__ = ["IdempotencyKey", "router"]

# Without a prefix: the whole path stands at the route, and by it the table of what a route takes
# knows it.
router = Router(
    tags=["📤 Chatting"],
    responses=responses(Invalid, SessionNotFound, Unauthorized, Unavailable),
)
for part in (texts, attachments, structured, marks):
    router.include_router(part.router)

"""Groups: looking, creating, members, settings, invitations."""

from __future__ import annotations

from api.problems import responses
from api.router import Router
from api.routers.groups import about, members, rules, whole
from cluster.domain.errors import (
    BodyTooLarge,
    Invalid,
    NotFound,
    NotPermitted,
    SessionNotFound,
    SessionNotWorking,
    Unauthorized,
    Unavailable,
    WhatsAppRefused,
)

__all__ = ["router"]

# Without a prefix: the whole path stands at the route, and by it the table of what a route takes
# knows it.
router = Router(
    tags=["👥 Groups"],
    responses=responses(
        Invalid,
        SessionNotWorking,
        SessionNotFound,
        Unauthorized,
        Unavailable,
        WhatsAppRefused,
        NotFound,
        NotPermitted,
        BodyTooLarge,
    ),
)
for part in (whole, about, rules, members):
    router.include_router(part.router)

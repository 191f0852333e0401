"""Calls that nobody takes: rejected, and answered with a text. WAHA's app of that name."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, Protocol

from cluster.domain.errors import NotFound, NotOnWhatsApp, SessionNotWorking
from cluster.events.envelope import Event, EventSource
from cluster.stores.apps import AppRecord

if TYPE_CHECKING:
    from client.session import SessionClient

__all__ = ["reject"]

#: A call that is older has ended: there is nothing to reject, and an answer comes out of nowhere.
_STALE = timedelta(minutes=2)


class Sessions(Protocol):
    def session(self, tenant: str, session: str) -> SessionClient:
        """The session that was called."""


async def reject(app: AppRecord, sessions: Sessions, event: Event, source: EventSource) -> None:
    """Reject the call and send the text, as the app says for people and for groups. Raises
    `GatewayError`; called twice it sends once."""
    call = event.payload
    wanted: Mapping[str, Any] = app.config.get("group" if call.get("isGroup") else "dm") or {}
    if event.type != "call.received" or datetime.now(UTC) - event.happened_at > _STALE:
        return
    session = sessions.session(app.tenant, source.name)
    caller = str(call["from"])
    try:
        if wanted.get("reject"):
            await session.calls.reject(caller, str(call["id"]))
        if text := wanted.get("message"):
            await session.send_text(
                caller, str(text), link_preview=False, idempotency_key=f"call:{event.id}"
            )
    except (NotFound, NotOnWhatsApp, SessionNotWorking):
        return  # who called is gone, or nobody can answer any more

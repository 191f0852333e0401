"""The names of events, and which of them a subscription means."""

from __future__ import annotations

from collections.abc import Iterable

__all__ = ["ENGINE_EVENT", "OURS", "WAHA", "expand", "unknown"]

ENGINE_EVENT = "engine.event"

#: WAHA's names (waha-py, `WAHAWebhook…`; https://waha.devlike.pro/docs/how-to/events/).
WAHA = (
    "session.status",
    "message",
    "message.any",
    "message.ack",
    "message.ack.group",
    "message.reaction",
    "message.edited",
    "message.revoked",
    "message.waiting",
    "presence.update",
    "group.join",
    "group.leave",
    "group.v2.join",
    "group.v2.leave",
    "group.v2.participants",
    "group.v2.participants.join-request",
    "group.v2.update",
    "poll.vote",
    "poll.vote.failed",
    "event.response",
    "event.response.failed",
    "chat.archive",
    "call.received",
    "call.accepted",
    "call.rejected",
    "label.upsert",
    "label.deleted",
    "label.chat.added",
    "label.chat.deleted",
    "state.change",
    ENGINE_EVENT,
)

#: What WAHA has no event for. `*` leaves them out: its clients would meet names they do not know.
OURS = (
    "message.status",
    "message.change.refused",
    "session.takeover",
    "session.checkpoint",
    "event.quarantined",
    "webhook.test",
    "app.command",
)


def expand(wanted: Iterable[str]) -> frozenset[str]:
    """The event names that a list of a configuration means: `*` is every one of WAHA's but
    `engine.event`, as WAHA has it."""
    asked = {name.strip() for name in wanted}
    if "*" in asked:
        asked |= set(WAHA) - {ENGINE_EVENT}
    return frozenset(asked & {*WAHA, *OURS})


def unknown(wanted: Iterable[str]) -> list[str]:
    """Those that name no event."""
    return sorted({name.strip() for name in wanted} - {*WAHA, *OURS, "*"})

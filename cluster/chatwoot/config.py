"""The configuration of a Chatwoot app, as it is kept."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Self

from cluster.chatwoot.templates import TEMPLATES, render

__all__ = ["EVERY_STATUS", "ChatwootConfig"]

EVERY_STATUS = ("open", "pending", "snoozed", "resolved")


@dataclass(frozen=True, kw_only=True, slots=True)
class ChatwootConfig:
    """By WAHA's names."""

    #: Of the installation, without a slash at its end.
    url: str
    account_id: int
    account_token: str
    inbox_id: int
    #: Of the inbox, in addresses of the public API.
    inbox_identifier: str
    #: Look at links of what agents write.
    link_preview: bool
    #: Messages from the phone: as private notes, or as messages of an agent.
    notes: bool
    #: A conversation in one of these is gone on with; without one a new one begins.
    statuses: frozenset[str]
    #: `activity_newest`, `created_oldest` …: which of several.
    sort: str
    mark_read: bool
    sync_status: bool
    #: Groups are conversations as well.
    groups: bool
    #: Agents command the session in the conversation that reports on it.
    commands: bool
    #: Texts in other words: see `cluster.chatwoot.templates`.
    templates: Mapping[str, str]

    @classmethod
    def of(cls, kept: Mapping[str, Any]) -> Self:
        talks = kept.get("conversations") or {}
        return cls(
            url=str(kept["url"]).rstrip("/"),
            account_id=int(kept["accountId"]),
            account_token=str(kept["accountToken"]),
            inbox_id=int(kept["inboxId"]),
            inbox_identifier=str(kept["inboxIdentifier"]),
            link_preview=kept.get("linkPreview", "OFF") != "OFF",
            notes=talks.get("outgoing", "private-note") != "message",
            statuses=frozenset(talks.get("status") or EVERY_STATUS),
            sort=str(talks.get("sort") or "created_newest"),
            mark_read=talks.get("markAsRead") is not False,
            sync_status=bool(talks.get("syncMessageStatus")),
            groups=talks.get("groups") is not False,
            commands=bool((kept.get("commands") or {}).get("server")),
            templates=kept.get("templates") or {},
        )

    def text(self, name: str, **values: Any) -> str:
        """A template, filled in."""
        return render(self.templates.get(name, TEMPLATES[name]), values)

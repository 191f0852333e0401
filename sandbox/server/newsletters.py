"""Channels: who follows them, what was posted, and how they look in an answer.

The JSON is that of WhatsApp's GraphQL (whatsmeow: types/newsletter.go).
"""

from __future__ import annotations

import secrets
import time
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any

from sandbox.wire.jid import NEWSLETTER, Jid

if TYPE_CHECKING:
    from sandbox.server.server import Server

__all__ = [
    "Newsletter",
    "Post",
    "all_of",
    "by_invite",
    "create",
    "find",
    "metadata",
    "post",
    "save",
]

_KIND = "newsletter"


@dataclass(slots=True, kw_only=True)
class Post:
    """One message of a channel."""

    id: str
    #: Counts up within the channel.
    server_id: int
    timestamp: int
    #: A serialised message, hex.
    message: str
    views: int = 0
    #: emoji -> how many
    reactions: dict[str, int] = field(default_factory=dict)


@dataclass(slots=True, kw_only=True)
class Newsletter:
    """One channel."""

    id: str
    name: str
    owner: str
    created: int
    invite: str
    description: str = ""
    picture_id: str = ""
    #: number -> whether it is muted
    followers: dict[str, bool] = field(default_factory=dict)
    posts: list[dict[str, Any]] = field(default_factory=list)

    @property
    def jid(self) -> Jid:
        return Jid(self.id, NEWSLETTER)

    def role(self, number: str) -> str:
        if number == self.owner:
            return "OWNER"
        return "SUBSCRIBER" if number in self.followers else "GUEST"


def create(server: Server, owner: str, name: str, description: str = "") -> Newsletter:
    """A new channel; its owner follows it."""
    newsletter = Newsletter(
        id=f"1203631{time.time_ns() // 1000}"[:18],
        name=name,
        owner=owner,
        created=server.now(),
        invite=f"0029Va{secrets.token_hex(8)}",
        description=description,
        followers={owner: False},
    )
    save(server, newsletter)
    return newsletter


def post(server: Server, newsletter: Newsletter, message: bytes) -> Post:
    """A new message of a channel."""
    written = Post(
        id=secrets.token_hex(10).upper(),
        server_id=100 + len(newsletter.posts),
        timestamp=server.now(),
        message=message.hex(),
    )
    newsletter.posts.append(asdict(written))
    save(server, newsletter)
    return written


def save(server: Server, newsletter: Newsletter) -> None:
    server.store.set_document(_KIND, newsletter.id, asdict(newsletter))


def find(server: Server, jid: Jid) -> Newsletter | None:
    data = server.store.document(_KIND, jid.user)
    return Newsletter(**data) if data else None


def by_invite(server: Server, code: str) -> Newsletter | None:
    documents = server.store.documents(_KIND).values()
    return next((Newsletter(**data) for data in documents if data["invite"] == code), None)


def all_of(server: Server, number: str) -> list[Newsletter]:
    """The channels an account follows."""
    found = [Newsletter(**data) for data in server.store.documents(_KIND).values()]
    return [newsletter for newsletter in found if number in newsletter.followers]


def metadata(newsletter: Newsletter, number: str, *, viewer: bool = True) -> dict[str, Any]:
    """A channel as `number` sees it."""

    def text(value: str) -> dict[str, str]:
        micros = str(newsletter.created * 1_000_000)
        return {"text": value, "id": micros, "update_time": micros}

    picture = f"/v/{newsletter.picture_id}.jpg?ccb=1" if newsletter.picture_id else ""
    shown = {"id": newsletter.picture_id, "type": "IMAGE", "direct_path": picture}
    told: dict[str, Any] = {
        "id": str(newsletter.jid),
        "state": {"type": "ACTIVE"},
        "thread_metadata": {
            "creation_time": str(newsletter.created),
            "invite": newsletter.invite,
            "name": text(newsletter.name),
            "description": text(newsletter.description),
            "subscribers_count": str(len(newsletter.followers)),
            "verification": "UNVERIFIED",
            "picture": shown,
            "preview": shown | {"type": "PREVIEW"},
            "settings": {"reaction_codes": {"value": "ALL"}},
        },
        "viewer_metadata": None,
    }
    if viewer:
        muted = newsletter.followers.get(number, False)
        told["viewer_metadata"] = {
            "mute": "ON" if muted else "OFF",
            "role": newsletter.role(number),
        }
    return told

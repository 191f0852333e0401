"""Channels: who follows them, what was posted, how they look in an answer, and who is notified.

The JSON is that of WhatsApp's GraphQL (whatsmeow: types/newsletter.go).
"""

from __future__ import annotations

import secrets
import time
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any

from sandbox.wire.jid import NEWSLETTER, Jid
from sandbox.wire.node import Node

if TYPE_CHECKING:
    from sandbox.server.server import Server

__all__ = [
    "Newsletter",
    "Post",
    "all_of",
    "by_id",
    "by_invite",
    "change",
    "create",
    "delete",
    "find",
    "metadata",
    "notify_change",
    "post",
    "post_node",
    "publish",
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
    #: A serialised message, hex; empty when it was deleted.
    message: str
    #: `text`, `media`, `poll`, as its stanza said
    type: str = "text"
    views: int = 0
    #: emoji -> how many
    reactions: dict[str, int] = field(default_factory=dict)
    #: number -> the emoji of an account's reaction, which `reactions` counts
    reacted: dict[str, str] = field(default_factory=dict)


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
    #: numbers that may post, beside the owner
    admins: list[str] = field(default_factory=list)
    posts: list[dict[str, Any]] = field(default_factory=list)

    @property
    def jid(self) -> Jid:
        return Jid(self.id, NEWSLETTER)

    def role(self, number: str) -> str:
        if number == self.owner:
            return "OWNER"
        if number in self.admins:
            return "ADMIN"
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


def post(
    server: Server, newsletter: Newsletter, message: bytes, *, id: str = "", type: str = "text"
) -> Post:
    """A new message of a channel."""
    written = Post(
        id=id or secrets.token_hex(10).upper(),
        server_id=100 + len(newsletter.posts),
        timestamp=server.now(),
        message=message.hex(),
        type=type,
    )
    newsletter.posts.append(asdict(written))
    save(server, newsletter)
    return written


def change(server: Server, newsletter: Newsletter, changed: Post) -> None:
    """Keep a message that is another now."""
    at = next(n for n, one in enumerate(newsletter.posts) if one["id"] == changed.id)
    newsletter.posts[at] = asdict(changed)
    save(server, newsletter)


def by_id(newsletter: Newsletter, id: str) -> Post | None:
    """A message by its id, or by the number that it has in the channel."""
    found = (p for p in newsletter.posts if id in (p["id"], str(p["server_id"])))
    return next((Post(**one) for one in found), None)


def delete(server: Server, newsletter: Newsletter) -> None:
    """The channel and all of its messages."""
    server.store.set_document(_KIND, newsletter.id, None)


def post_node(one: Post, *, changes_only: bool = False) -> Node:
    """A message of a channel in an answer; `changes_only`: with nothing but what changes."""
    content = [] if changes_only else [Node.make("plaintext", bytes.fromhex(one.message))]
    if one.views:
        content.append(Node.make("views_count", count=one.views))
    if one.reactions:
        counts = [Node.make("reaction", code=code, count=n) for code, n in one.reactions.items()]
        content.append(Node.make("reactions", counts))
    return Node.make(
        "message", content, id=one.id, server_id=one.server_id, t=one.timestamp, type=one.type
    )


async def publish(
    server: Server, newsletter: Newsletter, one: Post, *, by: tuple[str, int], edit: str = ""
) -> None:
    """Push a message to all who follow the channel, but to the device that it came from."""
    node = post_node(one)
    node.attrs["from"] = newsletter.jid
    if edit:
        node.attrs["edit"] = edit
    for number in list(newsletter.followers):
        but = by[1] if number == by[0] else None
        await server.delivery.to_account(number, node, but=but)


async def notify_change(server: Server, newsletter: Newsletter, one: Post) -> None:
    """Notify those who asked for live updates of how often a message was seen and reacted to."""
    messages = Node.make("messages", [post_node(one, changes_only=True)], t=server.now())
    node = Node.make(
        "notification",
        [Node.make("live_updates", [messages])],
        from_=newsletter.jid,
        type="newsletter",
        id=secrets.token_hex(8),
        t=server.now(),
    )
    for (number, device), until in list(server.live_channels.get(newsletter.id, {}).items()):
        if until > server.now():
            await server.delivery.deliver(number, device, node)


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
    answer: dict[str, Any] = {
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
        answer["viewer_metadata"] = {
            "mute": "ON" if muted else "OFF",
            "role": newsletter.role(number),
        }
    return answer

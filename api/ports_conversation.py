"""What the routes about conversations need of a session: its facets of the cluster's client."""

from __future__ import annotations

from typing import Protocol

from cluster.client.chats import Chats
from cluster.client.chatting import Chatting
from cluster.client.media import Media
from cluster.client.outbox import Outbox
from cluster.client.status import Status
from cluster.media.workshop import Workshop

__all__ = ["ConversationPort"]


class ConversationPort(Protocol):
    """See the classes."""

    #: The session's name.
    name: str

    @property
    def chatting(self) -> Chatting: ...

    @property
    def chats(self) -> Chats: ...

    @property
    def media(self) -> Media: ...

    @property
    def outbox(self) -> Outbox: ...

    @property
    def status(self) -> Status: ...

    @property
    def workshop(self) -> Workshop: ...

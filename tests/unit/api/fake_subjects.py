"""What a session's owner would answer, verb by verb: the real facades run on top of it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from cluster.domain.label import Label

__all__ = ["ANSWERS", "FakeLabelStore"]

ALICE, BOB = "4915100001@s.whatsapp.net", "4915100002@s.whatsapp.net"
GROUP: dict[str, Any] = {
    "jid": "120363000000000001@g.us",
    "subject": "Friends",
    "subject_at": 1767323045.0,
    "owner": "1000@lid",
    "members": [
        {"jid": "1000@lid", "lid": "1000@lid", "phone": ALICE, "role": "superadmin"},
        {"jid": "2000@lid", "lid": "2000@lid", "phone": BOB, "role": "participant"},
    ],
}
CONTACT = {"jid": BOB, "lid": "2000@lid", "name": "Bob B", "first_name": "Bob", "push_name": "B"}
CHANNEL = {"jid": "120363000000000002@newsletter", "name": "News", "role": "OWNER"}
SEEN = {"participant": BOB, "state": "online", "last_seen": 0}

#: Verb → what it answers; verbs that answer nothing are missing.
ANSWERS: dict[str, Any] = {
    "groups.list": [GROUP],
    "groups.get": GROUP,
    "groups.create": GROUP,
    "groups.preview": GROUP,
    "groups.join": GROUP["jid"],
    "groups.invite": "https://chat.whatsapp.com/abc",
    "groups.members": [GROUP["members"][1]],
    "groups.approve": [GROUP["members"][1]],
    "groups.join_requests": [{"jid": "2000@lid", "phone": BOB, "requested_at": 1767323045.0}],
    "contacts.all": [CONTACT],
    "contacts.get": CONTACT,
    "contacts.about": "Busy",
    "contacts.picture": "https://pps.whatsapp.net/v/1.jpg",
    "lids.all": [["1000@lid", ALICE], ["2000@lid", BOB]],
    "lids.phone": BOB,
    "lids.lid": "2000@lid",
    "profile.get": {"jid": ALICE, "name": "Alice", "picture": ""},
    "presence.get": {"chat": BOB, "presences": [SEEN]},
    "presence.all": [{"chat": BOB, "presences": [SEEN]}],
    "channels.list": [CHANNEL],
    "channels.get": CHANNEL,
    "channels.by_invite": CHANNEL,
    "channels.create": CHANNEL,
    "channels.messages": [
        {"server_id": 100, "kind": "text", "body": "hi", "views": 1, "reactions": {"👍": 1}}
    ],
}


class FakeLabelStore:
    """`cluster.stores.labels.LabelStore`, in memory."""

    def __init__(self) -> None:
        self._labels: dict[str, Label] = {}
        self._chats: set[tuple[str, str]] = set()

    async def list(self, session_id: int) -> Sequence[Label]:
        return list(self._labels.values())

    async def add(self, session_id: int, name: str, color: int) -> Label:
        label = Label(id=str(1001 + len(self._labels)), name=name, color=color)
        await self.put(session_id, label)
        return label

    async def put(self, session_id: int, label: Label) -> None:
        self._labels[label.id] = label

    async def delete(self, session_id: int, label_id: str) -> None:
        self._labels.pop(label_id, None)

    async def of_chat(self, session_id: int, chat: str) -> Sequence[Label]:
        return [label for label in self._labels.values() if (label.id, chat) in self._chats]

    async def chats(self, session_id: int, label_id: str) -> Sequence[str]:
        return [chat for label, chat in self._chats if label == label_id]

    async def mark(self, session_id: int, label_id: str, chat: str, *, labeled: bool) -> None:
        (self._chats.add if labeled else self._chats.discard)((label_id, chat))

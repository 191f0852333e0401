"""A whole session over real stores, whose client hears what a test says in the library's place."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, cast

from google.protobuf.message import Message as Protobuf
from neonize.proto import Neonize_pb2 as pb
from neonize.proto.waE2E.WAWebProtobufsE2E_pb2 import Message

from actors.session.owner import SessionEnded
from actors.session.session import Session
from actors.whatsapp.neonize_client import NeonizeClient
from cluster.domain.errors import Unavailable
from cluster.domain.session import SessionRecord, SessionStatus
from cluster.settings import Settings
from cluster.stores import Stores

#: A text of protobuf must be UTF-8 when it is set: this one stands for bytes that are not.
PLACEHOLDER, NO_UTF8 = "TEXTTEXT", b"hi\xf0\x9f\x98\xff\xfe\x80"


class Unplugged(NeonizeClient):
    """The adapter without the library behind it: `hears` stands for its callback."""

    async def connect(self) -> None:
        self._stream.start(self._broken)
        self.hears(3, pb.Connected(status=True).SerializeToString())

    async def close(self) -> None:
        self._closed = True

    def hears(self, code: int, raw: bytes) -> None:
        self._stream.said(self._loop, code, raw)


@dataclass(slots=True)
class Running:
    """A session under way, and its adapter."""

    session: Session
    stores: Stores
    clients: list[Unplugged]
    task: asyncio.Task[SessionEnded]

    async def works(self) -> None:
        async with asyncio.timeout(30):
            while self.session.status is not SessionStatus.WORKING:  # noqa: ASYNC110
                await asyncio.sleep(0.02)

    def hears(self, code: int, said: Protobuf | bytes) -> None:
        self.clients[-1].hears(code, said if isinstance(said, bytes) else wire(said))

    async def hears_all(self, all_said: Iterable[tuple[int, bytes]]) -> None:
        """From a thread of its own, as the library does it."""

        def say() -> None:
            for code, raw in all_said:
                self.hears(code, raw)

        await asyncio.to_thread(say)

    async def still_hears(self, seconds: float = 60) -> None:
        """A good message arrives after all else, and everything before it was handled."""
        word = f"still here {random.random()}"
        self.hears(17, message(Message(conversation=word)))
        async with asyncio.timeout(seconds):
            while not await self._recorded(word):
                assert not self.task.done(), self.task
                await asyncio.sleep(0.02)
        assert self.session.status is SessionStatus.WORKING

    async def _recorded(self, word: str) -> bool:
        try:
            return bool(await self.count("messages", "body = %(word)s", word=word))
        except Unavailable:
            return False

    async def count(self, table: str, where: str, **values: Any) -> int:
        row = await self.stores.db.one(
            f"SELECT count(*) AS n FROM {table} WHERE session_id = %(id)s AND ({where})",
            {"id": self.session.record.id, **values},
        )
        assert row is not None
        return int(row["n"])


def message(content: Message, **info: Any) -> pb.Message:
    chat = pb.JID(User="4915100002", Server="s.whatsapp.net")
    source = pb.MessageSource(Chat=chat, Sender=chat, IsFromMe=False, IsGroup=False)
    fields = {
        "ID": f"3EB0{random.getrandbits(72):018X}",
        "Timestamp": int(datetime.now(UTC).timestamp()),
        "Pushname": "Stranger",
        "MessageSource": source,
        **info,
    }
    return pb.Message(Info=pb.MessageInfo(**fields), Message=content)


def start(
    record: SessionRecord, stores: Stores, settings: Settings, *, owned_before: int = 0
) -> Running:
    clients: list[Unplugged] = []

    def make(store: Path, key: str, on_event: Any, spool: Any) -> Unplugged:
        store.touch()
        clients.append(
            Unplugged(
                store=store, key=key, settings=settings.whatsapp, on_event=on_event, spool=spool
            )
        )
        return clients[-1]

    session = Session(
        record=record,
        stores=stores,
        settings=settings,
        node="here",
        client_factory=cast(Any, make),
        owned_before=owned_before,
    )
    return Running(session, stores, clients, asyncio.create_task(session.run()))


def wire(said: Protobuf) -> bytes:
    complete(said)
    return said.SerializePartialToString().replace(PLACEHOLDER.encode(), NO_UTF8)


def complete(said: Protobuf) -> None:
    """The library sets all that its own messages require."""
    for field in said.DESCRIPTOR.fields:
        if field.is_required and not said.HasField(field.name):
            if field.message_type is not None:
                getattr(said, field.name).SetInParent()
            else:
                setattr(said, field.name, field.default_value)
    for field, value in said.ListFields():
        if field.message_type is not None and said.DESCRIPTOR.full_name.startswith("neonize"):
            for one in value if field.is_repeated else (value,):
                complete(one)

"""An owned session as the tests hold it, and messages to put into it."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from cluster.domain.message import StoredMessage
from cluster.domain.session import SessionRecord
from cluster.stores import Stores
from cluster.stores.outbox import OutboxRow

TTL = timedelta(seconds=30)
CHAT = "4915100002@s.whatsapp.net"


@dataclass(frozen=True, kw_only=True)
class Owned:
    """A session and the epoch under which the test owns it."""

    stores: Stores
    record: SessionRecord
    epoch: int

    @property
    def id(self) -> int:
        return self.record.id

    async def taken_over(self) -> int:
        """Let another owner claim it; returns the newer epoch."""
        claim = await self.stores.ownership.claim(self.id, "node-b", "holder-b", TTL)
        return claim.epoch

    async def accept(
        self, message_id: str, text: str = "hi", *, key: str | None = None, kind: str = "text"
    ) -> tuple[OutboxRow, bool]:
        content: dict[str, Any] = {"kind": kind, "text": text}
        return await self.stores.outbox.accept(
            self.id,
            message_id=message_id,
            chat=CHAT,
            sender="4915100001@s.whatsapp.net",
            kind=kind,
            content=content,
            body=text,
            idempotency_key=key,
        )


def incoming(message_id: str, body: str = "hello") -> StoredMessage:
    return StoredMessage(
        message_id=message_id,
        chat=CHAT,
        sender=CHAT,
        from_me=False,
        timestamp=datetime.now(UTC),
        kind="text",
        body=body,
    )

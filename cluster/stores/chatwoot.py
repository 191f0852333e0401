"""Which message of Chatwoot is which of WhatsApp."""

from __future__ import annotations

from dataclasses import dataclass

from cluster.stores.apps import AppRecord
from cluster.stores.database import Database, Row

__all__ = ["ChatwootStore", "Mapped"]


@dataclass(frozen=True, kw_only=True, slots=True)
class Mapped:
    """A message on both sides."""

    #: Of WhatsApp, or the event's that made a note of its own.
    message_id: str
    chat: str
    #: None: Chatwoot was not yet asked to make it.
    conversation_id: int | None
    #: None: asked, and the answer is not known.
    chatwoot_id: int | None
    #: Written by an agent in Chatwoot.
    from_agent: bool


class ChatwootStore:
    """Table `chatwoot_messages`. What is begun there is written down first, so that who repeats it
    knows to look for it."""

    def __init__(self, database: Database) -> None:
        self._db = database

    async def begin(
        self, app: AppRecord, message_id: str, chat: str, *, from_agent: bool = False
    ) -> tuple[Mapped, bool]:
        """The message's row, and whether this call made it."""
        made = await self._db.run(
            """
            INSERT INTO chatwoot_messages (tenant, app, message_id, chat, from_agent)
            VALUES (%(tenant)s, %(app)s, %(message)s, %(chat)s, %(agent)s) ON CONFLICT DO NOTHING
            """,
            _of(app) | {"message": message_id, "chat": chat, "agent": from_agent},
        )
        found = await self.of_message(app, message_id)
        if found is None:  # the app was deleted between
            found = Mapped(
                message_id=message_id,
                chat=chat,
                conversation_id=None,
                chatwoot_id=None,
                from_agent=from_agent,
            )
        return found, made > 0

    async def asked(self, app: AppRecord, message_id: str, conversation_id: int) -> None:
        """Chatwoot is about to be asked to make it in that conversation."""
        await self._db.run(
            """
            UPDATE chatwoot_messages SET conversation_id = %(conversation)s
            WHERE tenant = %(tenant)s AND app = %(app)s AND message_id = %(message)s
            """,
            _of(app) | {"message": message_id, "conversation": conversation_id},
        )

    async def made(
        self, app: AppRecord, message_id: str, conversation_id: int, chatwoot_id: int
    ) -> None:
        """It is there."""
        await self._db.run(
            """
            UPDATE chatwoot_messages
            SET conversation_id = %(conversation)s, chatwoot_id = %(there)s
            WHERE tenant = %(tenant)s AND app = %(app)s AND message_id = %(message)s
            """,
            _of(app)
            | {"message": message_id, "conversation": conversation_id, "there": chatwoot_id},
        )

    async def of_message(self, app: AppRecord, message_id: str) -> Mapped | None:
        row = await self._db.one(
            _SELECT + "AND message_id = %(message)s", _of(app) | {"message": message_id}
        )
        return _mapped(row) if row else None

    async def of_chatwoot(self, app: AppRecord, chatwoot_id: int) -> list[Mapped]:
        """Of a message with several files there are several here."""
        rows = await self._db.all(
            _SELECT + "AND chatwoot_id = %(there)s ORDER BY created_at, message_id",
            _of(app) | {"there": chatwoot_id},
        )
        return [_mapped(row) for row in rows]

    async def forget(self, app: AppRecord) -> None:
        """Everything that is kept of an app."""
        await self._db.run(
            "DELETE FROM chatwoot_messages WHERE tenant = %(tenant)s AND app = %(app)s", _of(app)
        )


_SELECT = """
    SELECT message_id, chat, conversation_id, chatwoot_id, from_agent FROM chatwoot_messages
    WHERE tenant = %(tenant)s AND app = %(app)s
"""


def _of(app: AppRecord) -> dict[str, object]:
    return {"tenant": app.tenant, "app": app.id}


def _mapped(row: Row) -> Mapped:
    return Mapped(**row)

"""Files and people of a session, asked of its owner as a caller would ask."""

from __future__ import annotations

from typing import TYPE_CHECKING

import structlog

from actors.delivery.apps.chatwoot import Person
from cluster.chatwoot.api import Upload
from cluster.domain.errors import GatewayError, NotFound
from cluster.domain.message import StoredMessage
from cluster.domain.message_ref import MessageRef
from cluster.media.links import file_of
from cluster.settings import Settings

if TYPE_CHECKING:
    from client.gateway import Gateway
    from client.session import SessionClient

__all__ = ["OwnerFiles"]

log = structlog.get_logger(__name__)

#: Chatwoot's own bound on attachments.
_MOST_BYTES = 40 << 20


class OwnerFiles:
    """Connects on first use; belongs to one event loop."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._gateway: Gateway | None = None

    async def upload(self, tenant: str, session: str, message: StoredMessage) -> Upload | None:
        file = file_of(message)
        if file is None or file.size > _MOST_BYTES:
            return None
        media = self._of(tenant).session(session).media
        ref = MessageRef(message_id=message.message_id, chat=message.chat, from_me=message.from_me)
        try:
            found, stored = await media.file(ref)
        except NotFound:
            return None
        if stored.size > _MOST_BYTES:
            return None
        return Upload(
            filename=found.filename or f"{message.kind}{found.ending}",
            mimetype=found.mimetype,
            parts=media.read(stored),
        )

    async def person(self, tenant: str, session: str, chat: str) -> Person:
        client = self._of(tenant).session(session)
        name = lid = picture = ""
        try:
            if chat.endswith("@g.us"):
                name = (await client.groups.get(chat)).subject
            else:
                contact = await client.contacts.get(chat)
                name, lid = contact.name or contact.push_name, contact.lid
            picture = await client.contacts.picture(chat) or ""
        except GatewayError as error:
            # A contact without them is better than none: the session may not work now.
            log.info("app.person_unknown", error=error.code)
        return Person(name=name, lid=lid, picture=picture)

    def session(self, tenant: str, session: str) -> SessionClient:
        return self._of(tenant).session(session)

    async def close(self) -> None:
        if self._gateway is not None:
            await self._gateway.close()

    def _of(self, tenant: str) -> Gateway:
        if self._gateway is None:
            # Most dispatchers never have an app: they do without the client's 10 MB.
            from client import connect

            self._gateway = connect(self._settings)
        return self._gateway.for_tenant(tenant)

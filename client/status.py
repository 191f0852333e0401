"""Stories: what an account shows to its contacts for a day."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from cluster.domain.content import Revoke, Text
from cluster.domain.errors import Invalid
from cluster.domain.message import SentMessage
from cluster.domain.message_ref import MessageKey

if TYPE_CHECKING:
    from client.session import SessionClient

__all__ = ["STATUS", "Status"]

#: The chat that stories are sent to.
STATUS = "status@broadcast"


class Status:
    """Verbs of a session. WhatsApp's privacy settings decide who gets a story."""

    def __init__(self, session: SessionClient) -> None:
        self._session = session

    async def send_text(
        self,
        text: str,
        *,
        background: int = 0,
        font: int = 0,
        link_preview: bool = True,
        link_preview_high_quality: bool = False,
        **options: Any,
    ) -> SentMessage:
        """Show a text on a colour (`0xAARRGGBB`), with a preview of its first link."""
        if not text:
            raise Invalid("text must not be empty", field="text")
        content: Text = {"kind": "text", "text": text, "background": background, "font": font}
        if link_preview:
            await self._session.media.add_preview(content, None, large=link_preview_high_quality)
        return await self._session.send(STATUS, content, **options)

    async def delete(self, message_id: str, **options: Any) -> SentMessage:
        """Take an own story back."""
        own = (await self._session.info()).me
        sender = own.account if own else ""
        key = MessageKey(id=message_id, chat=STATUS, from_me=True, sender=sender)
        content: Revoke = {"kind": "revoke", "reply_to": message_id, "key": key.to_json()}
        return await self._session.send(STATUS, content, **options)

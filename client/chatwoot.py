"""What agents do in Chatwoot, done in WhatsApp.

Chatwoot sends each message once or more, and marks it as failed when the answer says it was not
taken. A message here has an id that follows from Chatwoot's: the same again is the same message.
"""

from __future__ import annotations

import hashlib
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Any

from client.workshop import Attachment
from cluster.chatwoot.api import ITSELF, SOURCE
from cluster.chatwoot.config import ChatwootConfig
from cluster.chatwoot.text import to_whatsapp
from cluster.domain.chat_id import parse_chat_id
from cluster.domain.content import FileKind
from cluster.domain.errors import Invalid, NotFound
from cluster.domain.message import OutboxState
from cluster.domain.message_ref import MessageRef

if TYPE_CHECKING:
    from client.gateway import Gateway
    from client.session import SessionClient
    from cluster.stores import Stores
    from cluster.stores.apps import AppRecord

__all__ = ["Chatwoot"]

#: Chatwoot's kinds of files, and how WhatsApp shows them.
_KINDS: dict[str, FileKind] = {"image": "image", "video": "video", "audio": "audio"}
_MOST_FILES = 20
#: Of one message that fails each time.
_MOST_TRIES = 20
_LONGEST_COMMAND = 200


class Chatwoot:
    """Takes what Chatwoot sends about one app of one session."""

    def __init__(
        self, gateway: Gateway, session: str, app_id: str, *, caller: str, controls: bool
    ) -> None:
        """`caller`: id of the key it comes with, `controls`: whether it may control the session;
        commands to the session are taken from such, and from the app's own key."""
        self._gateway = gateway
        self._caller = caller
        self._controls = controls
        self._session_name = session
        self._app_id = app_id

    async def take(self, event: dict[str, Any]) -> None:
        """Do what an agent did: send, delete. What others than agents did is left alone. Raises
        `NotFound` when there is no such app, and what sends raise."""
        stores = await self._gateway.stores()
        app = await stores.apps.get(self._gateway.tenant, self._app_id)
        if app.app != "chatwoot" or app.session != self._session_name or not app.enabled:
            raise NotFound("there is no such app")
        config = ChatwootConfig.of(app.config)
        if not _by_agent(event) or _number(event.get("inbox"), "id") not in {0, config.inbox_id}:
            return
        session = self._gateway.session(app.session)
        if _object(event.get("content_attributes")).get("deleted"):
            await self._delete(stores, app, session, event)
        elif event.get("event") == "message_created" or await _retried(stores, app, event):
            await self._send(stores, app, config, session, event)

    async def _send(
        self,
        stores: Stores,
        app: AppRecord,
        config: ChatwootConfig,
        session: SessionClient,
        event: dict[str, Any],
    ) -> None:
        conversation = _object(event.get("conversation"))
        number, place = _number(event, "id"), _number(conversation, "id")
        if not number or not place:
            return
        chat = _chat_of(conversation)
        if chat == ITSELF:
            # The app's own was made by somebody who may control the session.
            if config.commands and (self._controls or self._caller == app.key_id):
                await _command(stores, app, event)
            return
        files = _files(event)
        content = event.get("content")
        text = to_whatsapp(content) if isinstance(content, str) else ""
        # A voice message has no caption: what is written with it goes ahead of it.
        captioned = len(files) == 1 and files[0].get("file_type") != "audio"
        caption = config.text(
            "chatwoot.to.whatsapp.message.media.caption",
            content=text,
            chatwoot=event,
            singleAttachment=captioned,
        )
        if text:
            text = config.text("chatwoot.to.whatsapp.message.text", content=text, chatwoot=event)
        reply_to = await self._answered(stores, app, event)
        parts: list[Callable[[str], Awaitable[Any]]] = []
        if text and not captioned:
            parts.append(
                lambda message_id: session.send_text(
                    chat,
                    text,
                    reply_to=reply_to,
                    link_preview=config.link_preview,
                    idempotency_key=f"chatwoot:{message_id}",
                    message_id=message_id,
                )
            )
        for file in files:
            parts.append(
                lambda message_id, file=file: session.media.send(  # type: ignore[misc]
                    chat,
                    _KINDS.get(str(file.get("file_type")), "document"),
                    Attachment(url=str(file["data_url"])),
                    caption=caption if captioned else "",
                    convert=file.get("file_type") in {"audio", "video"},
                    extra={"voice": True} if file.get("file_type") == "audio" else None,
                    reply_to=reply_to,
                    idempotency_key=f"chatwoot:{message_id}",
                    message_id=message_id,
                )
            )
        for part, send in enumerate(parts):
            message_id = await _message_id(stores, app, number, part)
            # Before it is sent: the event of the send must find whose it is.
            await stores.chatwoot.begin(app, message_id, chat, from_agent=True)
            await stores.chatwoot.made(app, message_id, place, number)
            await send(message_id)

    async def _answered(
        self, stores: Stores, app: AppRecord, event: dict[str, Any]
    ) -> MessageRef | None:
        answered = _number(event.get("content_attributes"), "in_reply_to")
        mapped = await stores.chatwoot.of_chatwoot(app, answered) if answered else []
        return MessageRef(message_id=mapped[0].message_id) if mapped else None

    async def _delete(
        self, stores: Stores, app: AppRecord, session: SessionClient, event: dict[str, Any]
    ) -> None:
        for mapped in await stores.chatwoot.of_chatwoot(app, _number(event, "id")):
            if mapped.from_agent:
                await session.chatting.revoke(
                    mapped.chat,
                    MessageRef(message_id=mapped.message_id, chat=mapped.chat, from_me=True),
                    idempotency_key=f"chatwoot:{mapped.message_id}:deleted",
                )


def _by_agent(event: dict[str, Any]) -> bool:
    """Not what contacts wrote, not notes, not what the bridge itself put there."""
    source = event.get("source_id")
    return (
        event.get("message_type") in {"outgoing", "template", 1, 3}
        and not event.get("private")
        and not (isinstance(source, str) and source.startswith(SOURCE))
    )


async def _retried(stores: Stores, app: AppRecord, event: dict[str, Any]) -> bool:
    """An agent has a message sent again that failed: Chatwoot reports it without its error then.
    Of other changes nothing comes: what was sent has its id already."""
    if event.get("event") != "message_updated":
        return False
    if _object(event.get("content_attributes")).get("external_error"):
        return False
    return bool(await stores.chatwoot.of_chatwoot(app, _number(event, "id")))


def _chat_of(conversation: dict[str, Any]) -> str:
    """The JID of the conversation's contact. Raises `Invalid`."""
    sender = _object(_object(conversation.get("meta")).get("sender"))
    identifier, phone = sender.get("identifier"), sender.get("phone_number")
    if identifier == ITSELF:
        return ITSELF
    chosen = identifier if isinstance(identifier, str) and "@" in identifier else phone
    if not isinstance(chosen, str) or not chosen:
        raise Invalid("the contact has no number", field="conversation.meta.sender")
    return parse_chat_id(chosen.lstrip("+"), "conversation.meta.sender").jid


def _files(event: dict[str, Any]) -> list[dict[str, Any]]:
    found = event.get("attachments")
    files = [_object(one) for one in found] if isinstance(found, list) else []
    return [one for one in files if isinstance(one.get("data_url"), str)][:_MOST_FILES]


async def _message_id(stores: Stores, app: AppRecord, number: int, part: int) -> str:
    """As WhatsApp Web makes them, and always the same for the same message; another once it failed
    for good, as then an agent has it sent again."""
    for again in range(_MOST_TRIES):
        seed = f"{app.tenant}/{app.session_id}/{app.id}/{number}/{part}/{again}"
        message_id = "3EB0" + hashlib.sha256(seed.encode()).hexdigest()[:18].upper()
        sent = await stores.outbox.get(app.session_id, message_id)
        if sent is None or sent.state is not OutboxState.FAILED:
            break
    return message_id


async def _command(stores: Stores, app: AppRecord, event: dict[str, Any]) -> None:
    """What agents write to the session itself: carried out where its events are posted, once, and
    answered in the same conversation."""
    number, content = _number(event, "id"), event.get("content")
    if not isinstance(content, str) or not content.strip():
        return
    _, fresh = await stores.chatwoot.begin(app, f"asked:{number}", ITSELF, from_agent=True)
    if fresh:
        asked = {"app": app.id, "number": number, "command": content.strip()[:_LONGEST_COMMAND]}
        await stores.events.append(app.session_id, "app.command", asked)


def _object(value: Any) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}


def _number(value: Any, name: str) -> int:
    """0 where there is none."""
    found = _object(value).get(name)
    return found if isinstance(found, int) and 0 < found < 2**63 else 0

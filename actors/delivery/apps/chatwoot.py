"""What happens in WhatsApp, put into Chatwoot.

Events come at least once. Before Chatwoot is asked to make a message, that is written down, with
the conversation it goes to; who finds it written down looks for the message there, by its
`source_id`, before he asks again.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Protocol

import structlog

from actors.delivery.apps.commands import Commands, qr_upload
from cluster.chatwoot.api import (
    ITSELF,
    SOURCE,
    ChatwootApi,
    ChatwootConnections,
    ChatwootError,
    Upload,
)
from cluster.chatwoot.config import ChatwootConfig
from cluster.chatwoot.text import to_markdown
from cluster.domain.cursor import MessageCursor
from cluster.domain.errors import GatewayError
from cluster.domain.jid import jid_server, jid_user
from cluster.domain.message import Ack, MessageFilter, StoredMessage
from cluster.domain.waha_id import is_shared, waha_id
from cluster.events.envelope import Event, EventSource, envelope
from cluster.events.event_id import EventIds
from cluster.events.stored_message import from_event, to_event
from cluster.stores import Stores
from cluster.stores.apps import AppRecord
from cluster.stores.chatwoot import Mapped

if TYPE_CHECKING:
    from client.session import SessionClient

__all__ = ["ChatwootBridge", "Files", "Person"]

log = structlog.get_logger(__name__)

_TAKEN = 422
_GONE = 404
#: Refusals that are about this message, and not about all of them.
_THIS_ONE = {400, 413, 415, 422}
_STATES = {Ack.DEVICE: "delivered", Ack.READ: "read", Ack.PLAYED: "read", Ack.ERROR: "failed"}
#: Messages of the history that one event brings over, and the seconds after which it stops short.
_PAGE, _PAGE_SECONDS = 20, 4.0


@dataclass(frozen=True, kw_only=True, slots=True)
class Person:
    """Whom a chat is with, or which group it is."""

    name: str
    lid: str
    #: URL of the picture; empty when there is none to be seen.
    picture: str


class Files(Protocol):
    """What the bridge asks of the session's owner."""

    async def upload(self, tenant: str, session: str, message: StoredMessage) -> Upload | None:
        """The file of a message; None when it cannot be got, or is larger than Chatwoot takes."""

    async def person(self, tenant: str, session: str, chat: str) -> Person:
        """Whom a chat is with, as far as that is known."""

    def session(self, tenant: str, session: str) -> SessionClient:
        """The session, for what agents ask of it."""


class ChatwootBridge:
    """Serves one app of one session."""

    def __init__(
        self, stores: Stores, connections: ChatwootConnections, app: AppRecord, files: Files
    ) -> None:
        self._stores = stores
        self._map = stores.chatwoot
        self._app = app
        self._config = ChatwootConfig.of(app.config)
        self._api = ChatwootApi(connections, self._config)
        self._files = files

    async def put(self, event: Event, source: EventSource) -> None:
        """Returns when Chatwoot has it. Raises `ChatwootError`, `GatewayError`."""
        handlers: dict[str, Callable[[Event, EventSource], Awaitable[None]]] = {
            "message.any": self._message,
            "message.reaction": self._reaction,
            "message.edited": self._edited,
            "message.revoked": self._revoked,
            "message.ack": self._ack,
            "session.status": self._status,
            "app.command": self._command,
        }
        if handle := handlers.get(event.type):
            await handle(event, source)

    # -- messages -------------------------------------------------------------------------------

    async def _message(self, event: Event, source: EventSource, *, old: bool = False) -> None:
        """`old`: of the history, so that its text says when it was."""
        message = from_event(event.payload)
        if not self._wanted(message.chat):
            return
        upload = None
        text = _body(message, envelope(event, source)["payload"])
        if message.has_media:
            upload = await self._files.upload(self._app.tenant, source.name, message)
            if upload is None:
                url = (envelope(event, source)["payload"].get("media") or {}).get("url")
                text = f"{text}\n\n📎 {url or message.kind}".strip()
        if old:
            text = f"🕰 {message.timestamp.astimezone(UTC):%Y-%m-%d %H:%M} UTC\n\n{text}".strip()
        await self._make(message.message_id, message, text or message.kind, upload, source)

    async def _reaction(self, event: Event, source: EventSource) -> None:
        message = from_event(event.payload)
        text = message.body or "∅"
        await self._note(event, message, f"{text}", source)

    async def _edited(self, event: Event, source: EventSource) -> None:
        message = from_event(event.payload)
        await self._note(event, message, f"✏️ {to_markdown(message.body)}", source)

    async def _revoked(self, event: Event, source: EventSource) -> None:
        message = from_event(event.payload)
        await self._note(event, message, "🗑️", source)

    async def _note(
        self, event: Event, message: StoredMessage, text: str, source: EventSource
    ) -> None:
        """Something that was done to an earlier message: said as an answer to it."""
        if not self._wanted(message.chat):
            return
        target = await self._map.of_message(self._app, message.reply_to)
        if message.from_me and message.via_api and target is not None and target.from_agent:
            return  # an agent did it there
        await self._make(event.id, message, text, None, source)

    async def _make(
        self,
        message_id: str,
        message: StoredMessage,
        text: str,
        upload: Upload | None,
        source: EventSource,
    ) -> None:
        """`message_id`: under which it is known; of a note the event's."""
        mapped, fresh = await self._map.begin(self._app, message_id, message.chat)
        if mapped.from_agent or mapped.chatwoot_id is not None:
            return
        source_id = f"{SOURCE}{message_id}"
        if not fresh and mapped.conversation_id is not None:
            there = await self._found(mapped, source_id)
            if there is not None:
                await self._map.made(self._app, message_id, mapped.conversation_id, there)
                return
        conversation = await self._conversation(message, source)
        await self._map.asked(self._app, message_id, conversation)
        fields: dict[str, Any] = {
            "content": self._signed(message, text),
            "message_type": "outgoing" if message.from_me else "incoming",
            "private": message.from_me and self._config.notes,
            "source_id": source_id,
        }
        if message.reply_to:
            answered = await self._map.of_message(self._app, message.reply_to)
            if answered is not None and answered.chatwoot_id is not None:
                fields["content_attributes"] = {"in_reply_to": answered.chatwoot_id}
        there = await self._api.create_message(conversation, fields, upload)
        await self._map.made(self._app, message_id, conversation, there)

    async def _found(self, mapped: Mapped, source_id: str) -> int | None:
        assert mapped.conversation_id is not None  # noqa: S101 - looked at by the caller
        try:
            return await self._api.message_with(mapped.conversation_id, source_id)
        except ChatwootError as error:
            if error.status == _GONE:
                return None  # an agent deleted the conversation
            raise

    def _signed(self, message: StoredMessage, text: str) -> str:
        """In a group, who says it."""
        if not is_shared(message.chat) or message.from_me:
            return text
        name = message.push_name or jid_user(message.sender)
        return self._config.text("whatsapp.group.message", participant=name, text=text)

    def _wanted(self, chat: str) -> bool:
        if chat.endswith(("@broadcast", "@newsletter")):
            return False
        return self._config.groups or not chat.endswith("@g.us")

    # -- contacts and conversations -------------------------------------------------------------

    async def _conversation(self, message: StoredMessage, source: EventSource) -> int:
        contact = await self._api.contact(message.chat)
        if contact is None:
            contact = await self._new_contact(message, source)
        found = await self._api.conversation(int(contact["id"]))
        if found is not None:
            return found
        source_id = await self._api.source_id(contact)
        return await self._api.create_conversation(int(contact["id"]), source_id)

    async def _new_contact(self, message: StoredMessage, source: EventSource) -> dict[str, Any]:
        chat = message.chat
        person = await self._files.person(self._app.tenant, source.name, chat)
        phone = f"+{jid_user(chat)}" if jid_server(chat) == "s.whatsapp.net" else ""
        shown = "" if message.from_me or is_shared(chat) else message.push_name
        fields: dict[str, Any] = {
            "name": person.name or shown or phone or waha_id(chat),
            "identifier": chat,
            "custom_attributes": {
                "waha_whatsapp_chat_id": waha_id(chat),
                "waha_whatsapp_jid": chat,
                **({"waha_whatsapp_lid": person.lid} if person.lid else {}),
            },
        }
        if phone:
            fields["phone_number"] = phone
        if person.picture:
            fields["avatar_url"] = person.picture
        if person.lid and person.lid != chat:
            # Known by the LID alone until now: it is the same person.
            before = await self._api.contact(person.lid)
            if before is not None:
                changes = {"identifier": chat, "custom_attributes": fields["custom_attributes"]}
                if phone:
                    changes["phone_number"] = phone
                await self._api.update_contact(int(before["id"]), **changes)
                return before
        try:
            return await self._api.create_contact(**fields)
        except ChatwootError as error:
            if error.status != _TAKEN:
                raise
            # Of another inbox, or made by an agent: the number is the same person.
            known = await self._api.contact_with_phone(phone) if phone else None
            if known is None:
                raise
            await self._api.update_contact(
                int(known["id"]),
                identifier=chat,
                custom_attributes=fields["custom_attributes"],
            )
            return known

    # -- states ---------------------------------------------------------------------------------

    async def _ack(self, event: Event, source: EventSource) -> None:
        level = Ack(event.payload["ack"])
        state = _STATES.get(level)
        mapped = await self._map.of_message(self._app, str(event.payload["id"]))
        if state is None or mapped is None:
            return
        if mapped.conversation_id is None or mapped.chatwoot_id is None:
            return
        try:
            if mapped.from_agent and (self._config.sync_status or state == "failed"):
                why = str(event.payload.get("error") or "WhatsApp did not take it")
                await self._api.set_status(
                    mapped.conversation_id,
                    mapped.chatwoot_id,
                    state,
                    why if state == "failed" else "",
                )
            if self._config.mark_read and level in {Ack.READ, Ack.PLAYED}:
                contact = await self._api.contact(mapped.chat)
                if contact is not None:
                    source_id = await self._api.source_id(contact)
                    await self._api.seen(mapped.conversation_id, source_id)
        except ChatwootError as error:
            if error.status != _GONE:  # an agent deleted it there
                raise

    async def _status(self, event: Event, source: EventSource) -> None:
        """Said in a conversation of the session itself, where it takes commands."""
        status = str(event.payload.get("status", ""))
        if status not in {"WORKING", "FAILED", "SCAN_QR_CODE", "STOPPED"}:
            return
        upload = None
        text = f"{source.name}: {status}"
        if status == "SCAN_QR_CODE" and self._config.commands:
            try:
                upload = await qr_upload(self._files.session(self._app.tenant, source.name))
                text = f"{text}\n\nA code is good for some seconds: `qr` brings another."
            except GatewayError as gone:
                log.info("app.qr_gone", error=gone.code)
        await self._say(event.id, text, upload, source)

    async def _command(self, event: Event, source: EventSource) -> None:
        """What an agent asked for, and what follows of that."""
        asked = event.payload
        if asked.get("app") != self._app.id or not self._config.commands:
            return
        if "since" in asked:
            await self._history(event, source)
            return
        key = f"command:{asked['number']}"
        done = await self._map.of_message(self._app, key)
        if done is not None and done.chatwoot_id is not None:
            return
        commands = Commands(self._files.session(self._app.tenant, source.name))
        answer = await commands.run(str(asked["command"]), event.happened_at)
        if answer.following is not None:
            await self._follow(event, answer.following)
        await self._say(key, answer.text, answer.upload, source)

    async def _follow(self, event: Event, changed: dict[str, Any]) -> None:
        """Once, however often `event` is tried: two that go on beside each other would each count
        a part."""
        ids = EventIds(f"{self._app.id} goes on after {event.seq}".encode(), recorded_before=True)
        await self._stores.events.append(
            self._app.session_id, "app.command", event.payload | changed, event=ids.of("")
        )

    async def _history(self, event: Event, source: EventSource) -> None:
        """A page of what was said before, oldest first."""
        asked = event.payload
        page = await self._stores.messages.page(
            self._app.session_id,
            MessageFilter(
                chat=asked["chat"] or None,
                timestamp_gte=datetime.fromisoformat(asked["since"]),
                timestamp_lte=datetime.fromisoformat(asked["until"]),
                ascending=True,
                limit=_PAGE,
                after=MessageCursor.parse(asked["after"]) if asked.get("after") else None,
            ),
        )
        progress = {"count": int(asked["count"]), "refused": int(asked.get("refused", 0))}
        ends = asyncio.get_running_loop().time() + _PAGE_SECONDS
        brought = 0
        for message in page.messages:
            if asyncio.get_running_loop().time() > ends:
                # The same page once more: what is there by then is left out.
                await self._follow(event, progress)
                return
            try:
                what = await self._bring_over(message, event, source)
            except Exception as error:
                if not brought:
                    raise
                # What is there by now counts; the next try begins with what failed.
                log.info("app.history_goes_on", brought=brought, error=repr(error))
                await self._follow(event, progress)
                return
            if what is not None:
                brought += 1
                progress["count" if what else "refused"] += 1
        if page.following is not None:
            await self._follow(event, progress | {"after": str(page.following)})
            return
        text = f"📜 Done: {progress['count']} brought over."
        if progress["refused"]:
            text += f" Chatwoot did not take {progress['refused']}."
        await self._say(f"command:{asked['number']}:done", text, None, source)

    async def _bring_over(
        self, message: StoredMessage, event: Event, source: EventSource
    ) -> bool | None:
        """Whether Chatwoot took it; None: there already, or not wanted there."""
        known = await self._map.of_message(self._app, message.message_id)
        there = known is not None and known.chatwoot_id is not None
        if there or message.revoked_at is not None or not self._wanted(message.chat):
            return None
        copied = replace(
            event, type="message.any", payload=to_event(message), happened_at=message.timestamp
        )
        try:
            await self._message(copied, source, old=True)
        except ChatwootError as error:
            if error.status not in _THIS_ONE:
                raise
            log.warning("app.message_refused", error=str(error))
            return False
        return True

    async def _say(self, key: str, text: str, upload: Upload | None, source: EventSource) -> None:
        """In the conversation of the session itself, once for each `key`."""
        mapped, fresh = await self._map.begin(self._app, key, ITSELF)
        if mapped.chatwoot_id is not None:
            return
        source_id = f"{SOURCE}{key}"
        contact = await self._api.contact(ITSELF) or await self._api.create_contact(
            name=self._config.text("app.inbox.contact.name", session=source.name),
            identifier=ITSELF,
        )
        conversation = await self._api.conversation(int(contact["id"]))
        if conversation is None:
            conversation = await self._api.create_conversation(
                int(contact["id"]), await self._api.source_id(contact)
            )
        there = None if fresh else await self._api.message_with(conversation, source_id)
        if there is None:
            fields = {"content": text, "message_type": "incoming", "source_id": source_id}
            there = await self._api.create_message(conversation, fields, upload)
        await self._map.made(self._app, key, conversation, there)


def _body(message: StoredMessage, payload: dict[str, Any]) -> str:
    """The text of a message of any kind."""
    text = to_markdown(message.body)
    if place := payload.get("location"):
        where = f"https://www.google.com/maps?q={place.get('latitude')},{place.get('longitude')}"
        text = f"{text}\n📍 {where}".strip()
    if cards := payload.get("vCards"):
        text = "\n".join([text, *(f"👤 {_card(card)}" for card in cards)]).strip()
    return text


def _card(vcard: str) -> str:
    """Name and numbers of a contact card."""
    name, numbers = "", []
    for line in vcard.splitlines()[:200]:
        key, _, value = line.partition(":")
        if key.partition(";")[0].upper() == "FN":
            name = value
        elif key.partition(";")[0].upper().endswith("TEL"):
            numbers.append(value)
    return " ".join([name, *numbers]).strip()

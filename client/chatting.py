"""What one can do in a chat besides sending a text."""

from __future__ import annotations

import base64
import os
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, cast

from client import references
from cluster.domain.chat_id import ChatId, parse_chat_id
from cluster.domain.content import (
    ButtonsResponse,
    Contacts,
    Content,
    Edit,
    Event,
    Forward,
    ListContent,
    Listing,
    Location,
    Pin,
    Poll,
    PollVote,
    Quoting,
    Reaction,
    Revoke,
)
from cluster.domain.errors import Invalid, NotFound, NotSupported
from cluster.domain.jid import bare_jid, jid_user
from cluster.domain.message import OutboxState, SentMessage, StoredMessage
from cluster.domain.message_id import new_message_id
from cluster.domain.message_kind import kind_of
from cluster.domain.message_ref import MessageKey, MessageRef
from cluster.domain.poll import options_of
from cluster.domain.verbs import channels, chats
from cluster.domain.verbs.chatting import Members, Seen, Typing
from cluster.domain.wire_message import has_text, is_view_once, kind_and_text, raw_of

if TYPE_CHECKING:
    from client.session import SessionClient

__all__ = ["Chatting"]

#: WhatsApp's own limits of a poll.
_MIN_OPTIONS, _MAX_OPTIONS = 2, 12
#: Newest unread messages that are marked as read at once, when the caller names none.
_SEEN_AT_ONCE = 200
#: Seconds after which WhatsApp's clients take no more edits of a message.
EDIT_WINDOW = 20 * 60


class Chatting:
    """Verbs of a session. Sends go through its outbox; `options` are those of
    `SessionClient.send`: `idempotency_key` and `message_id`."""

    def __init__(self, session: SessionClient) -> None:
        self._session = session

    async def send_poll(
        self,
        chat_id: str,
        question: str,
        poll_options: Sequence[str],
        *,
        multiple: bool = False,
        reply_to: MessageRef | None = None,
        **options: Any,
    ) -> SentMessage:
        """Ask a question with 2 to 12 different answers, of which one (or more) can be chosen."""
        if not _MIN_OPTIONS <= len(poll_options) <= _MAX_OPTIONS:
            raise Invalid(
                f"a poll has {_MIN_OPTIONS} to {_MAX_OPTIONS} options", field="poll.options"
            )
        if len(set(poll_options)) != len(poll_options):
            raise Invalid("the options of a poll must differ", field="poll.options")
        content: Poll = {
            "kind": "poll",
            "text": question,
            "options": list(poll_options),
            "selectable": 0 if multiple else 1,
            "_secret": base64.b64encode(os.urandom(32)).decode(),
        }
        return await self._send(chat_id, content, reply_to, options)

    async def vote(
        self, chat_id: str, poll: MessageRef, choices: Sequence[str], **options: Any
    ) -> SentMessage:
        """Vote in a poll; no choice takes the vote back. Raises `NotFound` when the session did
        not see the poll (its key came with it), `Invalid` for a choice that it does not have."""
        target = parse_chat_id(chat_id)
        if target.server == "newsletter":
            raise NotSupported("the library cannot vote in polls of channels", field="chatId")
        stores, record = await self._session.opened()
        message = await references.present_message(stores, record, poll, "pollMessageId")
        if message is None or message.kind != "poll":
            raise NotFound(
                "pollMessageId is no poll of this session's history", field="pollMessageId"
            )
        known = options_of(message.payload)
        if known and (strange := [c for c in choices if c not in known]):
            raise Invalid(f"the poll has no option {strange[0]!r}", field="votes")
        key = references.key_of(message)
        if not message.from_me:
            # The library looks up the poll's secret under the addresses it arrived with.
            key = replace(
                key,
                chat=message.payload.get("chat_address") or key.chat,
                sender=bare_jid(message.payload.get("sender_address") or key.sender),
            )
        content: PollVote = {
            "kind": "poll_vote",
            "reply_to": poll.message_id,
            "text": ", ".join(choices),
            "options": list(choices),
            "key": key.to_json(),
        }
        return await self._session.send(target, content, **options)

    async def send_location(
        self,
        chat_id: str,
        latitude: float,
        longitude: float,
        title: str = "",
        *,
        address: str = "",
        reply_to: MessageRef | None = None,
        **options: Any,
    ) -> SentMessage:
        """Send a place, degrees north and east."""
        if not (-90 <= latitude <= 90 and -180 <= longitude <= 180):
            field = "longitude" if -90 <= latitude <= 90 else "latitude"
            raise Invalid("there is no such place", field=field)
        content: Location = {
            "kind": "location",
            "text": title,
            "address": address,
            "latitude": latitude,
            "longitude": longitude,
        }
        return await self._send(chat_id, content, reply_to, options)

    async def send_event(
        self,
        chat_id: str,
        name: str,
        start: int,
        *,
        description: str = "",
        end: int | None = None,
        place: str = "",
        guests: bool = False,
        reply_to: MessageRef | None = None,
        **options: Any,
    ) -> SentMessage:
        """Invite to an event from `start` to `end` (Unix seconds); `guests`: people may bring
        others."""
        if end is not None and end < start:
            raise Invalid("the event ends before it starts", field="event.endTime")
        content: Event = {
            "kind": "event",
            "text": name,
            "description": description,
            "start": start,
            "end": end,
            "place": place,
            "guests": guests,
            "_secret": base64.b64encode(os.urandom(32)).decode(),
        }
        return await self._send(chat_id, content, reply_to, options)

    async def send_contacts(
        self,
        chat_id: str,
        cards: Sequence[tuple[str, str]],
        *,
        reply_to: MessageRef | None = None,
        **options: Any,
    ) -> SentMessage:
        """Send contact cards: (name to show, vCard)."""
        if not cards:
            raise Invalid("at least one contact is needed", field="contacts")
        shown = cards[0][0] if len(cards) == 1 else f"{len(cards)} contacts"
        content: Contacts = {
            "kind": "contact",
            "text": shown,
            "contacts": [{"name": name, "vcard": card} for name, card in cards],
        }
        return await self._send(chat_id, content, reply_to, options)

    async def send_list(
        self,
        chat_id: str,
        listing: Listing,
        *,
        reply_to: MessageRef | None = None,
        **options: Any,
    ) -> SentMessage:
        """Send a list to choose from: `text` (title), `description`, `button`, `footer`,
        `sections` with `title` and `rows` of `id`, `title`, `description`."""
        # Typed dictionaries cannot be joined in the checker's eyes.
        content = cast(ListContent, {"kind": "list", **listing})
        return await self._send(chat_id, content, reply_to, options)

    async def reply_button(
        self, chat_id: str, button_id: str, text: str, reply_to: MessageRef | None, **options: Any
    ) -> SentMessage:
        """Answer a message with buttons."""
        content: ButtonsResponse = {
            "kind": "buttons_response",
            "button_id": button_id,
            "text": text,
        }
        return await self._send(chat_id, content, reply_to, options)

    async def forward(self, chat_id: str, message: MessageRef, **options: Any) -> SentMessage:
        """Forward a message of the history. Raises `NotFound`, `Invalid` for what cannot be."""
        stores, record = await self._session.opened()
        known = await references.present_message(stores, record, message)
        if known is None:
            raise NotFound("messageId is no message of this session's history", field="messageId")
        if not kind_of(known.kind).forwarded:
            raise Invalid("this message cannot be forwarded", field="messageId")
        original = references.shown(known)
        if original is None:
            return await self._session.send(chat_id, _again(known), **options)
        if is_view_once(original):
            raise Invalid("messages that are viewed once cannot be forwarded", field="messageId")
        content: Forward = {
            "kind": "forward",
            "forwarded": message.message_id,
            "message": original,
            "text": known.body,
        }
        return await self._session.send(chat_id, content, **options)

    async def react(self, message: MessageRef, emoji: str, **options: Any) -> SentMessage:
        """React to a message; an empty emoji takes the reaction back."""
        if message.chat.endswith("@newsletter"):
            return await self._react_to_post(message, emoji)
        key = await self._key(message)
        content: Reaction = {
            "kind": "reaction",
            "text": emoji,
            "reply_to": message.message_id,
            "key": key.to_json(),
        }
        return await self._session.send(key.chat, content, **options)

    async def _react_to_post(self, post: MessageRef, emoji: str) -> SentMessage:
        """A channel knows its posts by number. It acknowledges nothing, and keeps one reaction of
        each follower: doing it again does no harm."""
        number = post.server_id
        if not number:
            stores, record = await self._session.opened()
            known = await references.present_message(stores, record, post)
            number = int(known.payload.get("info", {}).get("ServerID") or 0) if known else 0
        if not number:
            raise NotFound(
                "messageId is no post of this session's history; name it by its number: "
                "false_{channel}@newsletter_{number}",
                field="messageId",
            )
        chosen = await self.new_message_id()
        await self._session.request(
            channels.React(channel_id=post.chat, server_id=number, emoji=emoji, message_id=chosen)
        )
        return SentMessage(
            message_id=chosen,
            chat=post.chat,
            state=OutboxState.SENT,
            timestamp=datetime.now(UTC),
            content={"kind": "reaction", "text": emoji, "reply_to": post.message_id},
        )

    async def star(self, message: MessageRef, starred: bool) -> None:
        """Star a message on all devices of the account, or take the star away."""
        key = await self._key(message)
        await self._session.request(chats.Star(key=key, starred=starred))

    async def edit(
        self,
        chat_id: str,
        message: MessageRef,
        text: str,
        *,
        mentions: Sequence[str] = (),
        link_preview: bool = True,
        link_preview_high_quality: bool = False,
        **options: Any,
    ) -> SentMessage:
        """Give another text to an own message. WhatsApp's clients take it for 20 minutes."""
        target, key = parse_chat_id(chat_id), await self._key(message)
        if not key.from_me:
            raise Invalid("only own messages can be edited", field="messageId")
        stores, record = await self._session.opened()
        known = await references.known_message(stores, record, message)
        edited = _kind_of(known) if known is not None else "text"
        if not has_text(edited):
            raise Invalid("only texts and captions can be edited", field="messageId")
        content: Edit = {
            "kind": "edit",
            "text": text,
            "reply_to": message.message_id,
            "key": key.to_json(),
        }
        if edited != "text":
            content["edits"], link_preview = edited, False
        if mentions:
            await self.add_mentions(content, target, mentions)
        if link_preview:
            await self._session.media.add_preview(content, None, large=link_preview_high_quality)
        return await self._session.send(target, content, **options)

    async def revoke(self, chat_id: str, message: MessageRef, **options: Any) -> SentMessage:
        """Delete a message for everyone: an own one, or as an admin of the group any."""
        target, key = parse_chat_id(chat_id), await self._key(message, deleted=True)
        if not key.from_me and target.server != "g.us":
            raise Invalid("only own messages can be deleted for everyone", field="messageId")
        content: Revoke = {"kind": "revoke", "reply_to": message.message_id, "key": key.to_json()}
        return await self._session.send(target, content, **options)

    async def pin(
        self, chat_id: str, message: MessageRef, seconds: int, **options: Any
    ) -> SentMessage:
        """Pin a message in its chat for everyone; 0 seconds take the pin away."""
        target = parse_chat_id(chat_id)
        key = await self._key(message, deleted=not seconds)
        content: Pin = {
            "kind": "pin",
            "seconds": seconds,
            "reply_to": message.message_id,
            "key": key.to_json(),
        }
        return await self._session.send(target, content, **options)

    async def seen(
        self,
        chat_id: str,
        message_ids: Sequence[MessageRef] = (),
        *,
        participant: str = "",
        newest: int = _SEEN_AT_ONCE,
        days: int | None = None,
    ) -> list[MessageRef]:
        """Send read receipts: for the messages named, or for the `newest` unread ones of the chat,
        none older than `days`. Returns them. `participant`: who sent the messages named, in
        groups, where the history does not know."""
        target = parse_chat_id(chat_id)
        stores, record = await self._session.opened()
        by_sender: dict[str, list[MessageRef]] = defaultdict(list)
        if message_ids:
            fallback = participant or (target.jid if target.server != "g.us" else "")
            for ref in message_ids:
                message = await references.known_message(stores, record, ref)
                sender = references.bare_sender(message) if message else ref.sender or fallback
                if not sender:
                    raise Invalid("participant is needed in groups", field="participant")
                by_sender[sender].append(_named(message) if message else ref)
        else:
            since = datetime.now(UTC) - timedelta(days=days) if days else None
            for message in await stores.messages.unread(record.id, target.jid, newest, since):
                by_sender[references.bare_sender(message)].append(_named(message))
        done: list[MessageRef] = []
        for sender, refs in by_sender.items():
            ids = [ref.message_id for ref in refs]
            await self._session.request(Seen(chat=target.jid, sender=sender, message_ids=ids))
            done += refs
        read = [ref.message_id for ref in done]
        await stores.messages.mark_seen(record.id, target.jid, read)
        return done

    async def typing(self, chat_id: str, *, typing: bool, recording: bool = False) -> None:
        """Show as typing (or as recording), or as having stopped."""
        target = parse_chat_id(chat_id)
        await self._session.request(Typing(chat=target.jid, typing=typing, recording=recording))

    async def new_message_id(self) -> str:
        """An id to send a message under. Raises `SessionNotFound`."""
        record = await self._session.info()
        return new_message_id(jid_user(record.me.id) if record.me else "")

    async def add_mentions(
        self, content: Quoting, chat_id: str | ChatId, mentions: Sequence[str]
    ) -> None:
        """Put whom it names into a content: chat ids; `all` is everybody in the group, and noted
        as such."""
        named = [parse_chat_id(one, "mentions").jid for one in mentions if one != "all"]
        if len(named) < len(mentions):
            target = parse_chat_id(chat_id)
            if target.server != "g.us":
                raise Invalid("`all` can be mentioned in groups only", field="mentions")
            named = await self._session.request(Members(chat=target.jid))
            content["mention_all"] = True
        content["mentions"] = named

    async def _send(
        self,
        chat_id: str,
        content: Poll | Location | Event | Contacts | ListContent | ButtonsResponse,
        reply_to: MessageRef | None,
        options: dict[str, Any],
    ) -> SentMessage:
        if reply_to is not None:
            stores, record = await self._session.opened()
            content["reply_to"] = reply_to.message_id
            content["quoted"] = await references.quotation(stores, record, reply_to)
        return await self._session.send(chat_id, content, **options)

    async def _key(self, message: MessageRef, *, deleted: bool = False) -> MessageKey:
        stores, record = await self._session.opened()
        return await references.message_key(stores, record, message, deleted=deleted)


def _kind_of(message: StoredMessage) -> str:
    """What a message is, also one that was forwarded."""
    raw = raw_of(message.payload)
    return kind_and_text(raw)[0] if raw is not None else message.kind


def _again(message: StoredMessage) -> Content:
    """What the API composed, to be sent once more: as its edits left it, and forwarded."""
    left_out = {"quoted", "reply_to", "mentions", "mention_all", "_timer"}
    if message.edited_at is not None:
        left_out |= {"preview", "_preview", "_thumbnail", "_preview_image"}
    content = dict(message.payload.get("content") or {})
    content = {key: value for key, value in content.items() if key not in left_out}
    if message.edited_at is not None:
        content["caption" if "file" in content else "text"] = message.body
    content["forward_score"] = int(content.get("forward_score") or 0) + 1
    # As it was kept: it is a content of some kind.
    return cast(Content, content)


def _named(message: StoredMessage) -> MessageRef:
    """As it is shown: a person by number where that is known."""
    return MessageRef(
        message_id=message.message_id,
        chat=message.chat,
        from_me=message.from_me,
        sender=message.sender,
    )

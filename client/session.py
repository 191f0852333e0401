"""The verbs of one session."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any, TypeVar

import structlog

from client import references
from client.chats import Chats
from client.chatting import Chatting
from client.media import Media
from client.outbox import Outbox
from client.status import Status
from client.subjects import Subjects
from client.workshop import Workshop
from cluster.domain.chat_id import ChatId, parse_chat_id
from cluster.domain.content import Content, Text, body_of
from cluster.domain.cursor import MessageCursor
from cluster.domain.errors import (
    Conflict,
    GatewayError,
    Invalid,
    NotOwner,
    SessionNotFound,
    SessionNotWorking,
    Unavailable,
)
from cluster.domain.message import (
    Followed,
    MessageFilter,
    MessagePage,
    OutboxState,
    SentMessage,
    StoredMessage,
)
from cluster.domain.message_id import check_message_id, new_message_id
from cluster.domain.message_ref import MessageRef
from cluster.domain.pacing import Place
from cluster.domain.session import (
    DesiredState,
    Me,
    SessionRecord,
    SessionStatus,
    check_session_name,
)
from cluster.domain.verbs import contacts
from cluster.domain.verbs.verb import Verb, plain
from cluster.local_calls import NoWayError
from cluster.stores import Stores
from cluster.stores.outbox import OutboxRow
from cluster.telemetry.tracing import carried, with_call

if TYPE_CHECKING:
    from client.gateway import Gateway

__all__ = ["NumberStatus", "QrCode", "SessionClient"]

log = structlog.get_logger(__name__)
R = TypeVar("R")

#: Longest text WhatsApp's own clients send, characters.
MAX_TEXT = 65_536
#: A record that was read within so many seconds says where to ask; the owner knows the rest.
_RECORD_TTL = 0.25
#: Seconds a send waits for WhatsApp's acknowledgement before it answers `accepted`; before it asks
#: whether the owner that it waits for still lives, and again; that its process may take to answer.
_SEND_WAIT, _PATIENCE, _ASK_SECONDS, _SILENT = 20.0, 0.2, 0.5, 0.2
#: An owner renews its lease once in a while; seconds that it may be late.
_LATE = 0.3
#: Messages before a new one that are counted for the answer.
_PLACES = 100
_CONTROL_TIMEOUT = 45.0
_REQUEST_TIMEOUT = 40.0
#: An export or an import, the library's start included.
MOVE_TIMEOUT = 55.0


@dataclass(frozen=True, kw_only=True, slots=True)
class QrCode:
    """What the phone has to scan."""

    #: What the QR encodes.
    text: str
    #: How long it stays valid.
    expires_in: timedelta


@dataclass(frozen=True, kw_only=True, slots=True)
class NumberStatus:
    """Whether a number is on WhatsApp."""

    number: str
    exists: bool
    #: Chat id to write to; empty when it does not exist.
    chat_id: str = ""


class SessionClient(Subjects):
    """One session by name. Cheap to make; every verb looks at the present state."""

    def __init__(self, gateway: Gateway, name: str) -> None:
        self._gateway = gateway
        self.name = check_session_name(name)
        #: The record as read last, and when.
        self._cached: tuple[float, SessionRecord | None] = 0.0, None

    @property
    def gateway(self) -> Gateway:
        """The gateway it is a session of."""
        return self._gateway

    @property
    def chatting(self) -> Chatting:
        """Polls, places, contacts, reactions, edits …"""
        return Chatting(self)

    @property
    def chats(self) -> Chats:
        """The list of chats, and what can be done to a chat as a whole."""
        return Chats(self)

    @property
    def media(self) -> Media:
        """Attachments, out and in."""
        return Media(self)

    @property
    def status(self) -> Status:
        """Stories."""
        return Status(self)

    @property
    def workshop(self) -> Workshop:
        """What works on attachments in this process."""
        return self._gateway.workshop

    async def working(self) -> tuple[Stores, SessionRecord]:
        """Like `opened`; raises `SessionNotWorking` when nothing can be sent."""
        record = await self._running(SessionStatus.WORKING)
        return await self._gateway.stores(), record

    async def opened(self) -> tuple[Stores, SessionRecord]:
        """The stores and the session's record. Raises `SessionNotFound`."""
        return await self._gateway.stores(), await self.info()

    async def info(self) -> SessionRecord:
        """The session's record. Raises `SessionNotFound`."""
        stores = await self._gateway.stores()
        try:
            record = await stores.sessions.get(self._gateway.tenant, self.name)
        except SessionNotFound:
            self._gateway.known.forget(self._gateway.tenant, self.name)
            raise
        self._cached = time.monotonic(), record
        self._gateway.known.keep(record)
        return record

    async def update(self, config: dict[str, Any]) -> SessionRecord:
        """Replace the session's `config`. Raises `Invalid`."""
        await self._gateway.check_config(config)
        record = await self.info()
        stores = await self._gateway.stores()
        await stores.sessions.update_config(record.id, config)
        return await self.info()

    async def start(self) -> SessionRecord:
        """Have the session running; no change when it is."""
        return await self._desire(DesiredState.RUNNING)

    async def stop(self) -> SessionRecord:
        """End the session cleanly; its device stays linked."""
        return await self._desire(DesiredState.STOPPED)

    async def restart(self) -> SessionRecord:
        """Stop, then start."""
        await self.stop()
        return await self.start()

    async def move(self) -> SessionRecord:
        """Have another node own it, cleanly: its newest state goes along, and what is sent to it
        meanwhile waits. Raises `Conflict` when it is not to run, or no other node has room."""
        record = await self.info()
        stores = await self._gateway.stores()
        host = await stores.hosts.of(record.id)
        node = host.node if host is not None else ""
        await self._gateway.router.supervise(
            lambda s: s.hand_over.remote(record.id, node), timeout=MOVE_TIMEOUT
        )
        self._gateway.router.forget(record)
        return await self.info()

    async def logout(self) -> SessionRecord:
        """Unlink the device and stop. The next start shows a new QR code. One that is starting is
        waited for: only then can WhatsApp be notified."""
        record = await self.info()
        if record.desired is DesiredState.RUNNING and record.status is not SessionStatus.FAILED:
            try:
                await self._gateway.router.call(
                    record,
                    lambda a: a.logout.remote(session_id=record.id),
                    timeout=_CONTROL_TIMEOUT,
                    repeatable=True,
                )
            except Unavailable:
                # Where no device is linked there is nothing to notify WhatsApp of.
                if (await self.info()).me is not None:
                    raise
        await self._forget_device(await self._desire(DesiredState.STOPPED))
        return await self.info()

    async def delete(self) -> None:
        """Unlink (where it can be reached), stop, and remove the session with its history."""
        record = await self.info()
        linked = record.me is not None and record.status is SessionStatus.STARTING
        if linked or record.status is SessionStatus.WORKING:
            await self.logout()
        await self._forget_device(await self.stop())
        stores = await self._gateway.stores()
        await self.media.forget()
        await stores.sessions.delete(record.id)

    async def export(self, *, passphrase: str | None = None, key: str | None = None) -> bytes:
        """The linked device as an encrypted archive, for another gateway. The session must be
        stopped, and does not start here any more: one device, one owner. `key`: base64 of 32
        bytes. Raises `Conflict`, `Invalid`."""
        record = await self.info()
        archive: bytes = await self._gateway.router.supervise(
            lambda s: s.export.remote(record.id, passphrase, key), timeout=MOVE_TIMEOUT
        )
        return archive

    async def take_back(self) -> SessionRecord:
        """No archive of it is used anywhere, nor will be: the session may start here again."""
        record = await self.info()
        await self._gateway.router.supervise(
            lambda s: s.take_back.remote(record.id), timeout=_CONTROL_TIMEOUT
        )
        return await self.info()

    async def me(self) -> Me | None:
        """The account behind the session; None when it is not linked."""
        return (await self.info()).me

    async def sender(self) -> Me | None:
        """The account that the next message is most likely sent from; what it is in the end, the
        send says. Raises `SessionNotFound`."""
        known = self._gateway.known.get(self._gateway.tenant, self.name)
        return (known or await self.info()).me

    async def qr(self) -> QrCode:
        """The QR code on show. Raises `SessionNotWorking` when the session shows none."""
        record = await self.info()
        stores = await self._gateway.stores()
        shown = (
            await stores.cache.qr_get(record.id)
            if record.status is SessionStatus.SCAN_QR_CODE
            else None
        )
        if shown is None:
            raise self._unexpected(record, SessionStatus.SCAN_QR_CODE)
        text, remaining = shown
        return QrCode(text=text, expires_in=timedelta(seconds=remaining))

    async def request_code(self, phone_number: str) -> str:
        """A pairing code `ABCD-EFGH` to type on the phone with `phone_number`."""
        chat = parse_chat_id(phone_number, "phoneNumber")
        if chat.server != "s.whatsapp.net":
            raise Invalid("phoneNumber must be a phone number", field="phoneNumber")
        record = await self.info()
        if record.status is not SessionStatus.SCAN_QR_CODE:
            raise self._unexpected(record, SessionStatus.SCAN_QR_CODE)
        return str(
            await self._gateway.router.call(
                record,
                lambda a: a.request_code.remote(chat.user, session_id=record.id),
                timeout=_CONTROL_TIMEOUT,
            )
        )

    async def send_text(
        self,
        chat_id: str | ChatId,
        text: str,
        *,
        reply_to: str | MessageRef | None = None,
        mentions: Sequence[str] = (),
        link_preview: bool = True,
        link_preview_high_quality: bool = False,
        preview: dict[str, Any] | None = None,
        idempotency_key: str | None = None,
        message_id: str | None = None,
    ) -> SentMessage:
        """Send a text. `mentions`: chat ids, or `all` in a group. With `link_preview` the first
        link's page is looked at, and what it says of itself goes along; `preview` (`url`, `title`,
        `description`, `image`) is used in its place.

        Returns when WhatsApp acknowledged it (state `sent`), or with state `accepted`: it is
        durable then and will be sent. That is after 20 s, and at once while the session connects,
        or is between two owners. The same `idempotency_key` or `message_id` again is the same
        message. Raises `Invalid`, `SessionNotFound`, `SessionNotWorking`, `NotOnWhatsApp`,
        `WhatsAppRefused`, `Unavailable`.
        """
        chat = parse_chat_id(chat_id)
        if not text:
            raise Invalid("text must not be empty", field="text")
        if len(text) > MAX_TEXT:
            raise Invalid(f"text is longer than {MAX_TEXT} characters", field="text")
        content: Text = {"kind": "text", "text": text}
        if mentions:
            await self.chatting.add_mentions(content, chat, mentions)
        if reply_to:
            ref = reply_to if isinstance(reply_to, MessageRef) else MessageRef(message_id=reply_to)
            stores, record = await self.opened()
            content["reply_to"] = ref.message_id
            content["quoted"] = await references.quotation(stores, record, ref)
        if preview is not None or link_preview:
            await self.media.add_preview(content, preview, large=link_preview_high_quality)
        return await self.send(
            chat, content, idempotency_key=idempotency_key, message_id=message_id
        )

    async def send(
        self,
        chat_id: str | ChatId,
        content: Content,
        *,
        idempotency_key: str | None = None,
        message_id: str | None = None,
    ) -> SentMessage:
        """Send any content (see `cluster.domain.content`); otherwise as `send_text`. Chat, key and
        id are judged here, for whoever calls, and nowhere behind."""
        target = parse_chat_id(chat_id)
        if idempotency_key is not None and not 1 <= len(idempotency_key) <= 255:
            raise Invalid("Idempotency-Key must have 1 to 255 characters", field="Idempotency-Key")
        chosen = check_message_id(message_id) if message_id else new_message_id()
        stores = await self._gateway.stores()
        record, row, replayed = await self._accepted(
            stores,
            message_id=chosen,
            chat=target.jid,
            kind=content["kind"],
            content=content,
            body=body_of(content),
            idempotency_key=idempotency_key,
            trace=carried().get("traceparent", ""),
        )
        log.info(
            "session.accepted", session=self.name, message_id=row.message_id, replayed=replayed
        )
        row.raise_failure()
        state, timestamp, place = row.state, row.accepted_at, None
        if state is OutboxState.ACCEPTED:
            followed = await self._followed(stores, record, row, replayed=replayed)
            place = followed.place
            if followed.sent_at is not None:
                state, timestamp = OutboxState.SENT, followed.sent_at
        return SentMessage(
            message_id=row.message_id,
            chat=row.kept_in,
            state=state,
            timestamp=timestamp,
            replayed=replayed,
            content=row.content,
            place=place,
            sender=record.me,
        )

    async def _accepted(
        self, stores: Stores, **message: Any
    ) -> tuple[SessionRecord, OutboxRow, bool]:
        """Have a message accepted, by the record that is known where PostgreSQL finds it is still
        right. Also gives that record, and whether the message was accepted before."""
        known = self._gateway.known.get(self._gateway.tenant, self.name)
        if known is not None and known.version and _sends(known):
            try:
                accepted = await stores.outbox.accept(
                    known.id, sender=_account(known), version=known.version, **message
                )
            except SessionNotFound:
                self._cached = 0.0, None
            else:
                return known, *accepted
        record = await self._linked()
        accepted = await stores.outbox.accept(record.id, sender=_account(record), **message)
        return record, *accepted

    async def _followed(
        self, stores: Stores, record: SessionRecord, row: OutboxRow, *, replayed: bool
    ) -> Followed:
        """Notify the owner of an accepted message; what became of it. It may be gone, or stand
        still: then it, or the next one, finds the message by itself, and nobody waits for that.
        Raises what the message failed with."""
        call = asyncio.ensure_future(self._ask_to_follow(record, row))
        try:
            # Who asks again has waited already.
            patience = 0.0 if replayed else _PATIENCE
            if await self._answered_by_owner(stores, record, call, patience):
                return call.result()
        except Unavailable as error:
            log.info("session.not_told", session=self.name, error=error.detail)
        except GatewayError:
            raise
        except Exception:
            # It is accepted: that must be the answer.
            log.exception("session.not_followed", session=self.name)
        finally:
            call.cancel()
        # It may be somewhere else by now.
        self._gateway.known.forget(record.tenant, record.name)
        return Followed(place=await self._place(row))

    async def _answered_by_owner(
        self, stores: Stores, record: SessionRecord, call: asyncio.Future[Followed], patience: float
    ) -> bool:
        """Wait for the call; after `patience` seconds False as soon as its owner seems to be gone,
        to stand still, or to be opening the session."""
        lease = self._gateway.settings.lease
        late = lease.renew_seconds + _LATE
        if (await asyncio.wait({call}, timeout=patience))[0]:
            return True
        ping = self._gateway.router.ping(record, patience)
        while not call.done():
            left = await stores.ownership.served_for(record.id, late, lease.ttl)
            if not ping.answered:
                left = min(left, _SILENT - ping.age)
            if left <= 0:
                return False
            await asyncio.wait({call}, timeout=min(left, _ASK_SECONDS))
        return True

    async def _ask_to_follow(self, record: SessionRecord, row: OutboxRow) -> Followed:
        """By the short way, where the owner is on this node; else, or when it is not the owner any
        more, by Ray: to be notified of a message twice does no harm."""
        carrier = with_call()
        try:
            async with asyncio.timeout(_SEND_WAIT + 10):
                answer = await self._gateway.local.call(
                    record.host,
                    record.id,
                    "follow",
                    carrier=carrier,
                    row=row.to_json(),
                    wait=_SEND_WAIT,
                )
            return Followed.of_json(answer)
        except TimeoutError as error:
            raise Unavailable("the session did not answer in time", retry_after=5) from error
        except (NoWayError, NotOwner, Unavailable) as error:
            if isinstance(error, NotOwner):
                self._gateway.known.forget(record.tenant, record.name)
            # Of another machine nobody hears when it is gone.
            self._gateway.router.ping(record)
            followed: Followed = await self._gateway.router.call_once(
                record,
                lambda a: a.follow.remote(carrier, row, _SEND_WAIT, session_id=record.id),
                timeout=_SEND_WAIT + 10,
            )
            return followed

    async def _place(self, row: OutboxRow) -> Place | None:
        """Where an accepted message stands, as far as the stores know."""
        try:
            queue = await Outbox(self).queue(_PLACES)
        except GatewayError:
            # It is accepted: that must be the answer.
            return None
        return next((one.place for one in queue.entries if one.message_id == row.message_id), None)

    async def request(
        self,
        verb: Verb[R],
        *,
        timeout: float = _REQUEST_TIMEOUT,
    ) -> R:
        """Do anything else at WhatsApp: see `cluster.domain.verbs`."""
        record = await self._running(SessionStatus.WORKING)
        carrier = with_call()
        answer = await self._gateway.router.call(
            record,
            lambda a: a.request.remote(carrier, verb.wire_name, plain(verb), session_id=record.id),
            timeout=timeout,
            repeatable=verb.repeatable,
        )
        return verb.read_answer(answer)

    async def messages(self, wanted: MessageFilter) -> Sequence[StoredMessage]:
        """The session's history, newest first."""
        return (await self.page(wanted)).messages

    async def page(self, wanted: MessageFilter) -> MessagePage:
        """The same, with where the next page begins: give `following` as `after`."""
        record = await self.info()
        stores = await self._gateway.stores()
        return await stores.messages.page(record.id, wanted)

    async def search(
        self,
        words: str,
        *,
        chat_id: str | None = None,
        limit: int = 20,
        from_me: bool | None = None,
        since: datetime | None = None,
        until: datetime | None = None,
        after: MessageCursor | None = None,
    ) -> MessagePage:
        """Messages whose text has all of `words` (or words that begin so), newest first."""
        if not words.strip():
            raise Invalid("there is nothing to search for", field="words")
        return await self.page(
            MessageFilter(
                chat=parse_chat_id(chat_id).jid if chat_id else None,
                limit=limit,
                from_me=from_me,
                timestamp_gte=since,
                timestamp_lte=until,
                words=words,
                after=after,
            )
        )

    async def check_number(self, phone: str) -> NumberStatus:
        """Ask WhatsApp whether a phone number has an account."""
        chat = parse_chat_id(phone, "phone")
        if chat.server != "s.whatsapp.net":
            raise Invalid("phone must be a phone number", field="phone")
        jid = await self.request(contacts.Check(number=chat.user))
        return NumberStatus(
            number=chat.user, exists=bool(jid), chat_id=parse_chat_id(jid).waha if jid else ""
        )

    async def _forget_device(self, stopped: SessionRecord) -> None:
        """Raises `Conflict` when somebody has started the session since."""
        stores = await self._gateway.stores()
        try:
            if stopped.desired is DesiredState.RUNNING:
                raise NotOwner("it is to run again")
            await stores.forget_device(stopped.id, stopped.epoch)
        except NotOwner as error:
            raise Conflict("the session was started meanwhile: its device is kept") from error

    async def _desire(self, desired: DesiredState) -> SessionRecord:
        record = await self.info()
        stores = await self._gateway.stores()
        # Committed first: whatever fails below, the supervisor gets there.
        await stores.sessions.set_desired(record.id, desired)
        if desired is DesiredState.RUNNING:
            await self._gateway.router.supervise(
                lambda s: s.start.remote(record.id), timeout=_CONTROL_TIMEOUT
            )
        else:
            await self._gateway.router.supervise(
                lambda s: s.stop.remote(record.id), timeout=_CONTROL_TIMEOUT
            )
        self._gateway.router.forget(record)
        return await self.info()

    async def _running(self, *expected: SessionStatus) -> SessionRecord:
        at, cached = self._cached
        record = cached if cached and time.monotonic() - at < _RECORD_TTL else await self.info()
        if not _runs(record, *expected):
            raise self._unexpected(record, *expected)
        return record

    async def _linked(self) -> SessionRecord:
        """The record of a session that has an account and is to run, connected or not: it sends
        what is accepted now. Raises `SessionNotWorking`."""
        record = await self._running(SessionStatus.WORKING)
        if not _sends(record):
            raise self._unexpected(record, SessionStatus.WORKING)
        return record

    def _unexpected(self, record: SessionRecord, *expected: SessionStatus) -> Exception:
        if not expected:
            return Conflict("the session's state does not allow this")
        return SessionNotWorking(
            session=self.name,
            status=record.status.value,
            expected=[e.value for e in expected],
        )


def _runs(record: SessionRecord, *expected: SessionStatus) -> bool:
    """Whether a session is to run, and in a status that is expected or passing."""
    return record.desired is DesiredState.RUNNING and record.status in (
        *expected,
        # A takeover, a handover or a short break of the connection: the owner knows better.
        SessionStatus.STARTING,
        SessionStatus.STOPPED,
    )


def _sends(record: SessionRecord) -> bool:
    """Whether what is accepted for the session now will be sent."""
    working = SessionStatus.WORKING
    return _runs(record, working) and (record.me is not None or record.status is working)


def _account(record: SessionRecord) -> str:
    return record.me.account if record.me else ""

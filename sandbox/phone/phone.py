"""One virtual phone: a peer of the server inside its process, with everything else as on a wire."""

from __future__ import annotations

import asyncio
import os
import time
from collections import Counter
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import structlog

from sandbox.crypto import media, padding, poll
from sandbox.crypto.keys import KeyPair
from sandbox.crypto.protobuf import DecodeError, wa
from sandbox.phone import content
from sandbox.phone.archive import Archive
from sandbox.phone.cipher import PREKEYS, Cipher, OldCounter, Undecryptable
from sandbox.phone.settings import PhoneSettings
from sandbox.server import login, notifications
from sandbox.server.directory import jid_of
from sandbox.server.errors import SandboxError
from sandbox.server.media_hosts import MEDIA_HOST
from sandbox.server.store import Account, Device
from sandbox.wire.jid import BROADCAST, GROUP, LID, NEWSLETTER, PN, SERVER_JID, Jid
from sandbox.wire.node import Node

if TYPE_CHECKING:
    from sandbox.server.server import Server

__all__ = ["Phone"]

log = structlog.get_logger(__name__)

_ANSWER_SECONDS = 10.0
_MAX_RETRIES = 5
#: `<error code=>` of a `mediaretry`
_NOT_ON_PHONE = 2
#: notifications that people would see
_VISIBLE = ("w:gp2", "picture")


class Phone:
    """Device 0 of an account. What it decrypted, in which order and how often, is its inbox."""

    def __init__(self, server: Server, account: Account) -> None:
        self.number = account.number
        self.device = 0
        self.active = False
        self.available = True
        self.media_host = MEDIA_HOST
        self.account = account
        self.identity = KeyPair.from_private(account.identity)
        self.settings = PhoneSettings(server, account)
        self.archive = Archive(server, self)
        #: whether incoming messages are answered with receipts
        self.sends_receipts = True
        #: so many of the next messages reach others damaged; asked again, they are whole
        #: Of the message that is sent: see `send_message`.
        self._swapped = (b"", b"")
        self.corrupts = 0
        self._server = server
        self._cipher = Cipher(server.store, account.number, self.identity)
        self._stanzas: asyncio.Queue[Node] = asyncio.Queue()
        self._answers: dict[str, asyncio.Future[Node]] = {}
        self._changed = asyncio.Condition()
        self._sending = asyncio.Lock()
        self._retries: dict[str, int] = {}
        #: message id → address, message, Unix seconds
        self.sent: dict[str, tuple[str, Any, int]] = {}
        self._task: asyncio.Task[None] | None = None
        #: how often each message was decrypted
        self._seen = Counter((e["sender_number"], e["id"]) for e in self.inbox())

    # -- a peer of the server --------------------------------------------------------------

    @property
    def open(self) -> bool:
        return self._task is not None

    async def start(self) -> None:
        """Switch it on: it gets what waited for it."""
        device = self._server.directory.device(self.number, 0) or Device(
            self.number, 0, b"", self.identity.public, "phone", time.time()
        )
        self._server.directory.put(self._cipher.device(device))
        self._refill()
        self._task = asyncio.create_task(self._read(), name=f"phone:{self.number}")
        self._server.peers.enter(self)
        await self.settings.prepare()
        await self._server.delivery.flush(self)

    async def stop(self) -> None:
        """Switch it off: messages wait for it."""
        self.active = False
        self._server.peers.leave(self)
        task, self._task = self._task, None
        if task is not None:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)

    async def send(self, node: Node) -> None:
        if node.tag in ("iq", "ack"):
            waiting = self._answers.pop(f"{node.tag} {node.get('id')}", None)
            if waiting is not None and not waiting.done():
                waiting.set_result(node)
        else:
            self._stanzas.put_nowait(node)

    async def end(self, node: Node | None = None) -> None:
        self.active = False

    # -- what people do with it ---------------------------------------------------------------

    async def scan(self, qr: str) -> None:
        """Scan a QR code. Raises `SandboxError`."""
        await self._server.pairing.scan(self.account, self.identity, qr)

    async def enter_code(self, code: str) -> None:
        """Type a pairing code. Raises `SandboxError`."""
        await self._server.pairing.enter_code(self.account, self.identity, code)

    async def send_text(self, to: str, body: str, *, reply_to: str = "") -> str:
        """Send a text; returns the message's id. Raises `SandboxError`."""
        quoted = None
        if reply_to:
            entry = self._entry(reply_to)
            quoted = {"id": reply_to, "participant": entry["sender"], "body": entry["text"]}
        return await self.send_message(self.address(to), content.text(body, quoted=quoted))

    async def send_media(
        self,
        to: str,
        kind: str,
        data: bytes,
        *,
        mimetype: str,
        caption: str = "",
        filename: str = "",
    ) -> str:
        """Send an attachment: image, video, audio, document or sticker."""
        try:
            encrypted = media.encrypt(data, content.attachment_kind(kind))
        except KeyError:
            raise SandboxError(f"no such kind of attachment: {kind}", status=422) from None
        path = f"/v/{encrypted.file_enc_sha256.hex()}"
        self._server.media.put(path, encrypted.blob)
        message = content.attachment(
            kind,
            encrypted,
            path=f"{path}?ccb=1",
            mimetype=mimetype,
            caption=caption,
            filename=filename,
        )
        return await self.send_message(self.address(to), message, kind="media")

    async def send_poll(self, to: str, question: str, options: Sequence[str]) -> str:
        """Ask a question; returns the message's id."""
        message = content.poll(question, options, secret=os.urandom(32))
        return await self.send_message(self.address(to), message, kind="poll")

    async def vote(self, message_id: str, options: Sequence[str]) -> str:
        """Vote in a poll of the inbox; returns the message's id."""
        chat, people = self._asked(message_id)
        message = content.vote(
            options, poll_id=message_id, voter=str(jid_of(self.account)), **people
        )
        return await self.send_message(chat, message, kind="poll")

    async def answer_event(self, message_id: str, response: str, guests: int = 0) -> str:
        """Answer an event of the inbox: GOING, NOT_GOING or MAYBE; returns the message's id."""
        chat, people = self._asked(message_id)
        own = str(jid_of(self.account))
        message = content.event_answer(
            response, guests=guests, event_id=message_id, answerer=own, **people
        )
        return await self.send_message(chat, message, kind="event")

    def _asked(self, message_id: str) -> tuple[Jid, dict[str, Any]]:
        """The chat of a poll or an event of the inbox, and what an answer to it is sealed with."""
        entry = self._entry(message_id)
        author = str(jid_of(self._server.directory.account(entry["sender_number"])))
        chat = self.address(entry["chat"])
        grouped = chat.server == GROUP
        return chat, {
            "secret": self._poll(message_id).messageContextInfo.messageSecret,
            "chat": str(chat) if grouped else author,
            "author": author,
            "participant": author if grouped else "",
        }

    def votes(self, message_id: str) -> list[dict[str, Any]]:
        """Votes of others in a poll that this phone sent or got: who chose what, in that order."""
        asked = self._poll(message_id)
        options = [o.optionName for o in asked.pollCreationMessage.options]
        secret = asked.messageContextInfo.messageSecret
        found = []
        for entry in self.inbox():
            raw = wa.Message.FromString(bytes.fromhex(entry["raw"]))
            vote = raw.pollUpdateMessage
            if vote.pollCreationMessageKey.id != message_id:
                continue
            sent_here = message_id in self.sent
            asker = self.number if sent_here else self._entry(message_id)["sender_number"]
            plain = self._open_vote(vote, secret, asker, entry["sender_number"])
            hashes = wa.Message.PollVoteMessage.FromString(plain).selectedOptions
            by = entry["sender_number"]
            found.append({"by": by, "options": poll.chosen(hashes, options)})
        return found

    async def react(self, message_id: str, emoji: str) -> str:
        """React to a message of the inbox."""
        entry = self._entry(message_id)
        chat = self.address(entry["chat"])
        message = content.reaction(
            emoji,
            chat=str(chat),
            id=message_id,
            from_me=entry["from_me"],
            participant=entry["sender"] if chat.server == GROUP else "",
        )
        return await self.send_message(chat, message, kind="reaction")

    async def edit(self, message_id: str, body: str) -> str:
        """Give another text to a message that this phone sent."""
        chat = self._sent_to(message_id)
        return await self.send_message(
            chat, content.edit(body, chat=str(chat), id=message_id), edit="1"
        )

    async def revoke(self, message_id: str) -> str:
        """Delete a message that this phone sent, for everyone."""
        chat = self._sent_to(message_id)
        return await self.send_message(
            chat, content.revoke(chat=str(chat), id=message_id), edit="7"
        )

    async def read(self, message_ids: Sequence[str]) -> None:
        """Send read receipts for messages of the inbox."""
        for message_id in message_ids:
            entry = self._entry(message_id)
            chat = self.address(entry["chat"])
            node = Node.make("receipt", id=message_id, to=chat, type="read", t=self._server.now())
            if chat.server == GROUP:
                node.attrs["participant"] = self.address(entry["sender"])
            await self._server.handle(self, node)

    async def type(self, to: str, *, state: str = "composing") -> None:
        """Show as typing (`composing`, `paused`)."""
        await self._server.handle(
            self, Node.make("chatstate", [Node.make(state)], to=self.address(to))
        )

    async def show_presence(self, *, available: bool) -> None:
        """Be online, or not."""
        kind = "available" if available else "unavailable"
        await self._server.handle(self, Node.make("presence", type=kind))

    async def unlink(self, device: int) -> None:
        """Remove a linked device. Raises `SandboxError` when there is none."""
        if device == 0 or not await login.remove_device(self._server, self.number, device):
            raise SandboxError(f"{self.number} has no linked device {device}", status=404)
        await notifications.devices_changed(self._server, self.account)

    def inbox(self, after: int = 0, kind: str = "message") -> list[dict[str, Any]]:
        """Entries newer than `after`, in the order in which they were decrypted."""
        found = self._server.store.inbox(self.number, after)
        return [entry for entry in found if kind in ("", entry["kind"])]

    async def wait_inbox(
        self, after: int, seconds: float, kind: str = "message"
    ) -> list[dict[str, Any]]:
        """Like `inbox`; waits for a first entry."""
        try:
            async with asyncio.timeout(seconds), self._changed:
                while not (found := self.inbox(after, kind)):
                    await self._changed.wait()
        except TimeoutError:
            return []
        return found

    def download(self, message_id: str) -> bytes:
        """The attachment of a message of the inbox, decrypted and checked."""
        self._entry(message_id)
        attachment = self._attachment(message_id)
        if attachment is not None:
            part, kind = attachment
            blob = self._server.media.get(part.directPath.partition("?")[0])
            if blob is None:
                raise SandboxError("the attachment is not on the media server", status=404)
            return media.decrypt(
                blob,
                kind,
                media_key=part.mediaKey,
                file_enc_sha256=part.fileEncSha256,
                file_sha256=part.fileSha256,
            )
        raise SandboxError("the message has no attachment", status=404)

    def address(self, to: str) -> Jid:
        """A number, a chat id of WAHA's or a JID, as the address to use on the wire."""
        text = to.strip().lstrip("+").replace("@c.us", f"@{PN}")
        try:
            jid = Jid.parse(text if "@" in text else f"{text}@{PN}")
        except ValueError:
            raise SandboxError(f"not an address: {to}", status=422) from None
        if not jid.is_user:
            return jid
        account = self._server.directory.find(jid)
        if account is None:
            raise SandboxError(f"{to} is not on WhatsApp", status=404)
        return jid_of(account, lid=self._server.directory.lids(self.number, account.number))

    def readable(self, jid: Jid) -> str:
        """By phone number, where it is a person."""
        account = self._server.directory.find(jid)
        return str(jid_of(account, lid=False)) if account else str(jid)

    # -- sending --------------------------------------------------------------------------------

    async def send_message(
        self,
        to: Jid,
        message: Any,
        *,
        kind: str = "text",
        edit: str = "",
        peer: int | None = None,
        swapped: tuple[bytes, bytes] = (b"", b""),
    ) -> str:
        """Encrypt for every device concerned and send; returns the id once it is acknowledged.

        `peer`: only to this device of the own account (keys, history); `swapped`: bytes in the
        plain text, and as many in their place. Raises `SandboxError`.
        """
        async with self._sending:
            self._swapped = swapped
            message_id = "3A" + notifications.new_id()[:16].upper() + "AA"
            node = Node.make("message", to=to, id=message_id, type=kind, edit=edit or None)
            if peer is not None:
                node.attrs["category"] = "peer"
                device = jid_of(self.account, device=peer)
                node.attrs["to"] = device
                node.content = [await self._encrypt(device, message)]
            elif to.server == GROUP:
                node.content = await self._for_group(to, message)
            else:
                node.content = await self._for_user(to, message)
            answer = await self._ask(node, "ack")
            if answer.get("error"):
                raise SandboxError(f"the server refused: {answer.get('error')}", status=409)
            if peer is None:
                self.sent[message_id] = (str(to), message, self._server.now())
            return message_id

    async def _for_user(self, to: Jid, message: Any) -> list[Node]:
        wrapped = wa.Message(
            deviceSentMessage=wa.Message.DeviceSentMessage(destinationJid=str(to), message=message)
        )
        own = jid_of(self.account, lid=to.server == LID)
        parts = []
        for device in await self._devices([to, own] if to != own else [own]):
            plain = wrapped if device.bare == own else message
            enc = await self._encrypt(device, plain)
            if self.corrupts and device.bare != own:
                middle = len(enc.data) // 2
                enc.content = bytes(b ^ (n == middle) for n, b in enumerate(enc.data))
            parts.append(Node.make("to", [enc], jid=device))
        self.corrupts = max(0, self.corrupts - 1)
        return [Node.make("participants", parts)]

    async def _for_group(self, group: Jid, message: Any) -> list[Node]:
        answer = await self._ask(
            Node.make(
                "iq",
                [Node.make("query", request="interactive")],
                to=group,
                type="get",
                xmlns="w:g2",
                id=notifications.new_id(),
            ),
            "iq",
        )
        found = answer.child("group")
        if found is None:
            raise SandboxError("this phone is not in the group", status=403)
        by_lid = found.get("addressing_mode") == "lid"
        members = [
            jid_of(account, lid=by_lid)
            for p in found.children("participant")
            if (account := self._server.directory.find(p.jid("jid")))
        ]
        own = jid_of(self.account)
        enc, distribution = await self._cipher.encrypt_for_group(
            group, own, padding.pad(message.SerializeToString())
        )
        key = wa.Message(
            senderKeyDistributionMessage=wa.Message.SenderKeyDistributionMessage(
                groupId=str(group), axolotlSenderKeyDistributionMessage=distribution
            )
        )
        # The key goes along every time: simpler than remembering who has it, and always right.
        parts = [
            Node.make("to", [await self._encrypt(device, key)], jid=device)
            for device in await self._devices(members)
        ]
        return [Node.make("participants", parts), enc]

    async def _encrypt(self, device: Jid, message: Any) -> Node:
        # One session with a device, under whichever of its addresses it is met.
        session = self._session(device)
        if not await self._cipher.knows(session):
            await self._begin(device)
        plain = message.SerializeToString()
        if self._swapped[0]:
            plain = plain.replace(*self._swapped)
        return await self._cipher.encrypt(session, padding.pad(plain))

    async def _begin(self, device: Jid) -> None:
        answer = await self._ask(
            Node.make(
                "iq",
                [Node.make("key", [Node.make("user", jid=device)])],
                to=SERVER_JID,
                type="get",
                xmlns="encrypt",
                id=notifications.new_id(),
            ),
            "iq",
        )
        listing = answer.child("list")
        bundle = listing.child("user") if listing else None
        try:
            await self._cipher.begin(self._session(device), bundle or Node("user"))
        except Undecryptable as error:
            raise SandboxError(str(error), status=409) from error

    async def _devices(self, users: Sequence[Jid]) -> list[Jid]:
        """Every device of these users that has keys, without this phone."""
        query = Node.make("query", [Node.make("devices", version=2)])
        listing = Node.make("list", [Node.make("user", jid=jid.bare) for jid in users])
        asked = Node.make(
            "usync",
            [query, listing],
            sid=notifications.new_id(),
            mode="query",
            last="true",
            index="0",
            context="message",
        )
        answer = await self._ask(
            Node.make(
                "iq",
                [asked],
                to=SERVER_JID,
                type="get",
                xmlns="usync",
                id=notifications.new_id(),
            ),
            "iq",
        )
        found = []
        usync = answer.child("usync")
        listed = usync.child("list") if usync else None
        for user in listed.children("user") if listed else []:
            devices = user.child("devices")
            device_list = devices.child("device-list") if devices else None
            for one in device_list.children("device") if device_list else []:
                jid = user.jid("jid").with_device(int(one.get("id")))
                device = self._known(jid)
                here = device is not None and (device.number, device.device) == (self.number, 0)
                if device is not None and device.has_keys and not here:
                    found.append(jid)
        return found

    def _session(self, device: Jid) -> Jid:
        account = self._server.directory.find(device)
        return jid_of(account, device=device.device) if account else device

    def _known(self, jid: Jid) -> Device | None:
        account = self._server.directory.find(jid)
        return self._server.directory.device(account.number, jid.device) if account else None

    async def iq(self, xmlns: str, kind: str, to: Jid, *content: Node) -> Node:
        """Ask the server (`get`, `set`). Raises `SandboxError` when it refuses."""
        node = Node.make("iq", content, to=to, type=kind, xmlns=xmlns, id=notifications.new_id())
        answer = await self._ask(node, "iq")
        if (refusal := answer.child("error")) is not None:
            raise SandboxError(f"refused: {refusal.get('code')} {refusal.get('text')}", status=409)
        return answer

    async def send_stanza(self, node: Node) -> None:
        """Send what has no answer."""
        await self._server.handle(self, node)

    async def _ask(self, node: Node, answer: str) -> Node:
        waiting: asyncio.Future[Node] = asyncio.get_running_loop().create_future()
        self._answers[f"{answer} {node.get('id')}"] = waiting
        await self._server.handle(self, node)
        async with asyncio.timeout(_ANSWER_SECONDS):
            return await waiting

    # -- receiving ------------------------------------------------------------------------------

    async def _read(self) -> None:
        while True:
            node = await self._stanzas.get()
            try:
                await self._take(node)
            except Exception:
                # One stanza must not stop the phone.
                log.exception("sandbox.phone_failed", number=self.number, tag=node.tag)

    async def _take(self, node: Node) -> None:
        if node.tag == "message":
            await self._take_message(node)
        elif node.tag == "receipt":
            await self._take_receipt(node)
            await self._acknowledge(node)
        elif node.tag == "notification":
            if node.get("type") == "encrypt" and node.child("count") is not None:
                self._refill()
            await self._acknowledge(node)
            if node.get("type") in _VISIBLE:
                await self._note(
                    {"kind": "notification", "type": node.get("type"), "stanza": str(node)}
                )
        elif node.tag in ("presence", "chatstate", "call"):
            await self._note({"kind": node.tag, "from": node.get("from"), "stanza": str(node)})

    async def _take_message(self, node: Node) -> None:
        sender = node.jid("participant" if "participant" in node.attrs else "from")
        account = self._server.directory.find(sender)
        if account is None:
            await self._acknowledge(node)
            if sender.server == NEWSLETTER:
                await self._note({"kind": "post", "from": str(sender), "id": node.get("id")})
            return
        by_lid = jid_of(account, device=sender.device)
        chat = node.jid("from")
        group = chat if chat.server in (GROUP, BROADCAST) else None
        try:
            for enc in node.children("enc"):
                plain = await self._cipher.decrypt(by_lid, enc, group=group)
                message = wa.Message.FromString(padding.unpad(plain))
                if message.HasField("senderKeyDistributionMessage"):
                    part = message.senderKeyDistributionMessage
                    await self._cipher.learn_sender_key(
                        part.groupId, by_lid, part.axolotlSenderKeyDistributionMessage
                    )
                await self._decrypted(node, account, sender, message)
        except OldCounter as error:
            self._server.journal.note(
                "old counter", phone=self.number, id=node.get("id"), error=str(error)
            )
        except (Undecryptable, padding.PaddingError, DecodeError) as error:
            await self._ask_again(node, str(error))
            return
        if self.sends_receipts:
            await self._send_receipt(node, account)
        else:
            await self._acknowledge(node)

    async def _decrypted(self, node: Node, account: Account, sender: Jid, message: Any) -> None:
        described = content.describe(message)
        if not described["type"]:
            return
        chat = node.jid("from").bare
        if message.HasField("deviceSentMessage"):
            sent = message.deviceSentMessage
            chat = Jid.parse(sent.destinationJid).bare
            message = sent.message
            described = content.describe(message)
        elif account is self.account and message.HasField("protocolMessage"):
            protocol = message.protocolMessage
            if protocol.HasField("appStateSyncKeyRequest"):
                await self.share_keys(sender.device)
            return
        message_id = node.get("id")
        self._seen[account.number, message_id] += 1
        await self._note(
            {
                "kind": "message",
                "id": message_id,
                "chat": self.readable(chat),
                "sender": str(jid_of(account, lid=False)),
                "sender_number": account.number,
                "sender_device": sender.device,
                "from_me": account is self.account,
                "timestamp": int(node.get("t", "0")),
                "times": self._seen[account.number, message_id],
                "raw": message.SerializeToString().hex(),
                **described,
            }
        )

    async def _take_receipt(self, node: Node) -> None:
        if node.get("type") == "retry":
            await self._send_again(node)
            return
        if node.get("type") == "server-error":
            await self._upload_again(node)
            return
        ids = [node.get("id")]
        if (listing := node.child("list")) is not None:
            ids += [item.get("id") for item in listing.children("item")]
        sender = node.jid("participant" if "participant" in node.attrs else "from")
        await self._note(
            {
                "kind": "receipt",
                "ids": ids,
                "type": node.get("type") or "delivered",
                "by": self.readable(sender.bare),
                "by_device": sender.device,
                "timestamp": int(node.get("t", "0")),
            }
        )

    async def _send_receipt(self, node: Node, account: Account) -> None:
        receipt = Node.make(
            "receipt",
            id=node.get("id"),
            to=node.jid("from"),
            type="sender" if account is self.account else None,
        )
        for name in ("participant", "recipient"):
            if name in node.attrs:
                receipt.attrs[name] = node.attrs[name]
        await self._server.handle(self, receipt)

    async def _ask_again(self, node: Node, why: str) -> None:
        """A retry receipt, with keys to begin anew (whatsmeow: sendRetryReceipt)."""
        message_id = node.get("id")
        count = self._retries[message_id] = self._retries.get(message_id, 0) + 1
        self._server.journal.note(
            "retry asked", phone=self.number, id=message_id, count=count, error=why
        )
        if count > _MAX_RETRIES:
            await self._acknowledge(node)
            return
        retry = Node.make("retry", count=count, id=message_id, t=node.get("t"), v=1)
        receipt = Node.make(
            "receipt",
            [retry, *self._cipher.retry_keys()],
            id=message_id,
            to=node.jid("from"),
            type="retry",
        )
        for name in ("participant", "recipient"):
            if name in node.attrs:
                receipt.attrs[name] = node.attrs[name]
        await self._server.handle(self, receipt)

    async def _send_again(self, node: Node) -> None:
        """Somebody could not decrypt a message of this phone's: encrypt it anew for that device."""
        message_id = node.get("id")
        known = self.sent.get(message_id)
        grouped = "participant" in node.attrs
        sender = node.jid("participant" if grouped else "from")
        account = self._server.directory.find(sender)
        if known is None or account is None:
            self._server.journal.note("retry unknown", phone=self.number, id=message_id)
            return
        device = sender
        message = known[1]
        if account is self.account:
            message = wa.Message(
                deviceSentMessage=wa.Message.DeviceSentMessage(
                    destinationJid=known[0], message=message
                )
            )
        await self._begin(device)
        enc = await self._encrypt(device, message)
        retry = node.child("retry")
        enc.attrs["count"] = retry.get("count", "1") if retry else "1"
        again = Node.make(
            "message",
            [enc],
            to=node.jid("from") if grouped else device,
            id=message_id,
            type="text",
            participant=sender if grouped else None,
        )
        await self._server.handle(self, again)

    async def _upload_again(self, node: Node) -> None:
        """A linked device cannot download an attachment (whatsmeow: mediaretry.go)."""
        message_id, rmr = node.get("id"), node.child("rmr")
        asked = node.child("encrypt")
        sealed = {child.tag: child.data for child in asked.children()} if asked else {}
        part = self._attachment(message_id)
        answer: list[Node] = [rmr] if rmr else []
        try:
            if part is None:
                raise media.MediaError("no such message")
            media.open_retry(
                *(sealed.get(name, b"") for name in ("enc_p", "enc_iv")),
                media_key=part[0].mediaKey,
                message_id=message_id,
            )
            fresh = self._server.media.renew(part[0].directPath.partition("?")[0])
            result = wa.MediaRetryNotification.ResultType
            retry = wa.MediaRetryNotification(
                stanzaId=message_id,
                result=result.SUCCESS if fresh else result.NOT_FOUND,
                directPath=f"{fresh}?ccb=1" if fresh else None,
            )
            data, iv = media.seal_retry(
                retry.SerializeToString(), media_key=part[0].mediaKey, message_id=message_id
            )
            parts = [Node.make("enc_p", data), Node.make("enc_iv", iv)]
            answer.append(Node.make("encrypt", parts))
        except media.MediaError:
            answer.append(Node.make("error", code=_NOT_ON_PHONE))
        device = node.jid("from").device
        await notifications.media_retried(self._server, self.account, device, message_id, answer)

    def _attachment(self, message_id: str) -> tuple[Any, media.MediaType] | None:
        """The attachment of a message that this phone got or sent."""
        if message_id in self.sent:
            raw = self.sent[message_id][1]
        else:
            found = [entry for entry in self.inbox() if entry["id"] == message_id]
            if not found:
                return None
            raw = wa.Message.FromString(bytes.fromhex(found[-1]["raw"]))
        raw = content.unwrapped(raw)
        for name, kind in content.MEDIA_TYPES.items():
            if raw.HasField(name):
                return getattr(raw, name), kind
        return None

    def lose_media(self, message_id: str) -> None:
        """Have the media server forget an attachment that this phone sent or got: devices ask the
        phone for it then. Raises `SandboxError`."""
        part = self._attachment(message_id)
        if part is None or not self._server.media.expire(part[0].directPath.partition("?")[0]):
            raise SandboxError("the message has no attachment there", status=404)

    async def _acknowledge(self, node: Node) -> None:
        ack = Node.make(
            "ack", id=node.get("id"), to=node.jid("from"), type=node.get("type") or None
        )
        ack.attrs["class"] = node.tag
        if "participant" in node.attrs:
            ack.attrs["participant"] = node.attrs["participant"]
        if node.tag == "message":
            ack.attrs.pop("type", None)
        await self._server.handle(self, ack)

    async def share_keys(self, device: int) -> None:
        """Give a linked device the app state keys."""
        share = self.settings.key_share()
        await self.send_message(jid_of(self.account), share, peer=device)

    async def _note(self, entry: dict[str, Any]) -> None:
        self._server.store.add_to_inbox(self.number, {"received_at": time.time(), **entry})
        async with self._changed:
            self._changed.notify_all()

    def _entry(self, message_id: str) -> dict[str, Any]:
        found = [entry for entry in self.inbox() if entry["id"] == message_id]
        if not found:
            raise SandboxError(f"no message {message_id} in the inbox", status=404)
        return found[-1]

    def _poll(self, message_id: str) -> Any:
        if message_id in self.sent:
            return self.sent[message_id][1]
        return wa.Message.FromString(bytes.fromhex(self._entry(message_id)["raw"]))

    def _open_vote(self, vote: Any, secret: bytes, asker: str, voter: str) -> bytes:
        """People have two addresses, and either may have been used."""
        tried = [
            (str(jid_of(author, lid=by_lid)), str(jid_of(who, lid=voter_by_lid)))
            for author in [self._server.directory.account(asker)]
            for who in [self._server.directory.account(voter)]
            for by_lid in (True, False)
            for voter_by_lid in (True, False)
        ]
        for author_jid, voter_jid in tried:
            try:
                return poll.open_vote(
                    secret,
                    poll_id=vote.pollCreationMessageKey.id,
                    author=author_jid,
                    voter=voter_jid,
                    iv=vote.vote.encIv,
                    payload=vote.vote.encPayload,
                )
            except poll.VoteError:
                continue
        raise SandboxError("the vote does not decrypt", status=409)

    def _sent_to(self, message_id: str) -> Jid:
        if message_id not in self.sent:
            raise SandboxError(f"this phone did not send {message_id}", status=404)
        return self.address(self.sent[message_id][0])

    def _refill(self) -> None:
        missing = PREKEYS - self._server.store.count_prekeys(self.number, 0)
        if missing > 0:
            self._server.store.add_prekeys(self.number, 0, self._cipher.new_prekeys(missing))

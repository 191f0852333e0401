"""A phone's memory of messages, and how it shares it with a linked device."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from sandbox.crypto import media
from sandbox.crypto.protobuf import wa
from sandbox.phone import history
from sandbox.server import privacy_tokens
from sandbox.server.directory import jid_of
from sandbox.server.store import Account
from sandbox.wire.jid import Jid

if TYPE_CHECKING:
    from sandbox.phone.phone import Phone
    from sandbox.server.server import Server

__all__ = ["Archive"]


class Archive:
    """What one phone has seen and sent."""

    def __init__(self, server: Server, phone: Phone) -> None:
        self._server = server
        self._phone = phone

    async def send(
        self,
        device: int,
        kind: str,
        chats: Sequence[history.HistoryChat],
        *,
        push_names: Mapping[str, str],
        pairs: Sequence[tuple[str, str]],
        inline: bool = False,
        nct_salt: bytes = b"",
    ) -> None:
        """Send a linked device the past: by a download, or `inline` in the message."""
        blob = history.sync(kind, chats, push_names=push_names, pairs=pairs, nct_salt=nct_salt)
        data = history.packed(blob)
        if inline:
            message = history.notification(blob, inline=data)
        else:
            encrypted = media.encrypt(data, media.MediaType.HISTORY)
            self._server.media.put(f"/v/{encrypted.file_enc_sha256.hex()}", encrypted.blob)
            message = history.notification(blob, media=encrypted)
        await self._phone.send_message(jid_of(self._phone.account), message, peer=device)

    async def share(self, device: int) -> None:
        """Send a device that was just linked what it has seen and sent. All that a real phone
        sends, also when there is nothing to send: clients wait for it (Baileys: chats.js)."""
        chats, people = self._seen()
        names = {str(jid_of(one, lid=False)): one.name for one in people}
        lids = self._server.directory.lids(self._phone.number)
        known = people if lids else []
        pairs = [(str(jid_of(one)), str(jid_of(one, lid=False))) for one in known]
        inline = self._server.store.fact(f"inline {self._phone.number}:{device}") is not None
        with_salt = "nct_history_delivery=0" not in privacy_tokens.scenario(
            self._server, self._phone.number
        )
        await self.send(
            device,
            "INITIAL_BOOTSTRAP",
            chats,
            push_names=names,
            pairs=pairs,
            inline=inline,
            nct_salt=privacy_tokens.salt(self._server, self._phone.number) if with_salt else b"",
        )
        await self.send(device, "PUSH_NAME", [], push_names=names, pairs=[])
        await self.send(device, "RECENT", [], push_names={}, pairs=[])

    def _seen(self) -> tuple[list[history.HistoryChat], list[Account]]:
        messages: dict[str, list[history.HistoryMessage]] = {}
        people: dict[str, Account] = {}
        for entry in self._phone.inbox():
            if entry["from_me"]:
                continue
            author = self._server.directory.account(entry["sender_number"])
            people[author.number] = author
            grouped = not self._phone.address(entry["chat"]).is_user
            messages.setdefault(entry["chat"], []).append(
                history.HistoryMessage(
                    id=entry["id"],
                    message=wa.Message.FromString(bytes.fromhex(entry["raw"])),
                    timestamp=entry["timestamp"],
                    from_me=False,
                    participant=str(jid_of(author)) if grouped else "",
                    push_name=author.name,
                )
            )
        for message_id, (to, message, timestamp) in self._phone.sent.items():
            partner = self._server.directory.find(Jid.parse(to))
            if partner is not None:
                people[partner.number] = partner
            messages.setdefault(self._phone.readable(Jid.parse(to)), []).append(
                history.HistoryMessage(
                    id=message_id, message=message, timestamp=timestamp, from_me=True
                )
            )
        return [history.HistoryChat(id=c, messages=m) for c, m in messages.items()], list(
            people.values()
        )

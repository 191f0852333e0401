"""A phone's settings as app state: its push name, contacts, muted, pinned and archived chats."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from sandbox.crypto import appstate, settings
from sandbox.crypto.appstate import AppStateError, Mutation, SyncKey
from sandbox.server import collections, privacy_tokens
from sandbox.server.errors import SandboxError
from sandbox.server.store import Account

if TYPE_CHECKING:
    from sandbox.server.server import Server

__all__ = ["PhoneSettings"]

_KIND = "app-state-key"


class PhoneSettings:
    """Writes and reads the account's collections with its sync keys."""

    def __init__(self, server: Server, account: Account) -> None:
        self._server = server
        self._account = account
        self._key = self._own_key()

    async def prepare(self) -> None:
        """What every account has: a name and a language."""
        name = appstate.CRITICAL_BLOCK
        if collections.load(self._server, self._account.number, name).version == 0:
            await self.apply(
                name, [settings.push_name(self._account.name)[1], settings.locale("en_GB")[1]]
            )

    async def share_salt(self) -> None:
        """Share the salt of privacy tokens with all devices, present and future."""
        salt = privacy_tokens.salt(self._server, self._account.number)
        await self.apply(*_single(settings.nct_salt(salt)))

    async def rename(self, name: str) -> None:
        """Another push name."""
        self._account.name = name
        self._server.directory.save(self._account)
        await self.apply(*_single(settings.push_name(name)))

    async def contact(self, jid: str, name: str, *, lid: str) -> None:
        """An entry in the address book."""
        await self.apply(*_single(settings.contact(jid, full_name=name, lid=lid)))

    async def mute(self, chat: str, *, muted: bool = True) -> None:
        await self.apply(*_single(settings.mute(chat, muted=muted)))

    async def pin(self, chat: str, *, pinned: bool = True) -> None:
        await self.apply(*_single(settings.pin(chat, pinned=pinned)))

    async def archive(self, chat: str, *, archived: bool = True) -> None:
        now = datetime.now(UTC)
        await self.apply(*_single(settings.archive(chat, last_message=now, archived=archived)))

    async def label(self, id: str, *, name: str, color: int, deleted: bool = False) -> None:
        await self.apply(*_single(settings.label(id, name=name, color=color, deleted=deleted)))

    async def label_chat(self, id: str, chat: str, *, labeled: bool = True) -> None:
        await self.apply(*_single(settings.label_chat(id, chat, labeled=labeled)))

    async def apply(self, name: str, mutations: list[Mutation]) -> None:
        """Change a collection and notify the linked devices."""
        current = collections.load(self._server, self._account.number, name)
        patch = appstate.encode_patch(current, self._key, mutations, now=datetime.now(UTC))
        await collections.add(self._server, self._account.number, name, patch, by=0)

    def read(self, name: str) -> list[dict[str, Any]]:
        """The settings of a collection, whoever made them; every MAC is checked."""
        current = collections.load(self._server, self._account.number, name)
        if current.version == 0:
            return []
        try:
            _, found = appstate.decode_snapshot(name, current.snapshot(), {self._key.id: self._key})
        except AppStateError as error:
            raise SandboxError(f"collection {name} is damaged: {error}", status=409) from error
        return [{"index": list(item.index), "value": str(item.value)} for item in found]

    def key_share(self) -> Any:
        """The message that gives a device the keys."""
        return appstate.key_share([self._key], raw_id=self._account.raw_id, now=datetime.now(UTC))

    def _own_key(self) -> SyncKey:
        store, number = self._server.store, self._account.number
        raw = store.signal(number, _KIND, ["own"]).get("own")
        if raw is None:
            key = SyncKey.generate()
            store.set_signal(number, _KIND, "own", key.id + key.data)
            return key
        return SyncKey(id=raw[:-32], data=raw[-32:])


def _single(item: tuple[str, Mutation]) -> tuple[str, list[Mutation]]:
    return item[0], [item[1]]

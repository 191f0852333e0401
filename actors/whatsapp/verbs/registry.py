"""What a verb works on."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any, Protocol, TypeVar

from neonize.aioze.client import NewAClient

from actors.whatsapp.group_cache import GroupCache
from actors.whatsapp.presences import Presences
from cluster.domain.session import Me

__all__ = ["Device"]

T = TypeVar("T")


class Device(Protocol):
    """The linked device, as verbs use it."""

    @property
    def me(self) -> Me | None:
        """The account; known while it is connected."""

    async def rows(self, query: str) -> list[list[Any]]:
        """Ask the library's SQLite database: see `StoreProcess.rows`."""

    @property
    def groups(self) -> GroupCache:
        """The account's groups, as far as they were asked for."""

    @property
    def presences(self) -> Presences:
        """What WhatsApp reported of people's presence since the connection was made."""

    async def call(self, use: Callable[[NewAClient], Awaitable[T]]) -> T:
        """Use the library, safely: raises `Unavailable` when the connection is closed, and turns
        its errors into `WhatsAppRefused` or `Unavailable`."""

    async def keep_media(self, part: dict[str, Any], kind: str, key: str, max_bytes: int) -> int:
        """See `actors.media.downloads.keep`."""

    async def by_phone(self, jid: str) -> str:
        """A LID as phone-number JID where the library knows it; everything else as it is."""

    async def emit_name(self) -> None:
        """The account's name may be another one soon: have it emitted."""

    async def emit_settings(self) -> None:
        """Return when changes of settings that the library has seen were handled as events."""

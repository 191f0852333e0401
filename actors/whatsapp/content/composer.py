"""What builders need of a connected device."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Protocol, TypeVar

from neonize.aioze.client import NewAClient
from neonize.proto.Neonize_pb2 import UploadResponse
from neonize.utils.enum import MediaType

__all__ = ["Composer"]

T = TypeVar("T")


class Composer(Protocol):
    """The linked device, as builders use it."""

    async def call(self, use: Callable[[NewAClient], Awaitable[T]]) -> T:
        """See `actors.whatsapp.verbs.Device`."""

    async def upload(self, file: Mapping[str, Any], kind: MediaType) -> UploadResponse:
        """Bring a stored file (`_object`: its key) to WhatsApp's media servers. Raises `NotFound`
        when it is not stored any more, `Unavailable`, `WhatsAppRefused`."""

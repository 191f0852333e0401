"""Asking WhatsApp on behalf of a verb: its refusals by what they mean for the caller."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import TypeVar

from neonize.aioze.client import NewAClient

from actors.whatsapp.verbs.registry import Device
from cluster.domain.errors import (
    GatewayError,
    NotFound,
    NotPermitted,
    Unavailable,
    WhatsAppRefused,
)

__all__ = ["ask", "meaning"]

T = TypeVar("T")

#: Seconds to wait after WhatsApp's `429 rate-overlimit`.
_OVERLIMIT_SECONDS = 60
#: Parts of whatsmeow's error texts (errors.go; `info query returned status …`).
_NOT_FOUND = ("does not exist", "item-not-found", "status 404", "link is not valid", "revoked")
_NOT_PERMITTED = (
    "not participating",
    "forbidden",
    "not-authorized",
    "not authorized",
    "have the permission",
    "status 401",
    "status 403",
)
_OVERLIMIT = ("status 429", "rate-overlimit")


async def ask(device: Device, use: Callable[[NewAClient], Awaitable[T]]) -> T:
    """`device.call`, with refusals as `NotFound`, `NotPermitted` or `Unavailable` where WhatsApp's
    answer says so, and as `WhatsAppRefused` otherwise."""
    try:
        return await device.call(use)
    except WhatsAppRefused as error:
        # What the library said, and not what a send that failed of it would answer.
        raise meaning(str(error.__cause__ or error.detail)) from error


def meaning(cause: str) -> GatewayError:
    """The error that WhatsApp's refusal, in the library's words, amounts to."""
    text = cause.lower()
    if any(part in text for part in _OVERLIMIT):
        return Unavailable(
            f"WhatsApp wants fewer requests: {cause}", retry_after=_OVERLIMIT_SECONDS
        )
    if any(part in text for part in _NOT_FOUND):
        return NotFound(f"WhatsApp: {cause}")
    if any(part in text for part in _NOT_PERMITTED):
        return NotPermitted(f"WhatsApp: {cause}")
    return WhatsAppRefused(f"WhatsApp refused: {cause}")

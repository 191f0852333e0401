"""What a phone may send that is malformed, through the real library: the stream goes on."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

import pytest
from library_device import LibraryDevice

import sandbox.phone.phone as phone_module
from sandbox.crypto import padding
from sandbox.phone.phone import Phone

pytestmark = pytest.mark.attack

Link = Callable[[Phone], Awaitable[LibraryDevice]]
_WORD, _NO_UTF8 = "TEXTTEXT", b"hello\xf0\x9f\x98"


async def test_a_text_that_is_no_utf8(
    alice: Phone, bob: Phone, link: Link, monkeypatch: pytest.MonkeyPatch
) -> None:
    device = await link(alice)

    class Pad:
        PaddingError, unpad = padding.PaddingError, staticmethod(padding.unpad)

        @staticmethod
        def pad(plain: bytes) -> bytes:
            return padding.pad(plain.replace(_WORD.encode(), _NO_UTF8))

    monkeypatch.setattr(phone_module, "padding", Pad)
    await bob.send_text(alice.number, _WORD)
    await device.event("Received", body="hello\ufffd")
    await bob.send_text(alice.number, "after")
    await device.event("Received", body="after")

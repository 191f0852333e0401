"""What unpacks to far more than it is, from a phone that means harm to its own linked device.

Only the account's own phone can send it a history (test_named_by_strangers.py), but other sessions
live beside that device. The library unpacks in one go and has no bound of its own: what is tried
here is that a bomb that the machine can hold ends as nothing, and that the session goes on.
"""

from __future__ import annotations

import os
import zlib
from collections.abc import Awaitable, Callable

import psutil
import pytest
from library_device import LibraryDevice

from sandbox.app import Sandbox
from sandbox.crypto import media
from sandbox.crypto.protobuf import wa
from sandbox.phone import history
from sandbox.phone.phone import Phone
from sandbox.server.directory import jid_of

pytestmark = pytest.mark.attack

Link = Callable[[Phone], Awaitable[LibraryDevice]]
_UNPACKED = 256 << 20


def _zeros() -> bytes:
    packer = zlib.compressobj(9)
    return (
        b"".join(packer.compress(bytes(1 << 20)) for _ in range(_UNPACKED >> 20)) + packer.flush()
    )


def _padded() -> bytes:
    """A history that is one, and has so much beside it."""
    blob = wa.HistorySync(syncType=wa.HistorySync.HistorySyncType.Value("RECENT"))
    raw = blob.SerializeToString()
    # Field 500, bytes, that no version knows.
    size, framed = _UNPACKED, b"\xa2\x1f"
    while size > 127:
        framed += bytes([size & 127 | 128])
        size >>= 7
    packer = zlib.compressobj(9)
    packed = packer.compress(raw + framed + bytes([size]))
    packed += b"".join(packer.compress(bytes(1 << 20)) for _ in range(_UNPACKED >> 20))
    return packed + packer.flush()


@pytest.mark.parametrize("inline", [True, False])
async def test_bombs_for_a_history(
    sandbox: Sandbox, alice: Phone, bob: Phone, link: Link, inline: bool
) -> None:
    device = await link(alice)
    await device.event("HistoryArrived")
    number = int(str(await device.do("client.me.jid")).partition(":")[2].partition("@")[0])
    own = psutil.Process(await device.do("__import__('os').getpid()"))
    sync = wa.HistorySync(syncType=wa.HistorySync.HistorySyncType.Value("RECENT"))
    for bomb in (_zeros(), _padded(), zlib.compress(b"x")[:-3], b"", os.urandom(5000)):
        assert len(bomb) < _UNPACKED / 900
        if inline:
            message = history.notification(sync, inline=bomb)
        else:
            encrypted = media.encrypt(bomb, media.MediaType.HISTORY)
            sandbox.server.media.put(f"/v/{encrypted.file_enc_sha256.hex()}", encrypted.blob)
            message = history.notification(sync, media=encrypted)
        await alice.send_message(jid_of(alice.account), message, peer=number)
    await bob.send_text(alice.number, "after the bombs")
    await device.event("Received", body="after the bombs")
    sent = await device.send(f"{bob.number}@s.whatsapp.net", "still here")
    assert sent in {entry["id"] for entry in await bob.wait_inbox(0, 20)}
    # Several times of what is unpacked: slices grow by copying, and Go frees later.
    assert own.memory_info().rss < 8 * _UNPACKED

"""Settings that the account's own phone shares and that mean harm: the session goes on, and so do
those beside it.

Only the phone has the keys of the settings; but sessions of others live in its device's process.
"""

from __future__ import annotations

import os
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime

import psutil
import pytest
from library_device import LibraryDevice

from sandbox.app import Sandbox
from sandbox.crypto import appstate, media, settings
from sandbox.crypto.protobuf import wa
from sandbox.phone.phone import Phone
from sandbox.server import collections

pytestmark = pytest.mark.attack

Link = Callable[[Phone], Awaitable[LibraryDevice]]
_LARGE = 128 << 20
_LOW = "regular_low"


def _varint(value: int) -> bytes:
    written = b""
    while value > 127:
        written += bytes([value & 127 | 128])
        value >>= 7
    return written + bytes([value])


def _nested(levels: int) -> bytes:
    inner = b""
    for _ in range(levels):
        # SyncdMutations.mutations, as every level of it.
        inner = b"\x0a" + _varint(len(inner)) + inner
    return inner


async def _share_elsewhere(sandbox: Sandbox, phone: Phone, blob: bytes, *, there: bool) -> None:
    """A patch whose changes are to be fetched."""
    encrypted = media.encrypt(blob, media.MediaType.APP_STATE)
    path = f"/v/appstate-{encrypted.file_enc_sha256.hex()}"
    if there:
        sandbox.server.media.put(path, encrypted.blob)
    number = phone.account.number
    current = collections.load(sandbox.server, number, _LOW)
    one = settings.archive("1@s.whatsapp.net", last_message=datetime.now(UTC), archived=True)[1]
    patch = wa.SyncdPatch.FromString(
        appstate.encode_patch(current, phone.settings._key, [one], now=datetime.now(UTC))
    )
    patch.ClearField("mutations")
    patch.externalMutations.ParseFromString(
        appstate.external_blob(encrypted, direct_path=f"{path}?ccb=1")
    )
    await collections.add(sandbox.server, number, _LOW, patch.SerializeToString(), by=0)


async def test_changes_that_are_to_be_fetched(
    sandbox: Sandbox, alice: Phone, bob: Phone, link: Link
) -> None:
    device = await link(alice)
    process = psutil.Process(await device.do("__import__('os').getpid()"))
    # A field that no version knows, and so much in it.
    padded = b"\xa2\x1f" + _varint(_LARGE) + bytes(_LARGE)
    for blob, there in (
        (b"", True),
        (b"gone", False),
        (os.urandom(5000), True),
        (_nested(20_000), True),
        (padded, True),
    ):
        await _share_elsewhere(sandbox, alice, blob, there=there)
        await bob.send_text(alice.number, f"after {len(blob)}")
        await device.event("Received", seconds=60, body=f"after {len(blob)}")
    # Other settings are still reported.
    await alice.settings.label("7", name="Lead", color=3)
    assert (await device.event("LabelChanged", seconds=60))["name"] == "Lead"
    assert process.memory_info().rss < 12 * _LARGE


async def test_very_many_changes(alice: Phone, bob: Phone, link: Link) -> None:
    device, other = await link(alice), await link(bob)
    many = [settings.label(str(n), name="n" * 900, color=1, deleted=False) for n in range(5000)]
    await alice.settings.apply(many[0][0], [mutation for _, mutation in many])
    await alice.send_text(bob.number, "beside it")
    await other.event("Received", seconds=60, body="beside it")
    await bob.send_text(alice.number, "after it")
    await device.event("Received", seconds=60, body="after it")
    await alice.settings.label("last", name="Last", color=3)
    await device.event("LabelChanged", seconds=60, id="last")

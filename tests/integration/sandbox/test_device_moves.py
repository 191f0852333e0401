"""Devices that come from elsewhere log in without a QR code and talk both ways."""

from __future__ import annotations

import asyncio
import base64
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest
from baileys_folder import baileys_files
from library_device import LibraryDevice
from pydantic import SecretStr

from actors.checkpoint.restore import restore
from actors.checkpoint.sealer import Sealer
from actors.transfer.device_moves import DeviceMoves
from cluster.domain.device_source import DeviceSource, SourceKind
from cluster.domain.errors import Conflict, Invalid
from cluster.domain.session import DesiredState
from cluster.settings import CheckpointSettings, Settings
from cluster.stores import Stores
from ops.cli.device_files import read_store
from sandbox.app import Sandbox
from sandbox.phone.phone import Phone

_KEYS = SecretStr("k1:" + base64.b64encode(bytes(32)).decode())
Start = Callable[[Path], Awaitable[LibraryDevice]]
_PASSPHRASE = "correct horse battery"


@pytest.fixture
def settings(store_settings: Settings) -> Settings:
    store_settings.checkpoint = CheckpointSettings(keys=_KEYS)
    return store_settings


async def _texts(phone: Phone, wanted: str) -> list[str]:
    for _ in range(100):
        found = [e["text"] for e in phone.inbox() if not e["from_me"]]
        if wanted in found:
            break
        await asyncio.sleep(0.05)
    return found


async def _restored(stores: Stores, settings: Settings, session_id: int, target: Path) -> Path:
    sealer = Sealer.from_setting(settings.checkpoint.keys.get_secret_value())
    report = await restore(
        session_id, target, store=stores.checkpoints, objects=stores.objects, sealer=sealer
    )
    assert report is not None
    return target


async def _talks(device: LibraryDevice, owner: Phone, other: Phone, word: str) -> None:
    await device.connect()
    await device.event("Connected")
    assert not [e for e in device.events if e["event"] == "QrShown"], "no QR code"
    await device.send(f"{other.number}@s.whatsapp.net", f"{word} out")
    assert f"{word} out" in await _texts(other, f"{word} out")
    await other.send_text(owner.number, f"{word} in")
    await device.event("Received", body=f"{word} in")


async def test_a_device_moves_between_stores_archives_and_baileys(
    sandbox: Sandbox,
    alice: Phone,
    bob: Phone,
    start: Start,
    stores: Stores,
    settings: Settings,
    session_name: Callable[[], str],
    tmp_path: Path,
) -> None:
    moves = DeviceMoves(stores, settings)
    # Linked by plain neonize; it has a Signal session with Bob.
    old = tmp_path / "neonize.db"
    device = await start(old)
    await device.connect()
    await alice.scan((await device.event("QrShown"))["text"])
    await device.event("Connected")
    await device.send(f"{bob.number}@s.whatsapp.net", "linked elsewhere")
    await bob.send_text(alice.number, "answer")
    await device.event("Received", body="answer")
    await asyncio.sleep(0.5)
    await device.kill()

    # Its SQLite store.
    name = session_name()
    source = DeviceSource(kind=SourceKind.WHATSMEOW, data=read_store(old))
    imported = await moves.bring("default", name, {"metadata": {"a": "b"}}, source)
    record = await stores.sessions.get_by_id(imported)
    assert record.me is not None
    assert record.me.id == alice.number + "@c.us"
    assert record.desired is DesiredState.STOPPED
    assert record.exported_at is None
    with pytest.raises(Conflict, match="has that device"):
        await moves.bring("default", session_name(), {}, source)
    first = await start(await _restored(stores, settings, imported, tmp_path / "first.db"))
    await _talks(first, alice, bob, "store")
    await first.kill()

    # An archive of it: nobody but one may have the device.
    await stores.sessions.set_desired(imported, DesiredState.RUNNING)
    with pytest.raises(Conflict, match="stop it first"):
        await moves.export(imported, _PASSPHRASE, None)
    await stores.sessions.set_desired(imported, DesiredState.STOPPED)
    archive = await moves.export(imported, _PASSPHRASE, None)
    assert b"SQLite" not in archive
    with pytest.raises(Conflict, match="was exported"):
        await stores.sessions.set_desired(imported, DesiredState.RUNNING)
    moved = session_name()
    locked: dict[str, Any] = {"kind": SourceKind.ARCHIVE, "data": archive}
    with pytest.raises(Invalid, match="another"):
        await moves.bring("default", moved, {}, DeviceSource(**locked, passphrase="x" * 12))
    back = await moves.bring("default", moved, {}, DeviceSource(**locked, passphrase=_PASSPHRASE))
    assert (await stores.sessions.get_by_id(back)).config == {"metadata": {"a": "b"}}
    second = await start(await _restored(stores, settings, back, tmp_path / "second.db"))
    await _talks(second, alice, bob, "archive")
    await second.kill()

    # A Baileys folder of the same device.
    await moves.export(back, _PASSPHRASE, None)
    files = baileys_files(tmp_path / "second.db")
    baileys = DeviceSource(kind=SourceKind.BAILEYS, files=files)
    other = session_name()
    third_id = await moves.bring("default", other, {}, baileys)
    third = await start(await _restored(stores, settings, third_id, tmp_path / "third.db"))
    await _talks(third, alice, bob, "baileys")
    await third.kill()
    last = await stores.sessions.get_by_id(third_id)
    assert last.me == record.me, "the same linked device all along"

    # Taken back: may start again, and what an archive took counts as gone.
    await moves.export(third_id, _PASSPHRASE, None)
    await moves.take_back(third_id)
    await stores.sessions.set_desired(third_id, DesiredState.RUNNING)
    claim = await stores.ownership.claim(third_id, "n", "h", settings.lease.ttl)
    assert not claim.handed_over, "its store may be stale: ratchets are forgotten"


async def test_what_is_no_device_is_refused_and_leaves_nothing(
    stores: Stores, settings: Settings, session_name: Callable[[], str], tmp_path: Path
) -> None:
    moves = DeviceMoves(stores, settings)
    name = session_name()
    for source in (
        DeviceSource(kind=SourceKind.WHATSMEOW, data=b"not a database at all" * 100),
        DeviceSource(kind=SourceKind.ARCHIVE, data=b"WSGDEV1\nxx", passphrase=_PASSPHRASE),
        DeviceSource(kind=SourceKind.BAILEYS, files={"creds.json": {"me": {"id": "1:1@lid"}}}),
    ):
        with pytest.raises(Invalid):
            await moves.bring("default", name, {}, source)
    assert not [r for r in await stores.sessions.list("default") if r.name == name]


async def test_a_restored_database_hands_nothing_over(
    stores: Stores, settings: Settings, session_name: Callable[[], str]
) -> None:
    record = await stores.sessions.create("default", session_name(), {}, DesiredState.RUNNING)
    first = await stores.ownership.claim(record.id, "n", "h", settings.lease.ttl)
    await stores.ownership.release(record.id, first.epoch, clean=True)
    # What pg_restore brings back was written in another life of the database.
    await stores.db.run(
        "UPDATE ownership SET life = 'other' WHERE session_id = %(id)s", {"id": record.id}
    )
    second = await stores.ownership.claim(record.id, "n", "h", settings.lease.ttl)
    assert second.epoch > first.epoch + 1, "no epoch of the lost time is used again"
    assert not second.handed_over, "its checkpoint may be stale"
    await stores.ownership.waited(record.id, second.epoch)
    await stores.ownership.release(record.id, second.epoch, clean=True)
    third = await stores.ownership.claim(record.id, "n", "h", settings.lease.ttl)
    assert (third.epoch, third.handed_over) == (second.epoch + 1, True)

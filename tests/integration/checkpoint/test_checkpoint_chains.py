"""Checkpoints on real PostgreSQL and S3: what was written comes back, and nothing else."""

from __future__ import annotations

import asyncio
import base64
import gc
import importlib
import json
import os
import sqlite3
from collections.abc import AsyncIterator
from contextlib import closing
from pathlib import Path

import pytest
import pytest_asyncio
from owned_session import Owned
from typer.testing import CliRunner, Result

from actors.checkpoint.checkpointer import Checkpointer
from actors.checkpoint.restore import restore
from actors.checkpoint.sealer import Sealer
from actors.session.device_store import DeviceFolder
from actors.session.device_store_manager import DeviceStoreManager
from cluster.domain.errors import NotOwner, Unavailable
from cluster.settings import CheckpointSettings, Settings
from cluster.stores.objects import ObjectStore
from ops.cli.application import application

restoring = importlib.import_module("actors.checkpoint.restore")

SEALER = Sealer.from_setting("test:" + base64.b64encode(os.urandom(32)).decode())


class Device:
    """A device store that another process would hold."""

    def __init__(self, folder: Path) -> None:
        self.path = folder / "device.db"
        with closing(sqlite3.connect(self.path)) as store:
            store.execute("PRAGMA journal_mode=WAL")
            store.execute("CREATE TABLE kept (id INTEGER PRIMARY KEY, data BLOB)")
            store.execute("INSERT INTO kept VALUES (0, ?)", (os.urandom(200_000),))
            store.commit()

    def write(self, number: int) -> None:
        with closing(sqlite3.connect(self.path)) as store:
            store.execute("INSERT INTO kept VALUES (?, ?)", (number, os.urandom(300)))
            store.commit()


def newest(path: Path) -> int:
    with closing(sqlite3.connect(path)) as store:
        return int(store.execute("SELECT max(id) FROM kept").fetchone()[0])


_made: list[Checkpointer] = []


@pytest_asyncio.fixture(autouse=True)
async def ended() -> AsyncIterator[None]:
    """What a test made does not outlive it."""
    yield
    while _made:
        await _made.pop().stop()


def checkpointer(owned: Owned, device: Device, epoch: int | None = None) -> Checkpointer:
    made = Checkpointer(
        session_id=owned.id,
        epoch=epoch or owned.epoch,
        path=device.path,
        store=owned.stores.checkpoints,
        objects=owned.stores.objects,
        sealer=SEALER,
        settings=CheckpointSettings(interval_seconds=0.01),
    )
    _made.append(made)
    return made


async def bring_back(owned: Owned, folder: Path) -> tuple[int, int, int, bool]:
    """(newest row in the restored store, epoch, seq, fell back)"""
    target = folder / "restored.db"
    report = await restore(
        owned.id,
        target,
        store=owned.stores.checkpoints,
        objects=owned.stores.objects,
        sealer=SEALER,
        epoch=await owned.stores.ownership.newest_epoch(owned.id),
    )
    assert report is not None
    return newest(target), report.epoch, report.seq, report.fell_back


async def test_base_and_deltas_come_back(owned: Owned, tmp_path: Path) -> None:
    device = Device(tmp_path)
    writer = checkpointer(owned, device)
    for number in range(1, 6):
        device.write(number)
        await writer.checkpoint("test")
        await writer.checkpoint("nothing changed")
        assert await bring_back(owned, tmp_path) == (number, owned.epoch, number - 1, False)
    rows = await owned.stores.checkpoints.rows(owned.id)
    assert [row.kind for row in rows] == ["delta"] * 4 + ["base"]
    assert max(row.size for row in rows[:4]) < 10_000 < rows[4].size


async def test_a_session_without_checkpoints_has_nothing_to_restore(
    owned: Owned, tmp_path: Path
) -> None:
    assert (
        await restore(
            owned.id,
            tmp_path / "x.db",
            store=owned.stores.checkpoints,
            objects=owned.stores.objects,
            sealer=SEALER,
        )
        is None
    )


async def test_a_damaged_object_falls_back_to_the_newest_whole_one(
    owned: Owned, tmp_path: Path
) -> None:
    device = Device(tmp_path)
    writer = checkpointer(owned, device)
    for number in (1, 2, 3):
        device.write(number)
        await writer.checkpoint("test")
    rows = await owned.stores.checkpoints.rows(owned.id)
    await owned.stores.objects.put(rows[0].object_key, b"rubbish")
    assert await bring_back(owned, tmp_path) == (2, owned.epoch, 1, True)
    await owned.stores.objects.delete(rows[1].object_key)
    assert await bring_back(owned, tmp_path) == (1, owned.epoch, 0, True)
    assert [r.bad for r in await owned.stores.checkpoints.rows(owned.id)] == [True, False, False]
    await owned.stores.objects.delete(rows[2].object_key)
    with pytest.raises(Unavailable):
        await bring_back(owned, tmp_path)


async def test_a_passing_mistake_condemns_nothing(
    owned: Owned, tmp_path: Path, store_settings: Settings
) -> None:
    """Another bucket, one that is not there, objects of another gateway, another key under the same
    id: right again, everything is."""
    device = Device(tmp_path)
    writer = checkpointer(owned, device)
    for number in (1, 2, 3):
        device.write(number)
        await writer.checkpoint("test")
    objects = owned.stores.objects
    wrong: list[tuple[ObjectStore, Sealer]] = [
        (objects, Sealer.from_setting("test:" + base64.b64encode(os.urandom(32)).decode()))
    ]
    for name in ("wrong-bucket", "no-such-bucket"):
        other = ObjectStore(store_settings.stores.model_copy(update={"s3_bucket": name}))
        if name == "wrong-bucket":
            await other.ensure_bucket()
            await other.put((await owned.stores.checkpoints.rows(owned.id))[0].object_key, b"x")
        wrong.append((other, SEALER))
    for where, sealer in wrong:
        for _ in range(2):
            with pytest.raises(Unavailable):
                await restore(
                    owned.id,
                    tmp_path / "x.db",
                    store=owned.stores.checkpoints,
                    objects=where,
                    sealer=sealer,
                    epoch=owned.epoch,
                )
    assert not [row for row in await owned.stores.checkpoints.rows(owned.id) if row.bad]
    assert await bring_back(owned, tmp_path) == (3, owned.epoch, 2, False)


async def test_bad_ones_are_tried_last_and_absolved_when_they_open(
    owned: Owned, tmp_path: Path
) -> None:
    device = Device(tmp_path)
    writer = checkpointer(owned, device)
    for number in (1, 2):
        device.write(number)
        await writer.checkpoint("test")
    checkpoints = owned.stores.checkpoints
    for seq in (0, 1):
        await checkpoints.set_bad(owned.id, (owned.epoch, seq), bad=True, epoch=None)
    assert await bring_back(owned, tmp_path) == (2, owned.epoch, 1, False)
    assert [row.bad for row in await checkpoints.rows(owned.id)] == [False, True]
    await checkpoints.set_bad(owned.id, (owned.epoch, 1), bad=True, epoch=None)
    await checkpoints.set_bad(owned.id, (owned.epoch, 0), bad=False, epoch=None)
    assert await bring_back(owned, tmp_path) == (1, owned.epoch, 0, True)


@pytest.mark.parametrize("when", ["before", "during", "after"])
async def test_a_restore_that_is_killed_leaves_no_store_that_anybody_trusts(
    owned: Owned, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, when: str
) -> None:
    monkeypatch.setenv("CHECKPOINT_KEYS", "test:" + base64.b64encode(os.urandom(32)).decode())
    settings = Settings()

    class Killed(BaseException):
        pass

    async def never(why: str) -> None:
        raise AssertionError(why)

    def ratchet(path: Path) -> list[int]:
        with closing(sqlite3.connect(path)) as store:
            return [row[0] for row in store.execute("SELECT session FROM whatsmeow_sessions")]

    async def opened(root: Path, epoch: int) -> DeviceFolder:
        folder = DeviceFolder.take(root, owned.id, epoch)
        device_store = DeviceStoreManager(
            session_id=owned.id,
            epoch=epoch,
            folder=folder,
            stores=owned.stores,
            settings=settings,
            on_not_owner=never,
        )
        try:
            await device_store.open(handed_over=False)
        finally:
            await device_store.release()
        return folder

    first = await opened(tmp_path / "lost", owned.epoch)
    with closing(sqlite3.connect(first.database)) as store:
        store.execute("PRAGMA journal_mode=WAL")
        store.execute("CREATE TABLE whatsmeow_sessions (their_id TEXT, session INTEGER)")
        store.execute("INSERT INTO whatsmeow_sessions VALUES ('peer', 10)")
        store.commit()
    writer = Checkpointer(
        session_id=owned.id,
        epoch=owned.epoch,
        path=first.database,
        store=owned.stores.checkpoints,
        objects=owned.stores.objects,
        sealer=Sealer.from_setting(settings.checkpoint.keys.get_secret_value()),
        settings=settings.checkpoint,
    )
    _made.append(writer)
    await writer.checkpoint("test")

    second = await owned.taken_over()
    real = restoring.forget_sessions

    def killed(path: Path) -> int:
        if when == "before":
            raise Killed
        if when == "during":
            store = sqlite3.connect(path, isolation_level=None)
            store.execute("BEGIN IMMEDIATE")
            store.execute("DELETE FROM whatsmeow_sessions")
            raise Killed
        real(path)
        raise Killed

    monkeypatch.setattr(restoring, "forget_sessions", killed)
    with pytest.raises(Killed):
        await opened(tmp_path / "node", second)
    monkeypatch.setattr(restoring, "forget_sessions", real)
    # The kernel drops the lock of a killed process.
    gc.collect()

    third = await owned.taken_over()
    folder = await opened(tmp_path / "node", third)
    assert not folder.intact
    assert ratchet(folder.database) == []
    fourth = await owned.taken_over()
    folder.release()
    again = await opened(tmp_path / "node", fourth)
    assert again.intact, "a finished one is"
    assert ratchet(again.database) == []


async def test_objects_are_sealed(owned: Owned, tmp_path: Path) -> None:
    device = Device(tmp_path)
    await checkpointer(owned, device).checkpoint("test")
    (row,) = await owned.stores.checkpoints.rows(owned.id)
    sealed = await owned.stores.objects.get(row.object_key)
    assert b"SQLite" not in sealed
    assert row.key_id == "test"


async def test_a_stale_owner_writes_nothing(owned: Owned, tmp_path: Path) -> None:
    device = Device(tmp_path)
    writer = checkpointer(owned, device)
    device.write(1)
    await writer.checkpoint("test")
    newer = await owned.taken_over()
    device.write(2)
    with pytest.raises(NotOwner):
        await writer.checkpoint("late")
    assert await bring_back(owned, tmp_path) == (1, owned.epoch, 0, False)
    keys = await owned.stores.objects.list(f"checkpoints/{owned.id}/")
    assert len(keys) == 1, "the late object was removed"
    await checkpointer(owned, device, newer).checkpoint("successor")
    assert await bring_back(owned, tmp_path) == (2, newer, 0, False)


async def test_requests_are_grouped_and_a_lost_epoch_is_reported(
    owned: Owned, tmp_path: Path
) -> None:
    device = Device(tmp_path)
    writer = checkpointer(owned, device)
    lost: asyncio.Future[str] = asyncio.get_running_loop().create_future()

    async def on_not_owner(why: str) -> None:
        lost.set_result(why)

    writer.start(on_not_owner=on_not_owner)
    for number in range(1, 21):
        device.write(number)
        writer.request()
    for _ in range(200):
        if await owned.stores.checkpoints.rows(owned.id):
            break
        await asyncio.sleep(0.05)
    assert await bring_back(owned, tmp_path) >= (20, owned.epoch, 0, False)
    assert len(await owned.stores.checkpoints.rows(owned.id)) <= 2
    await owned.taken_over()
    device.write(21)
    writer.request()
    async with asyncio.timeout(10):
        assert await lost
    await writer.stop()


async def test_old_chains_are_collected_and_erase_leaves_nothing(
    owned: Owned, tmp_path: Path
) -> None:
    device = Device(tmp_path)
    for number in (1, 2, 3, 4):
        device.write(number)
        writer = checkpointer(owned, device, await owned.taken_over())
        await writer.checkpoint("new epoch, new base")
    rows = await owned.stores.checkpoints.rows(owned.id)
    keys = await owned.stores.objects.list(f"checkpoints/{owned.id}/")
    assert len(rows) == 2
    assert sorted(keys) == sorted(row.object_key for row in rows)
    await writer.erase()
    assert await owned.stores.checkpoints.rows(owned.id) == []
    assert await owned.stores.objects.list(f"checkpoints/{owned.id}/") == []


async def test_the_key_rotates_as_the_docs_say(owned: Owned, tmp_path: Path) -> None:
    """docs/operations.md: new key in front, every session starts once, the old key goes."""
    old = "rot-old:" + base64.b64encode(os.urandom(32)).decode()
    new = "rot-new:" + base64.b64encode(os.urandom(32)).decode()
    device = Device(tmp_path)

    def sealed_with(keys: str, epoch: int) -> Checkpointer:
        return Checkpointer(
            session_id=owned.id,
            epoch=epoch,
            path=device.path,
            store=owned.stores.checkpoints,
            objects=owned.stores.objects,
            sealer=Sealer.from_setting(keys),
            settings=CheckpointSettings(interval_seconds=0.01),
        )

    async def restored_with(keys: str) -> int:
        target = tmp_path / "rotated.db"
        report = await restore(
            owned.id,
            target,
            store=owned.stores.checkpoints,
            objects=owned.stores.objects,
            sealer=Sealer.from_setting(keys),
        )
        assert report is not None
        return newest(target)

    device.write(1)
    await sealed_with(old, owned.epoch).checkpoint("before")
    with pytest.raises(Unavailable):
        await restored_with(new)
    assert await restored_with(f"{new},{old}") == 1
    in_use = await owned.stores.inspection.checkpoint_keys()
    assert in_use["rot-old"] == 1
    # The next start has another epoch, and with it a new base under the first key.
    epoch = await owned.taken_over()
    device.write(2)
    await sealed_with(f"{new},{old}", epoch).checkpoint("after")
    in_use = await owned.stores.inspection.checkpoint_keys()
    assert "rot-old" not in in_use, "doctor reports that the old key may go"
    assert await restored_with(new) == 2


async def test_a_clean_end_has_the_last_change_in_a_checkpoint(
    owned: Owned, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What a handover's successor relies on: otherwise every ratchet is forgotten."""
    monkeypatch.setenv("CHECKPOINT_KEYS", "test:" + base64.b64encode(os.urandom(32)).decode())
    settings = Settings()
    folder = DeviceFolder.take(tmp_path / "here", owned.id, owned.epoch)

    async def never(why: str) -> None:
        raise AssertionError(why)

    def device_store(epoch: int, on: DeviceFolder) -> DeviceStoreManager:
        return DeviceStoreManager(
            session_id=owned.id,
            epoch=epoch,
            folder=on,
            stores=owned.stores,
            settings=settings,
            on_not_owner=never,
        )

    mine = device_store(owned.epoch, folder)
    await mine.open(handed_over=False)
    device = Device(folder.path)
    device.write(1)
    mine.changed()
    await asyncio.sleep(0.5)
    device.write(2)
    assert await mine.close(), "the newest store is in a checkpoint"
    epoch = await owned.taken_over()
    other = DeviceFolder.take(tmp_path / "there", owned.id, epoch)
    theirs = device_store(epoch, other)
    await theirs.open(handed_over=True)
    assert newest(other.database) == 2
    assert await theirs.close()


async def test_an_operator_lists_them_and_takes_a_mark_off(owned: Owned, tmp_path: Path) -> None:
    device = Device(tmp_path)
    writer = checkpointer(owned, device)
    for number in (1, 2):
        device.write(number)
        await writer.checkpoint("test")
    for seq in (0, 1):
        await owned.stores.checkpoints.set_bad(
            owned.id, (owned.epoch, seq), bad=True, epoch=owned.epoch
        )
    name = owned.record.name

    async def gateway(*words: str) -> Result:
        # A loop of its own, as the command has it.
        return await asyncio.to_thread(
            lambda: CliRunner().invoke(application, ["checkpoints", *words])
        )

    async def damaged() -> dict[str, bool]:
        listed = await gateway("list", name, "--json")
        assert listed.exit_code == 0, listed.output
        return {row["checkpoint"]: row["damaged"] for row in json.loads(listed.stdout)}

    base, delta = f"{owned.epoch}/0", f"{owned.epoch}/1"
    assert await damaged() == {delta: True, base: True}
    assert "1 marks" in (await gateway("unmark", name, base)).output
    assert await damaged() == {delta: True, base: False}
    assert "none was marked" in (await gateway("unmark", name, base)).output
    assert "1 marks" in (await gateway("unmark", name, "--all")).output
    assert await damaged() == {delta: False, base: False}

    assert (await gateway("unmark", name, f"{owned.epoch}/7")).exit_code == 1
    assert (await gateway("list", name, "--tenant", "another")).exit_code == 1
    for words in ([], ["12"], ["1/2", "--all"], ["-1/2"], ["1/2/3"]):
        assert (await gateway("unmark", name, *words)).exit_code == 2, words

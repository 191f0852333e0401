"""Sealed checkpoints open only where they belong; pages put together give the very file."""

from __future__ import annotations

import base64
import dataclasses
import os
import signal
import sqlite3
import subprocess
from contextlib import closing, suppress
from pathlib import Path
from typing import Any

import psutil
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from actors.checkpoint import pages
from actors.checkpoint.forget import forget_sessions
from actors.checkpoint.pages import DamagedCheckpoint, Image
from actors.checkpoint.sealer import Binding, Sealer, SealError, UnknownKey
from actors.checkpoint.snapshot import ROOM, Snapshotter, reserve, take_snapshot
from cluster.domain.errors import Invalid, Unavailable

HERE = Binding(session_id=1, epoch=2, seq=3, kind="delta", base_seq=1)


def key(name: str) -> str:
    return f"{name}:{base64.b64encode(os.urandom(32)).decode()}"


def test_only_the_same_place_opens() -> None:
    sealer = Sealer.from_setting(key("a"))
    sealed = sealer.seal(b"store", HERE)
    assert sealer.open(sealed, HERE) == b"store"
    elsewhere: dict[str, Any] = {
        "session_id": 9,
        "epoch": 9,
        "seq": 9,
        "kind": "base",
        "base_seq": 9,
    }
    for name, value in elsewhere.items():
        with pytest.raises(SealError):
            sealer.open(sealed, dataclasses.replace(HERE, **{name: value}))


def test_every_altered_byte_is_noticed() -> None:
    sealer = Sealer.from_setting(key("a"))
    sealed = sealer.seal(b"store", HERE)
    for at in range(len(sealed)):
        altered = bytearray(sealed)
        altered[at] ^= 1
        with pytest.raises(SealError):
            sealer.open(bytes(altered), HERE)
        with pytest.raises(SealError):
            sealer.open(sealed[:at], HERE)


def test_keys_rotate() -> None:
    old, new = key("old"), key("new")
    sealed = Sealer.from_setting(old).seal(b"store", HERE)
    assert Sealer.from_setting(f"{new}, {old}").open(sealed, HERE) == b"store"
    assert b"new" in Sealer.from_setting(f"{new},{old}").seal(b"", HERE)[:9]
    with pytest.raises(UnknownKey):
        Sealer.from_setting(new).open(sealed, HERE)


@pytest.mark.parametrize("text", ["", "a", "a:AAAA", ":" + "A" * 43 + "=", "a:?", "two"])
def test_bad_keys_are_refused_without_revealing_them(text: str) -> None:
    text = f"{key('a')},{key('a')}" if text == "two" else text
    with pytest.raises(Invalid) as caught:
        Sealer.from_setting(text)
    assert "A" * 8 not in str(caught.value)
    assert "keys" not in repr(Sealer.from_setting(key("a"))).lower()


def sqlite_file(folder: Path, rows: int = 200) -> Path:
    path = folder / "device.db"
    with closing(sqlite3.connect(path)) as store:
        store.execute("PRAGMA journal_mode=WAL")
        store.execute("CREATE TABLE whatsmeow_sessions (id INTEGER PRIMARY KEY, data BLOB)")
        store.execute("CREATE TABLE whatsmeow_sender_keys (id INTEGER PRIMARY KEY, data BLOB)")
        store.execute("CREATE TABLE whatsmeow_identity_keys (id INTEGER PRIMARY KEY, data BLOB)")
        for table in ("sessions", "sender_keys", "identity_keys"):
            store.executemany(
                f"INSERT INTO whatsmeow_{table} (data) VALUES (?)",
                [(os.urandom(600),) for _ in range(rows)],
            )
        store.commit()
    return path


changes = st.lists(
    st.lists(st.tuples(st.integers(1, 300), st.integers(0, 5000)), max_size=6),
    min_size=1,
    max_size=5,
)


@settings(max_examples=15, deadline=None)
@given(changes)
def test_any_chain_of_deltas_gives_the_file(
    tmp_path_factory: pytest.TempPathFactory, history: list[list[tuple[int, int]]]
) -> None:
    path = sqlite_file(tmp_path_factory.mktemp("chain"), rows=50)
    with closing(sqlite3.connect(path)) as store:
        store.execute("PRAGMA journal_mode=DELETE")
    data = path.read_bytes()
    image = Image.of(data)
    restored = pages.apply(b"", pages.base(data, image))
    assert restored == data
    for step in history:
        with closing(sqlite3.connect(path)) as store:
            for row, size in step:
                store.execute(
                    "INSERT OR REPLACE INTO whatsmeow_sessions VALUES (?, ?)",
                    (row, os.urandom(size)),
                )
            store.commit()
            store.execute("VACUUM") if len(step) == 5 else None
        data = path.read_bytes()
        after = Image.of(data)
        piece = pages.delta(image, data, after)
        assert piece is not None
        restored, image = pages.apply(restored, piece), after
        assert restored == data


def test_a_delta_is_small_and_needs_its_own_base(tmp_path: Path) -> None:
    path = sqlite_file(tmp_path, rows=4000)
    with closing(sqlite3.connect(path)) as store:
        store.execute("PRAGMA journal_mode=DELETE")
    first = path.read_bytes()
    with closing(sqlite3.connect(path)) as store:
        store.execute("UPDATE whatsmeow_sessions SET data = ? WHERE id = 7", (os.urandom(600),))
        store.commit()
    second = path.read_bytes()
    piece = pages.delta(Image.of(first), second, Image.of(second))
    assert piece is not None
    assert len(piece) < 20_000 < len(first) / 100
    with pytest.raises(DamagedCheckpoint):
        pages.apply(first[: len(first) // 2], piece)
    with pytest.raises(DamagedCheckpoint):
        pages.apply(first, piece[:-20])


@pytest.mark.parametrize("data", [b"", b"SQLite format 3\0" + bytes(600), b"x" * 4096])
def test_what_is_no_database_is_no_checkpoint(data: bytes) -> None:
    with pytest.raises(DamagedCheckpoint):
        Image.of(data)
    with pytest.raises(DamagedCheckpoint):
        pages.apply(b"", data)


async def test_snapshot_of_a_database_in_use_is_one_commit(tmp_path: Path) -> None:
    path = sqlite_file(tmp_path)
    # The test is the other process here: it holds the database open, in the middle of a write.
    with closing(sqlite3.connect(path, isolation_level=None)) as live:
        live.execute("INSERT INTO whatsmeow_sessions (data) VALUES (x'01')")
        live.execute("BEGIN IMMEDIATE")
        live.execute("INSERT INTO whatsmeow_sessions (data) VALUES (x'02')")
        data = await take_snapshot(path)
        again = await take_snapshot(path)
        live.execute("COMMIT")
    assert data == again, "nothing changed, so nothing is to be checkpointed"
    copy = tmp_path / "copy.db"
    copy.write_bytes(data)
    with closing(sqlite3.connect(copy)) as store:
        found = store.execute("SELECT count(*), max(data) FROM whatsmeow_sessions WHERE id > 200")
        assert found.fetchone() == (1, b"\x01")
        assert store.execute("PRAGMA integrity_check").fetchone() == ("ok",)


def _in_use(path: Path) -> sqlite3.Connection:
    live = sqlite3.connect(path, isolation_level=None)
    live.execute("PRAGMA journal_mode=WAL")
    live.execute("CREATE TABLE IF NOT EXISTS kept (data BLOB)")
    return live


def test_the_next_commits_have_room_on_the_disk(tmp_path: Path) -> None:
    path = tmp_path / "device.db"
    assert not reserve(path), "nobody has it open"
    with closing(_in_use(path)) as live:
        log = tmp_path / "device.db-wal"
        for _ in range(3):
            live.execute("INSERT INTO kept VALUES (zeroblob(5000))")
            size = log.stat().st_size
            assert reserve(path)
            assert log.stat().st_size == size
            assert log.stat().st_blocks * 512 >= size + ROOM
        assert live.execute("SELECT count(*) FROM kept").fetchone() == (3,)
    with closing(sqlite3.connect(path)) as store:
        assert store.execute("SELECT count(*) FROM kept").fetchone() == (3,)


@pytest.mark.parametrize("reserved", [True, False])
def test_a_disk_that_is_full_takes_some_more_commits(tmp_path: Path, reserved: bool) -> None:
    disk = tmp_path / "disk"
    disk.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=2m", "tmpfs", str(disk)]
    if subprocess.run(mount, capture_output=True, check=False).returncode:
        pytest.skip("no small file system may be mounted here")
    try:
        with closing(_in_use(disk / "device.db")) as live:
            assert not reserved or reserve(disk / "device.db")
            with (disk / "filler").open("wb", buffering=0) as filler, suppress(OSError):
                while filler.write(bytes(4096)):
                    pass
            commits = 0
            with suppress(sqlite3.OperationalError):
                while commits < 30:
                    live.execute("INSERT INTO kept VALUES (zeroblob(2000))")
                    commits += 1
            assert (commits == 30) is reserved
            with pytest.raises(OSError, match="No space"):
                reserve(disk / "device.db")
    finally:
        subprocess.run(["umount", "--lazy", str(disk)], check=True)


async def test_snapshot_of_garbage_is_refused(tmp_path: Path) -> None:
    (tmp_path / "device.db").write_bytes(b"garbage" * 1000)
    with pytest.raises(Unavailable):
        await take_snapshot(tmp_path / "device.db")


def test_forgetting_takes_ratchets_and_nothing_else(tmp_path: Path) -> None:
    path = sqlite_file(tmp_path)
    assert forget_sessions(path) == 400
    with closing(sqlite3.connect(path)) as store:
        left = {
            table: store.execute(f"SELECT count(*) FROM whatsmeow_{table}").fetchone()[0]
            for table in ("sessions", "sender_keys", "identity_keys")
        }
    assert left == {"sessions": 0, "sender_keys": 0, "identity_keys": 200}


async def test_one_process_makes_many_copies_and_a_dead_one_is_replaced(tmp_path: Path) -> None:
    path = tmp_path / "device.db"
    with closing(sqlite3.connect(path)) as live:
        live.execute("CREATE TABLE t (n INTEGER)")
        live.commit()
        before = {child.pid for child in psutil.Process().children()}
        snapshotter = Snapshotter()
        try:
            first = await snapshotter.take(path)
            live.execute("INSERT INTO t VALUES (1)")
            live.commit()
            second = await snapshotter.take(path)
            assert first != second
            (child,) = {child.pid for child in psutil.Process().children()} - before
            os.kill(child, signal.SIGKILL)
            assert await snapshotter.take(path) == second
            assert not await snapshotter.take(tmp_path / "none.db")
            assert not (tmp_path / "none.db").exists()
            assert await snapshotter.take(path) == second
        finally:
            await snapshotter.close()

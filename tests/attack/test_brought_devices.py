"""What callers bring as a device: nothing in it runs, fills the machine, or holds up others."""

from __future__ import annotations

import asyncio
import base64
import itertools
import json
import os
import sqlite3
import struct
import time
from collections.abc import Awaitable, Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import psutil
import pytest
import zstandard
from pydantic import SecretStr

from actors.transfer import archive
from actors.transfer.archive import ArchiveLock, seal_archive
from actors.transfer.baileys import fill_from_baileys
from actors.transfer.device_moves import DeviceMoves
from actors.transfer.library_store import copy_device, make_empty
from actors.transfer.unpack import unpack
from cluster.domain.device_source import DeviceSource, SourceKind
from cluster.domain.errors import Conflict, Invalid, RateLimited
from cluster.settings import CheckpointSettings, Settings
from cluster.stores import Stores

#: More rows than any machine counts within a test.
_SLOW = (
    "CREATE VIEW slow AS WITH RECURSIVE c(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM c "
    "LIMIT 100000000000) SELECT max(n) AS n FROM c"
)
_LOCK = ArchiveLock(key=bytes(32))
_KEY = base64.b64encode(bytes(32)).decode()
MakeStore = Callable[..., Awaitable[Path]]


@pytest.fixture
def moves(stores: Stores, store_settings: Settings) -> DeviceMoves:
    keys = SecretStr("k1:" + base64.b64encode(bytes(32)).decode())
    store_settings.checkpoint = CheckpointSettings(keys=keys)
    return DeviceMoves(stores, store_settings)


@pytest.fixture
def make_store(tmp_path: Path) -> MakeStore:
    """A store of the library's with linked devices (of random keys), and `evil` run on it."""

    numbers = itertools.count()

    async def made(*jids: str, evil: str = "") -> Path:
        path = tmp_path / f"{next(numbers)}.db"
        await make_empty(path)
        with closing(sqlite3.connect(path)) as db, db:
            for jid in jids:
                keys = {
                    "registration_id": 7,
                    "signed_pre_key_id": 1,
                    "jid": jid,
                    **{n: os.urandom(32) for n in ("noise_key", "identity_key", "signed_pre_key")},
                    **{
                        n: os.urandom(32) for n in ("adv_key", "adv_details", "adv_account_sig_key")
                    },
                    **{
                        n: os.urandom(64)
                        for n in ("signed_pre_key_sig", "adv_account_sig", "adv_device_sig")
                    },
                }
                db.execute(
                    f"INSERT INTO whatsmeow_device ({', '.join(keys)}) "
                    f"VALUES ({', '.join(':' + k for k in keys)})",
                    keys,
                )
                db.execute(
                    "INSERT INTO whatsmeow_contacts (our_jid, their_jid, full_name) "
                    "VALUES (?, 'a@s.whatsapp.net', 'Ann')",
                    (jid,),
                )
                db.execute("INSERT INTO whatsmeow_sessions VALUES (?, 'them', x'00')", (jid,))
            db.executescript(evil)
        return path

    return made


async def test_the_library_makes_an_empty_store_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It takes a second of a processor, and whoever may import may do so often."""
    await make_empty(tmp_path / "first.db")

    async def never(*command: str, **options: Any) -> None:
        raise AssertionError(f"again: {command}")

    monkeypatch.setattr(asyncio, "create_subprocess_exec", never)
    await make_empty(tmp_path / "second.db")
    first, second = (
        closing(sqlite3.connect(tmp_path / f"{name}.db")) for name in ("first", "second")
    )
    with first as one, second as other:
        assert list(one.iterdump()) == list(other.iterdump())


def _sealed(facts: bytes, image: bytes, *, plain: bytes | None = None) -> bytes:
    """An archive, with facts that `seal_archive` would not write."""
    nonce, header = os.urandom(12), {"kdf": "none"}
    header["nonce"] = base64.b64encode(nonce).decode()
    text = json.dumps(header).encode()
    prefix = b"WSGDEV1\n" + struct.pack(">H", len(text)) + text
    if plain is None:
        content = struct.pack(">I", len(facts)) + facts + image
        plain = zstandard.ZstdCompressor().compress(content)
    return prefix + _LOCK._aead(header).encrypt(nonce, plain, prefix)


def _archive(data: bytes, **more: Any) -> DeviceSource:
    return DeviceSource(kind=SourceKind.ARCHIVE, data=data, key=_KEY, **more)


def _jid(name: str) -> str:
    return f"49{abs(hash(name)) % 10**10:010}:3@s.whatsapp.net"


@pytest.mark.parametrize(
    "evil",
    [
        f"{_SLOW}; CREATE TRIGGER t BEFORE DELETE ON whatsmeow_device "
        "BEGIN SELECT n FROM slow; END",
        f"{_SLOW}; CREATE TRIGGER t AFTER INSERT ON whatsmeow_contacts "
        "BEGIN SELECT n FROM slow; END",
        f"{_SLOW}; DROP TABLE whatsmeow_contacts; CREATE VIEW whatsmeow_contacts AS "
        "SELECT n AS our_jid, n AS their_jid FROM slow",
        "DROP TABLE whatsmeow_contacts; CREATE TABLE whatsmeow_contacts (our_jid TEXT, their_jid "
        "TEXT, full_name TEXT AS (hex(zeroblob(100000000))))",
        "DROP TABLE whatsmeow_contacts; "
        "CREATE VIRTUAL TABLE whatsmeow_contacts USING fts5(our_jid)",
        "CREATE INDEX i ON whatsmeow_contacts (length(hex(zeroblob(1000))))",
    ],
)
async def test_the_schema_of_a_brought_store_is_never_run(
    moves: DeviceMoves, make_store: MakeStore, session_name: Callable[[], str], evil: str
) -> None:
    """At most its rows are taken; else it is refused, and soon."""
    name = session_name()
    store = await make_store(_jid(name), "491:1@s.whatsapp.net", evil=evil)
    source = DeviceSource(kind=SourceKind.WHATSMEOW, data=store.read_bytes(), device=_jid(name))
    before = time.monotonic()
    try:
        made = await moves.bring("default", name, {}, source)
    except Invalid:
        made = 0
    assert time.monotonic() - before < 30
    if made:
        assert (await moves._stores.sessions.get_by_id(made)).me is not None


async def test_rows_are_copied_and_nothing_else(make_store: MakeStore, tmp_path: Path) -> None:
    one, two = "4911:1@s.whatsapp.net", "4922:2@s.whatsapp.net"
    store = await make_store(
        one, two, evil=f"{_SLOW}; CREATE TABLE more (a); PRAGMA user_version=7"
    )
    fresh = tmp_path / "fresh.db"
    await make_empty(fresh)
    copy_device(store, fresh, two)
    with closing(sqlite3.connect(fresh)) as db:
        assert db.execute("SELECT jid FROM whatsmeow_device").fetchall() == [(two,)]
        assert db.execute("SELECT our_jid, full_name FROM whatsmeow_contacts").fetchall() == [
            (two, "Ann")
        ]
        assert db.execute("SELECT * FROM whatsmeow_sessions").fetchall() == [], "no ratchets"
        named = "SELECT count(*) FROM sqlite_master WHERE name IN ('slow', 'more')"
        assert db.execute(named).fetchone() == (0,)
    for broken in (
        "UPDATE whatsmeow_version SET compat = 1000",
        "UPDATE whatsmeow_device SET noise_key = 5; ",
        "PRAGMA foreign_keys=OFF; DELETE FROM whatsmeow_device",
        "DROP TABLE whatsmeow_device",
        "PRAGMA ignore_check_constraints=ON; UPDATE whatsmeow_device SET registration_id=-1",
        "UPDATE whatsmeow_device SET platform = x'00ff'",
    ):
        await make_empty(again := tmp_path / "again.db")
        with pytest.raises((Invalid, sqlite3.IntegrityError)):
            copy_device(await make_store(one, evil=broken), again, "")
        again.unlink()


async def test_a_bomb_is_counted_while_it_unpacks(
    moves: DeviceMoves, session_name: Callable[[], str]
) -> None:
    """A frame that announces its size makes the decompressor ignore any bound but a stream's."""
    for size, announced in ((1 << 30, True), (1 << 29, False)):
        compressor = zstandard.ZstdCompressor(level=1, write_content_size=announced)
        bomb = compressor.compress(struct.pack(">I", 2) + b"{}" + bytes(size))
        process, most = psutil.Process(), 0
        before = process.memory_info().rss
        task = asyncio.ensure_future(
            moves.bring("default", session_name(), {}, _archive(_sealed(b"", b"", plain=bomb)))
        )
        while not task.done():
            most = max(most, process.memory_info().rss - before)
            await asyncio.sleep(0.02)
        with pytest.raises(Invalid, match="more than a device's store"):
            await task
        assert most < 100 << 20


@pytest.mark.parametrize(
    ("facts", "image", "plain"),
    [
        (b"", b"", b"no zstd"),
        (b"", b"", b""),
        (b"", b"", zstandard.ZstdCompressor().compress(b"")),
        (b"", b"", zstandard.ZstdCompressor().compress(struct.pack(">I", 2**32 - 1) + b"{}")),
        (b"", b"", zstandard.ZstdCompressor().compress(b"x" * 5000)[:-9]),
        (b"", b"rest", None),
        (b"[]", b"rest", None),
        (b"\xff\xfe", b"rest", None),
        (b'{"config": NaN}', b"rest", None),
        (b'{"config": 1e999}', b"rest", None),
        (b'{"config": {"a": "\\ud800"}}', b"rest", None),
        (b"[" * 100000, b"rest", None),
        (b"{}", b"no database", None),
        (b"{}", b"", None),
    ],
)
async def test_malformed_archives_are_the_callers_fault(
    moves: DeviceMoves,
    session_name: Callable[[], str],
    facts: bytes,
    image: bytes,
    plain: bytes | None,
) -> None:
    with pytest.raises(Invalid):
        await moves.bring(
            "default", session_name(), {}, _archive(_sealed(facts, image, plain=plain))
        )


@pytest.mark.parametrize(
    "config",
    [
        "x",
        7,
        [],
        {"webhooks": [{"url": "file:///etc/passwd", "events": []}]},
        {"webhooks": [7, None]},
        {"webhooks": [{"url": "https://a.example", "events": [], "retries": {"attempts": "many"}}]},
        {
            "webhooks": [
                {
                    "url": "https://a.example",
                    "events": [],
                    "customHeaders": [{"name": "X-A\r\nX", "value": "a\r\nX-B: c"}],
                }
            ]
        },
        {"proxy": 5},
        {"pacing": {"burst": -1}},
    ],
)
async def test_an_archives_configuration_is_checked_as_a_posted_one(
    moves: DeviceMoves,
    stores: Stores,
    make_store: MakeStore,
    session_name: Callable[[], str],
    config: Any,
) -> None:
    name = session_name()
    store = await make_store(_jid(name))
    sealed = seal_archive({"config": config}, store.read_bytes(), _LOCK)
    with pytest.raises(Invalid, match="config"):
        await moves.bring("default", name, {}, _archive(sealed))
    assert not [r for r in await stores.sessions.list("default") if r.name == name]


@pytest.mark.parametrize(
    "change",
    [
        {"registrationId": 1e30},
        {"registrationId": -5},
        {"registrationId": 1 << 70},
        {"firstUnuploadedPreKeyId": "abc"},
        {"signedPreKey": 5},
        {"me": {"id": "1:1@s.whatsapp.net", "lid": 7}},
        {"sync": {"keyData": "AAAA", "fingerprint": {"rawId": -1}}},
        {"sync": {"keyData": "AAAA", "fingerprint": 5}},
        {"sync": {"keyData": "AAAA", "fingerprint": {"deviceIndexes": [-1]}}},
        {"sync": {"keyData": "AAAA", "fingerprint": {"deviceIndexes": 7}}},
        {"sync": {"keyData": "AAAA", "timestamp": 1e40}},
        {"sync": {"keyData": "AAAA", "timestamp": 1 << 64}},
    ],
)
async def test_nonsense_in_a_baileys_folder_is_the_callers_fault(
    make_store: MakeStore, tmp_path: Path, change: dict[str, Any]
) -> None:
    from baileys_folder import baileys_files

    store = await make_store("4911:1@s.whatsapp.net")
    with closing(sqlite3.connect(store)) as db, db:
        db.execute("UPDATE whatsmeow_device SET lid = '1:1@lid'")
        db.execute(
            "INSERT INTO whatsmeow_pre_keys VALUES ('4911:1@s.whatsapp.net', 1, ?, 1)",
            (os.urandom(32),),
        )
    files = baileys_files(store)
    fill = {"app-state-sync-key-AAAA.json": change.pop("sync")} if "sync" in change else {}
    files["creds.json"] |= change
    await make_empty(fresh := tmp_path / "fresh.db")
    with pytest.raises(Invalid):
        fill_from_baileys(fresh, files | fill)


async def test_nobody_waits_for_what_another_tenant_brought(
    moves: DeviceMoves,
    make_store: MakeStore,
    session_name: Callable[[], str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """While one tenant's import is under way for as long as it likes, another's is done; and one
    tenant's own do not pile up."""
    endless = asyncio.Event()

    async def slow(source: DeviceSource, folder: Path) -> Any:
        if source.device == "slow":
            await endless.wait()
        return await unpack(source, folder)

    monkeypatch.setattr("actors.transfer.device_moves.unpack", slow)
    stuck = DeviceSource(kind=SourceKind.WHATSMEOW, data=b"x", device="slow")
    tenant, tasks = session_name(), []
    for _ in range(3):
        tasks.append(asyncio.ensure_future(moves.bring(tenant, session_name(), {}, stuck)))
        await asyncio.sleep(0.05)
    with pytest.raises(RateLimited):
        await moves.bring(tenant, session_name(), {}, stuck)
    name = session_name()
    store = await make_store(_jid(name))
    source = DeviceSource(kind=SourceKind.WHATSMEOW, data=store.read_bytes())
    async with asyncio.timeout(30):
        made = await moves.bring("default", name, {}, source)
        await moves.export(made, None, _KEY)
    endless.set()
    for answer in await asyncio.gather(*tasks, return_exceptions=True):
        assert isinstance(answer, Invalid)
    assert not moves._locks


async def test_who_has_no_keys_of_a_device_does_not_learn_that_it_lives_here(
    moves: DeviceMoves, make_store: MakeStore, session_name: Callable[[], str]
) -> None:
    name = session_name()
    real = DeviceSource(kind=SourceKind.WHATSMEOW, data=(await make_store(_jid(name))).read_bytes())
    forged, again = [
        DeviceSource(kind=SourceKind.WHATSMEOW, data=(await make_store(_jid(name))).read_bytes())
        for _ in range(2)
    ]
    # A forged store first: it bars nobody.
    await moves.bring("stranger", session_name(), {}, forged)
    await moves.bring("default", name, {}, real)
    await moves.bring("another", session_name(), {}, again)
    with pytest.raises(Conflict, match="has that device"):
        await moves.bring("thief", session_name(), {}, real)
    with pytest.raises(Conflict, match="has that device"):
        await moves.bring("default", session_name(), {}, forged)


def test_bounds_of_an_archive_fit_into_those_of_the_process() -> None:
    from actors.transfer import unpack

    assert unpack._BOUNDS.file > archive._MAX_PLAIN + archive._MAX_FACTS

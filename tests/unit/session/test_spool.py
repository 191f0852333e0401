"""What was received survives the process that received it."""

from __future__ import annotations

import asyncio
import base64
import errno
import io
import threading
from pathlib import Path
from typing import NoReturn

import pytest

from actors.session import spool as spool_module
from actors.session.spool import Spool
from actors.whatsapp.port import Disconnected, SpoolClosedError, WhatsAppEvent
from actors.whatsapp.stream import EventStream


class Disk:
    """In place of fdatasync: it ends when it is let, and counts."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.calls, self.error = 0, 0
        self.begun, self.may_end = threading.Semaphore(0), threading.Semaphore(0)
        monkeypatch.setattr(spool_module, "_to_disk", self._sync)

    def _sync(self, _descriptor: int) -> None:
        self.calls += 1
        self.begun.release()
        assert self.may_end.acquire(timeout=10)
        if self.error:
            raise OSError(self.error, "the disk says no")


class Flush(threading.Thread):
    """One who waits for an entry of his own, as the library's thread does."""

    def __init__(self, spool: Spool) -> None:
        super().__init__(daemon=True)
        self.spool, self.ticket = spool, spool.add(b"entry")
        self.start()

    def run(self) -> None:
        self.spool.flush(self.ticket)

    def over(self, within: float = 10) -> bool:
        self.join(within)
        return not self.is_alive()


def test_only_what_is_not_done_is_read_again(tmp_path: Path) -> None:
    path = tmp_path / "spool"
    spool = Spool(path, limit=1 << 20)
    tickets = [spool.add(f"entry {n}\n".encode()) for n in range(3)]
    spool.done(tickets[1])
    assert list(spool.pending().values()) == [b"entry 0\n", b"entry 2\n"]
    # The file may hold more than is pending (replays are harmless), but never less.
    assert set(spool.pending().values()) <= set(Spool.read(path))
    spool.done(tickets[0])
    spool.done(tickets[2])
    assert Spool.read(path) == []
    spool.add(b"entry 3\n")
    assert Spool.read(path) == [b"entry 3\n"]
    assert list(Spool(path, limit=1 << 20).pending().values()) == [b"entry 3\n"]


def test_what_is_done_does_not_pile_up(tmp_path: Path) -> None:
    path = tmp_path / "spool"
    spool = Spool(path, limit=1 << 12)
    sizes = set()
    for _ in range(100):
        spool.done(spool.add(b"x" * 100))
        sizes.add(path.stat().st_size)
    assert max(sizes) <= 1 << 11
    assert len(sizes) > 5, "nor is it emptied each time"
    assert Spool.read(path) == []
    spool.close()
    assert path.stat().st_size == 0


def test_a_disk_that_has_no_room_for_the_mark_gets_back_what_is_done(tmp_path: Path) -> None:
    path = tmp_path / "spool"
    spool = Spool(path, limit=1 << 20)
    ticket = spool.add(b"entry")

    class Full(io.FileIO):
        def write(self, data: object) -> int:
            raise OSError(errno.ENOSPC, "no room")

    spool._file = Full(path, "ab")
    spool.done(ticket)
    assert path.stat().st_size == 0


def test_a_torn_last_line_costs_that_entry_alone(tmp_path: Path) -> None:
    path = tmp_path / "spool"
    spool = Spool(path, limit=1 << 20)
    for n in range(3):
        spool.add(b"x" * 100 + bytes([n]))
    data = path.read_bytes()
    for cut in range(1, 100):
        path.write_bytes(data[:-cut])
        assert len(Spool.read(path)) in (2, 3)
        assert Spool.read(path)[:2] == [b"x" * 100 + b"\0", b"x" * 100 + b"\1"]


def test_orphaned_entries_become_the_new_owners(tmp_path: Path) -> None:
    old = Spool(tmp_path / "old", limit=1 << 20)
    old.add(b"left")
    new = Spool(tmp_path / "new", limit=1 << 20)
    ((ticket, entry),) = new.take_over(Spool.read(tmp_path / "old"))
    assert entry == b"left"
    assert Spool.read(tmp_path / "new") == [b"left"]
    new.done(ticket)
    assert Spool.read(tmp_path / "new") == []


def test_a_successors_spool_is_never_without_what_was_in_it(tmp_path: Path) -> None:
    path = tmp_path / "spool"
    Spool(path, limit=1 << 20).add(b"mine")
    path.write_bytes(path.read_bytes() + b"dG9y")  # torn
    again = Spool(path, limit=1 << 20)
    again.add(b"new")
    assert Spool.read(path)[0] == b"mine"
    assert Spool.read(path)[-1] == b"new"
    taken = again.take_over([b"left elsewhere"])
    assert [entry for _, entry in taken if entry != b"tor"] == [b"mine", b"new", b"left elsewhere"]
    for ticket, _ in taken:
        again.done(ticket)
    assert Spool.read(path) == []
    again.close()
    assert path.stat().st_size == 0


def test_a_full_spool_keeps_in_memory_and_does_not_grow(tmp_path: Path) -> None:
    path = tmp_path / "spool"
    spool = Spool(path, limit=300)
    for n in range(10):
        spool.add(bytes([n]) * 60)
    assert len(spool.pending()) == 10
    assert path.stat().st_size <= 300


def test_threads_may_add_and_finish_at_once(tmp_path: Path) -> None:
    path = tmp_path / "spool"
    spool = Spool(path, limit=1 << 24)

    def work() -> None:
        for n in range(300):
            spool.done(spool.add(b"entry %d" % n))

    threads = [threading.Thread(target=work) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not spool.pending()
    assert Spool.read(path) == []


def test_a_full_disk_is_reported_and_the_entry_kept_in_memory(tmp_path: Path) -> None:
    reported: list[bool] = []
    spool = Spool(tmp_path / "spool", limit=1 << 20, on_full=lambda: reported.append(True))
    spool.add(b"fits")
    with io.FileIO("/dev/full", "a") as full:
        spool._file = full
        ticket = spool.add(b"does not")
    assert reported == [True]
    assert not spool.survives
    assert spool.pending()[ticket] == b"does not"


def test_a_short_write_is_a_refusal_and_costs_no_other_entry(tmp_path: Path) -> None:
    """A disk that fills up takes the beginning of a line."""
    path, refused = tmp_path / "spool", []
    spool = Spool(path, limit=1 << 20, on_full=lambda: refused.append(True))
    spool.add(b"before")

    class Filling(io.FileIO):
        def write(self, data: object) -> int:
            return super().write(bytes(data)[:10])  # type: ignore[call-overload]

    whole, spool._file = spool._file, Filling(path, "ab")
    torn = spool.add(b"does not fit")
    assert refused == [True]
    assert not spool.survives
    spool._file = whole
    spool.add(b"after")
    assert Spool.read(path) == [b"before", b"after"]
    assert list(spool.pending().values()) == [b"before", b"does not fit", b"after"]
    spool.done(torn)
    assert spool.survives


def test_an_entry_that_was_altered_is_no_entry(tmp_path: Path) -> None:
    path = tmp_path / "spool"
    spool = Spool(path, limit=1 << 20)
    for n in range(3):
        spool.add(b"entry %d of them" % n)
    lines = path.read_bytes().splitlines(keepends=True)
    # A torn line whose rest is base64 all the same.
    path.write_bytes(lines[0] + lines[1][:8] + lines[1][12:] + lines[2])
    assert Spool.read(path) == [b"entry 0 of them", b"entry 2 of them"]


def test_a_spool_of_the_version_before_is_read(tmp_path: Path) -> None:
    path = tmp_path / "spool"
    path.write_bytes(base64.b64encode(b"old") + b"\n")
    assert Spool.read(path) == [b"old"]


def test_an_entry_is_waited_for_until_the_disk_has_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    disk, spool = Disk(monkeypatch), Spool(tmp_path / "spool", limit=1 << 20)
    one = Flush(spool)
    assert disk.begun.acquire(timeout=10)
    assert not one.over(0.05)
    disk.may_end.release()
    assert one.over()
    # It is safe: nobody asks the disk again.
    spool.flush(one.ticket)
    assert disk.calls == 1
    assert spool.survives


def test_who_waits_at_the_same_time_is_one_group(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    disk, spool = Disk(monkeypatch), Spool(tmp_path / "spool", limit=1 << 20)
    first = Flush(spool)
    assert disk.begun.acquire(timeout=10)
    # What is written during a group is not certain to be in it.
    later = [Flush(spool) for _ in range(20)]
    disk.may_end.release()
    assert first.over()
    assert disk.begun.acquire(timeout=10)
    assert not later[0].over(0.05)
    disk.may_end.release()
    assert all(one.over() for one in later)
    assert disk.calls == 2


def test_what_is_committed_meanwhile_is_not_waited_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    disk, spool = Disk(monkeypatch), Spool(tmp_path / "spool", limit=1 << 20)
    first = Flush(spool)
    assert disk.begun.acquire(timeout=10)
    second = Flush(spool)
    spool.done(second.ticket)
    assert second.over()
    spool.close()
    disk.may_end.release()
    assert first.over()
    assert disk.calls == 1


@pytest.mark.parametrize(("code", "full"), [(errno.EIO, False), (errno.ENOSPC, True)])
def test_what_the_disk_refused_late_is_in_memory_only(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, code: int, full: bool
) -> None:
    reported: list[bool] = []
    disk = Disk(monkeypatch)
    spool = Spool(tmp_path / "spool", limit=1 << 20, on_full=lambda: reported.append(True))
    disk.error = code
    disk.may_end.release()
    one = Flush(spool)
    assert one.over()
    assert not spool.survives
    assert bool(reported) is full
    # What comes after it stands on its own.
    disk.error = 0
    disk.may_end.release()
    assert Flush(spool).over()
    assert disk.calls == 2
    spool.done(one.ticket)
    assert spool.survives


def test_without_it_nobody_waits(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    disk, spool = Disk(monkeypatch), Spool(tmp_path / "spool", limit=1 << 20, fsync=False)
    assert Flush(spool).over()
    assert disk.calls == 0


def test_orphaned_entries_are_safe_before_their_files_may_go(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    disk, spool = Disk(monkeypatch), Spool(tmp_path / "spool", limit=1 << 20)
    disk.may_end.release()
    spool.take_over([b"one", b"two", b"three"])
    assert disk.calls == 1


async def test_the_library_goes_on_when_its_message_is_safe_or_committed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It acknowledges to WhatsApp after its callback, and the loop waits for no disk."""
    disk, spool = Disk(monkeypatch), Spool(tmp_path / "spool", limit=1 << 20)
    first = Flush(spool)
    assert await asyncio.to_thread(disk.begun.acquire, timeout=10)
    arrived, commit = asyncio.Event(), asyncio.Event()

    async def complete(event: WhatsAppEvent) -> WhatsAppEvent:
        return event

    async def handle(_event: WhatsAppEvent, _entry: bytes) -> None:
        arrived.set()
        await commit.wait()

    stream = EventStream(
        key="k",
        translate=lambda _code, _raw: Disconnected(),
        name=str,
        kept=frozenset({17}),
        complete=complete,
        handle=handle,
        spool=spool,
    )
    stream.start(lambda _error: None)
    callback = threading.Thread(
        target=stream.said, args=(asyncio.get_running_loop(), 17, b"raw"), daemon=True
    )
    callback.start()
    async with asyncio.timeout(10):
        await arrived.wait()
    await asyncio.to_thread(callback.join, 0.05)
    assert callback.is_alive()
    commit.set()
    await asyncio.to_thread(callback.join, 10)
    assert not callback.is_alive()
    disk.may_end.release()
    assert await asyncio.to_thread(first.over)
    await stream.end()


class Held(Exception):
    """In place of never returning to the library."""


def _hold() -> NoReturn:
    raise Held


@pytest.mark.parametrize("late", ["after the end of the stream", "after the end of the spool"])
async def test_a_call_of_the_library_that_comes_too_late_does_not_return(
    tmp_path: Path, late: str
) -> None:
    """It would note that the message was dealt with, and acknowledge it when it comes again."""
    spool = Spool(tmp_path / "spool", limit=1 << 20)
    handled: list[bytes] = []

    async def complete(event: WhatsAppEvent) -> WhatsAppEvent:
        return event

    async def handle(_event: WhatsAppEvent, entry: bytes) -> None:
        handled.append(entry)

    stream = EventStream(
        key="k",
        translate=lambda _code, _raw: Disconnected(),
        name=str,
        kept=frozenset({17}),
        complete=complete,
        handle=handle,
        spool=spool,
        never_return=_hold,
    )
    stream.start(lambda _error: None)
    loop = asyncio.get_running_loop()
    stream.said(loop, 17, b"in time")
    await stream.handled()
    if late == "after the end of the stream":
        await stream.end()
    else:
        assert not spool.close()
    with pytest.raises(Held):
        stream.said(loop, 17, b"late")
    # What nobody sends again is kept, and nothing else waits.
    stream.said(loop, 3, b"the connection ended")
    await stream.end()
    assert [entry[1:] for entry in handled if entry[0] == 17] == [b"in time"]
    assert Spool.read(tmp_path / "spool") == []


def test_what_comes_while_the_spool_is_closed_is_left_in_it_or_refused(tmp_path: Path) -> None:
    """Never neither: the folder of a clean end is removed only when nothing is left."""
    for n in range(200):
        spool = Spool(tmp_path / f"spool-{n}", limit=1 << 20, fsync=False)
        added = threading.Event()

        def add(spool: Spool = spool, added: threading.Event = added) -> None:
            try:
                spool.add(b"entry")
            except SpoolClosedError:
                return
            added.set()

        thread = threading.Thread(target=add)
        thread.start()
        left = spool.close()
        thread.join()
        assert left is added.is_set()
        assert bool(Spool.read(tmp_path / f"spool-{n}")) is left

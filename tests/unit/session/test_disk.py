"""The disk check of a node whose data folder nobody has made yet."""

from __future__ import annotations

import asyncio
import os
from pathlib import Path

import pytest
from waiting import until

from actors.session.disk import FullDisk, nearly_full


class DiskSpace:
    """Bytes that are free on every disk, and how often somebody looked."""

    def __init__(self) -> None:
        self.free, self.reads = 10, 0

    def statvfs(self, _: Path) -> os.statvfs_result:
        self.reads += 1
        return os.statvfs_result((1, 1, 100, self.free, self.free, 0, 0, 0, 0, 255))


@pytest.fixture
def disk_space(monkeypatch: pytest.MonkeyPatch) -> DiskSpace:
    made = DiskSpace()
    monkeypatch.setattr(os, "statvfs", made.statvfs)
    return made


def test_a_folder_that_is_yet_to_be_made_is_judged_by_its_disk(tmp_path: Path) -> None:
    folder = tmp_path / "not" / "yet"
    assert not nearly_full(folder, 0)
    assert nearly_full(folder, 1 << 62)


async def test_many_who_ask_read_it_once_and_see_a_change(
    tmp_path: Path, disk_space: DiskSpace
) -> None:
    disk = FullDisk(tmp_path, least=5)
    assert set(await asyncio.gather(*(disk.seen(60) for _ in range(50)))) == {False}
    assert disk_space.reads == 1
    disk_space.free = 4
    assert not await disk.seen(60)
    assert await disk.seen(0)


async def test_many_who_wait_until_it_is_full_share_a_look(
    tmp_path: Path, disk_space: DiskSpace
) -> None:
    disk = FullDisk(tmp_path, least=5)
    waiting = [asyncio.create_task(disk.becomes_full()) for _ in range(50)]
    await until(lambda: disk_space.reads >= 2)
    assert not any(task.done() for task in waiting)
    waiting.pop().cancel()
    disk_space.free = 4
    async with asyncio.timeout(10):
        await asyncio.gather(*waiting)
    assert disk_space.reads < 10, "one a second, and not one for each"
    async with asyncio.timeout(10):
        await disk.becomes_full()

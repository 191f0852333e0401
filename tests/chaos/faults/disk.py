"""A node whose disk is full: its data folder lies on a small file system of its own."""

from __future__ import annotations

import asyncio
import contextlib
import os
import subprocess
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path

from chaos.scene import Fault, Scene, Strike
from cluster.domain.errors import Unavailable

__all__ = ["DISK_FAULTS", "small_disk"]

_BYTES = 128 << 20
_FULL_SECONDS = 20.0
_MOUNT = "/bin/mount"


@contextmanager
def small_disk(folder: Path) -> Iterator[None]:
    """A file system of 128 MB at `folder`, where this process may mount one (root)."""
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    if os.geteuid() != 0:
        yield
        return
    subprocess.run(
        [_MOUNT, "-t", "tmpfs", "-o", f"size={_BYTES},mode=700", "tmpfs", str(folder)],
        capture_output=True,
        check=False,
    )
    try:
        yield
    finally:
        if os.path.ismount(folder):
            subprocess.run(["/bin/umount", "--lazy", str(folder)], check=False)


@asynccontextmanager
async def disk_full(scene: Scene) -> AsyncIterator[Strike]:
    name, _, people = await scene.busiest_worker()
    folder = scene.gateway.layout.node(name)
    if not await asyncio.to_thread(os.path.ismount, folder):
        raise Unavailable("no small file system could be mounted for it: that takes root")
    filler = folder / "filler"
    since = time.monotonic()
    await asyncio.to_thread(_fill, filler)
    try:
        yield Strike(affected=people, since=since, what=f"{name}, {len(people)} sessions")
        await asyncio.sleep(max(0.0, since + _FULL_SECONDS - time.monotonic()))
    finally:
        filler.unlink(missing_ok=True)


def _fill(file: Path) -> None:
    with file.open("wb", buffering=0) as handle, contextlib.suppress(OSError):
        while True:
            handle.write(bytes(1 << 16))
    with file.open("ab", buffering=0) as handle, contextlib.suppress(OSError):
        while True:
            handle.write(bytes(256))


DISK_FAULTS = [
    Fault(
        "disk_full",
        "the disk of a node full, to the last byte",
        disk_full,
        small_disks=True,
        spares_others=True,
    )
]

"""The device store's place on this node's disk, and whether it is the very latest.

    <data>/devices/<session id>/<epoch>/device.db      the SQLite store whatsmeow works on
    <data>/devices/<session id>/<epoch>/owner.json     boot id: after a reboot nothing is trusted
    <data>/devices/<session id>/<epoch>/lock           flock held by the owning process

A process that starts with epoch E and finds the folder of epoch E-1, of the same boot, with its
lock free, has the very latest store: no other owner existed in between. In every other case the
store comes from a checkpoint (invariant 2 of the design).
"""

from __future__ import annotations

import fcntl
import json
import os
import shutil
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO

from actors.process_identity import boot_id
from actors.session.spool import Spool

__all__ = ["DeviceFolder", "DeviceStoreBusy", "orphaned"]


class DeviceStoreBusy(RuntimeError):
    """Another process of this node still holds the device store."""


@dataclass(slots=True)
class DeviceFolder:
    """The folder of one session's device store under one epoch, locked by this process."""

    path: Path
    #: True when the store in it is the predecessor's own, unbroken.
    intact: bool
    _lock: IO[str]
    #: Spools of other epochs whose entries are in this folder's own.
    spools_taken: set[Path] = field(default_factory=set)

    @property
    def database(self) -> Path:
        return self.path / "device.db"

    @classmethod
    def take(cls, root: Path, session_id: int, epoch: int) -> DeviceFolder:
        """Make the folder of `epoch`, from the predecessor's when that is intact."""
        parent = root / "devices" / str(session_id)
        parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        target = parent / str(epoch)
        intact = False
        previous = parent / str(epoch - 1)
        if _trustworthy(previous):
            lock = _lock(previous)
            if lock is not None:
                previous.rename(target)
                return cls(path=target, intact=True, _lock=lock)._stamped()
        if target.exists():
            shutil.rmtree(target)
        target.mkdir(mode=0o700)
        lock = _lock(target)
        if lock is None:
            raise DeviceStoreBusy(str(target))
        return cls(path=target, intact=intact, _lock=lock)._stamped()

    @classmethod
    def exists(cls, root: Path, session_id: int, epoch: int) -> bool:
        """Whether that epoch's owner was on this node."""
        return (root / "devices" / str(session_id) / str(epoch)).exists()

    @property
    def spool(self) -> Path:
        return self.path / "received.spool"

    def leftover_spools(self) -> list[Path]:
        """Spools of other epochs on this node that no living process holds, oldest first."""
        found = []
        others = (p for p in self.path.parent.iterdir() if p != self.path and p.name.isdigit())
        for other in sorted(others, key=lambda p: int(p.name)):
            if (other / "received.spool").exists() and (lock := _lock(other)) is not None:
                found.append(other / "received.spool")
                lock.close()
        return found

    def discard_others(self) -> None:
        """Remove the folders of other epochs that no living process holds, but for received
        messages that nobody took: of a process that ended only after `leftover_spools`. The node's
        agent gives those to the owner."""
        for other in self.path.parent.iterdir():
            if other != self.path and (lock := _lock(other)) is not None:
                spool = other / "received.spool"
                if spool in self.spools_taken or not Spool.read(spool):
                    shutil.rmtree(other, ignore_errors=True)
                lock.close()

    def discard(self) -> None:
        """Remove the store: the device is unlinked, or its checkpoint is safe elsewhere."""
        shutil.rmtree(self.path, ignore_errors=True)

    def discard_database(self) -> None:
        """Remove the store itself, keep the folder and its lock."""
        for name in ("device.db", "device.db-wal", "device.db-shm", "device.db-journal"):
            (self.path / name).unlink(missing_ok=True)

    def release(self) -> None:
        self._lock.close()

    def _stamped(self) -> DeviceFolder:
        (self.path / "owner.json").write_text(json.dumps({"boot": boot_id()}))
        return self


def orphaned(root: Path) -> list[tuple[int, Path]]:
    """(session id, folder) of every epoch on this node whose process is gone, oldest first."""
    found = []
    for session in _within(root / "devices"):
        for folder in _within(session):
            if folder.name.isdigit() and (lock := _lock(folder)) is not None:
                lock.close()
                found.append((int(session.name), folder))
    return sorted(found, key=lambda one: (one[0], int(one[1].name)))


def _within(folder: Path) -> list[Path]:
    """What is in it; a file has nothing."""
    try:
        return list(folder.iterdir())
    except (FileNotFoundError, NotADirectoryError):
        return []


def _trustworthy(folder: Path) -> bool:
    try:
        stamp = json.loads((folder / "owner.json").read_text())
    except (OSError, ValueError):
        return False
    return bool(stamp.get("boot") == boot_id()) and (folder / "device.db").exists()


def _lock(folder: Path) -> IO[str] | None:
    try:
        handle = (folder / "lock").open("w")
    except OSError:
        return None
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        handle.close()
        return None
    os.set_inheritable(handle.fileno(), False)
    return handle

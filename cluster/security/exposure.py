"""What other users of this machine can reach of files, folders and sockets, by owner and mode."""

from __future__ import annotations

import os
import stat
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from pathlib import Path

from cluster.domain.errors import Invalid

__all__ = ["Exposure", "exposures", "private_folder"]

_READ, _WRITE, _PASS = 0o044, 0o022, 0o011


@dataclass(frozen=True, slots=True)
class Exposure:
    """One entry that others can reach, and how."""

    path: Path
    how: str

    def __str__(self) -> str:
        return f"{self.path}: {self.how}"


def exposures(root: Path, *, owners: Collection[int] = ()) -> Iterator[Exposure]:
    """Entries at and under `root` that another user, or a group, can read, change or connect to.

    Folders that nobody else can pass through are not looked into. A folder that lets others pass,
    and neither look around nor write, is none by itself. `owners`: uids that may own entries
    besides this process's and root."""
    trusted = {0, os.geteuid(), *owners}
    pending = [root]
    while pending:
        path = pending.pop()
        try:
            found = path.lstat()
            if stat.S_ISLNK(found.st_mode):
                continue
            if how := _how(found, trusted):
                yield Exposure(path, how)
            if stat.S_ISDIR(found.st_mode) and found.st_mode & _PASS:
                pending += path.iterdir()
        except (FileNotFoundError, PermissionError, NotADirectoryError):
            # Gone meanwhile, or of another owner who closed it to us as well.
            continue


def private_folder(folder: Path) -> None:
    """Make `folder`, or close it, so that only its owner gets at what is in it, by this path.
    Raises `Invalid` where it belongs to another user, or others can put one in its place."""
    folder.mkdir(mode=0o700, exist_ok=True)
    found = folder.lstat()
    if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.geteuid():
        raise Invalid(f"{folder} belongs to somebody else; remove it")
    folder.chmod(0o700)
    if folder.lstat().st_mode & 0o077:
        raise Invalid(f"{folder} cannot be closed to others: its file system keeps no modes")
    for above in folder.absolute().parents:
        mode = above.stat().st_mode
        if mode & stat.S_IWOTH and not mode & stat.S_ISVTX:
            raise Invalid(f"everybody can replace what is in {above}: chmod o-w, or another place")


def _how(found: os.stat_result, trusted: set[int]) -> str:
    mode = found.st_mode
    if found.st_uid not in trusted:
        return f"belongs to uid {found.st_uid}"
    if stat.S_ISSOCK(mode):
        return "others can connect to it" if mode & _WRITE else ""
    if mode & _WRITE:
        return "others can change it"
    if mode & _READ:
        return "others can list it" if stat.S_ISDIR(mode) else "others can read it"
    return ""

"""Another user of the machine, who tries to get at the paths of a list. Needs root, to become one.

`python other_user.py`: takes attempts on stdin, prints those that succeeded.
"""

from __future__ import annotations

import json
import os
import socket
import stat
import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path

__all__ = ["UID", "reached"]

#: Nobody's, on any machine of ours.
UID = 12345


def reached(paths: Iterable[Path]) -> set[str]:
    """What the other user could do with `paths`: `read /a/file`, `connect to /a/socket` …"""
    done = subprocess.run(
        # The interpreter may be where that user cannot go: it changes the user itself.
        [sys.executable, __file__],
        input=json.dumps([str(path) for path in paths]),
        capture_output=True,
        text=True,
        check=True,
        timeout=120,
    )
    return set(json.loads(done.stdout))


def _attempts(path: str) -> Iterable[str]:
    try:
        mode = Path(path).stat().st_mode
    except OSError:
        # Not even that it is there can be seen; opening it is tried all the same.
        mode = 0
    if stat.S_ISDIR(mode):
        if _succeeds(lambda: list(Path(path).iterdir())):
            yield f"list {path}"
        probe = Path(path, f".probe-{os.getpid()}")
        if _succeeds(probe.touch):
            probe.unlink()
            yield f"write in {path}"
        return
    for kind in (socket.SOCK_STREAM, socket.SOCK_DGRAM):
        with socket.socket(socket.AF_UNIX, kind) as one:
            one.settimeout(2)
            if len(path.encode()) < 108 and _succeeds(lambda: one.connect(path)):
                yield f"connect to {path}"
    if _succeeds(lambda: _read(path)):
        yield f"read {path}"
    if _succeeds(lambda: os.close(os.open(path, os.O_WRONLY | os.O_NONBLOCK))):
        yield f"write {path}"


def _read(path: str) -> None:
    opened = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
    try:
        if not os.read(opened, 1) and path.startswith("/proc/"):
            raise PermissionError  # of a process that has just ended
    finally:
        os.close(opened)


def _succeeds(attempt: object) -> bool:
    try:
        attempt()  # type: ignore[operator]
    except OSError:
        return False
    return True


def _main() -> None:
    os.setgroups([])
    os.setresgid(UID, UID, UID)
    os.setresuid(UID, UID, UID)
    os.chdir("/")
    paths = json.load(sys.stdin)
    sys.stdout.write(json.dumps([deed for path in paths for deed in _attempts(path)]))


if __name__ == "__main__":
    _main()

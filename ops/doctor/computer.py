"""The machine: interpreter, memory, disk, bounds of the kernel, programs that are called."""

from __future__ import annotations

import os
import platform
import resource
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path

import psutil

from ops.doctor.check import Check, Verdict

__all__ = ["machine"]

_GIB = 1 << 30
#: Free disk: a node's logs and device stores, and what SQLite and the spool need to go on.
_DISK_LOW, _DISK_OUT = 5 * _GIB, _GIB // 2
#: A node of Ray with its workers takes some 1 GB before the first session.
_MEMORY_LOW = 2 * _GIB
#: Each session holds sockets, a SQLite store with its log, a spool, and Ray's own channels.
_FILES_ENOUGH, _FILES_FEW = 65_536, 4_096
_PROCESSES_FEW = 4_096


def machine(data: Path) -> Iterator[Check]:
    """`data`: where the gateway keeps, or will keep, its data."""
    yield _check("python", _graded(sys.version_info >= (3, 11)), platform.python_version(), "3.11")
    memory = psutil.virtual_memory()
    yield _check(
        "memory",
        Verdict.OK if memory.available > _MEMORY_LOW else Verdict.WARNING,
        f"{memory.available / _GIB:.1f} of {memory.total / _GIB:.1f} GiB free",
        "a node takes 1 GB, a session of its own process 75 MB",
    )
    yield _disk(data)
    files = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    yield _limit("open files", files, _FILES_FEW, _FILES_ENOUGH, "LimitNOFILE=65536, ulimit -Hn")
    processes = resource.getrlimit(resource.RLIMIT_NPROC)[1]
    yield _limit("processes", processes, _PROCESSES_FEW, _PROCESSES_FEW, "TasksMax, ulimit -Hu")
    yield _program("ffmpeg", Verdict.WARNING, "neonize's own conversions; ours need none")
    yield _program("haproxy", Verdict.SKIPPED, "only Serve's HAProxy ingress needs it")
    yield _libmagic()


def _disk(data: Path) -> Check:
    place = next(p for p in (data, *data.parents) if p.exists())
    free = shutil.disk_usage(place).free
    verdict = Verdict.OK if free > _DISK_LOW else Verdict.WARNING
    if free < _DISK_OUT or not os.access(place, os.W_OK):
        verdict = Verdict.ERROR
    return _check("disk", verdict, f"{free / _GIB:.1f} GiB free at {place}", "make room, or --data")


def _limit(name: str, found: int, few: int, enough: int, remedy: str) -> Check:
    if found == resource.RLIM_INFINITY or found >= enough:
        verdict = Verdict.OK
    else:
        verdict = Verdict.WARNING if found >= few else Verdict.ERROR
    mimetype = "unlimited" if found == resource.RLIM_INFINITY else str(found)
    return _check(name, verdict, mimetype, remedy)


def _program(name: str, otherwise: Verdict, what_for: str) -> Check:
    path = shutil.which(name)
    return _check(name, Verdict.OK if path else otherwise, path or "not on the PATH", what_for)


def _libmagic() -> Check:
    try:
        import magic

        mimetype = str(magic.from_buffer(b"%PDF-1.4\n", mime=True))
    except (ImportError, OSError) as error:
        return _check("libmagic", Verdict.ERROR, str(error), "apt-get install libmagic1")
    return _check(
        "libmagic", _graded(mimetype == "application/pdf"), mimetype, "its database is not found"
    )


def _graded(good: bool) -> Verdict:
    return Verdict.OK if good else Verdict.ERROR


def _check(name: str, verdict: Verdict, found: str, remedy: str) -> Check:
    advice = remedy if verdict is not Verdict.OK else ""
    return Check(group="machine", name=name, verdict=verdict, found=found, remedy=advice)

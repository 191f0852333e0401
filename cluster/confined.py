"""A program of ours that reads what strangers made, in a process of its own with bounds.

The parent starts `python -m MODULE`, gives it a job as JSON on standard input and reads one JSON
object from standard output. The child calls `confine` before it looks at anything: from then on it
has so much memory, time and room, opens no socket, starts no program, signals nobody, reads Python
and its own files only, and writes nowhere but where it may. What the kernel does not have of
that (Landlock: Linux 5.13; seccomp filters: 3.5) is left out.
"""

from __future__ import annotations

import ctypes
import json
import os
import platform
import resource
import struct
import sys
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

__all__ = ["Bounds", "BoundsExceeded", "ChildFailed", "TookTooLong", "confine", "run", "walls"]

_ROOT = Path(__file__).resolve().parents[1]


class TookTooLong(Exception):
    """It was ended by the clock."""


class BoundsExceeded(Exception):
    """The kernel ended it: it wanted more than it may have, or its decoder broke."""


class ChildFailed(Exception):
    """It ended without an answer: a fault of ours, or of the machine."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Bounds:
    """What a child may have."""

    #: Bytes of memory, and of any one file that it writes.
    memory: int
    file: int
    #: Seconds of a processor.
    processor: int
    open_files: int = 64


# -- the parent ------------------------------------------------------------------------------------


async def run(module: str, job: dict[str, Any], *, seconds: float) -> dict[str, Any]:
    """The answer of `module`. Raises `TookTooLong`, `BoundsExceeded`, `ChildFailed`."""
    import asyncio  # which the child need not load

    child = await asyncio.create_subprocess_exec(
        sys.executable,
        *("-m", module),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.DEVNULL,
        # No secrets for a process that reads strangers' files.
        env={"PATH": os.environ.get("PATH", ""), "PYTHONPATH": str(_ROOT)},
    )
    try:
        async with asyncio.timeout(seconds):
            out, _ = await child.communicate(json.dumps(job).encode())
    except TimeoutError as error:
        raise TookTooLong from error
    finally:
        if child.returncode is None:
            child.kill()
            await child.wait()
    code = child.returncode
    if code != 0 or not out:
        raise (BoundsExceeded if code is not None and code < 0 else ChildFailed)(f"code {code}")
    answer: dict[str, Any] = json.loads(out)
    return answer


# -- the child -------------------------------------------------------------------------------------


def confine(bounds: Bounds, *, read: Iterable[Path] = (), write: Iterable[Path] = ()) -> None:
    """For good. `read`: files and folders besides Python's own; `write`: folders."""
    for what, most in (
        (resource.RLIMIT_AS, bounds.memory),
        (resource.RLIMIT_FSIZE, bounds.file),
        (resource.RLIMIT_NOFILE, bounds.open_files),
        (resource.RLIMIT_CORE, 0),
    ):
        resource.setrlimit(what, (most, most))
    resource.setrlimit(resource.RLIMIT_CPU, (bounds.processor, bounds.processor + 5))
    os.nice(5)
    _prctl(_NO_NEW_PRIVILEGES, 1)
    _landlock(read, write)
    _seccomp()


def walls() -> dict[str, bool]:
    """What this machine has of it beside limits: `seccomp`, `landlock`."""
    try:
        actions = Path("/proc/sys/kernel/seccomp/actions_avail").read_text()
    except OSError:
        actions = ""
    return {
        "seccomp": "errno" in actions and platform.machine() in _ARCHITECTURES,
        "landlock": _landlock_version() > 0,
    }


_libc = ctypes.CDLL(None, use_errno=True)
_NO_NEW_PRIVILEGES, _SET_SECCOMP, _FILTER = 38, 22, 2


def _prctl(what: int, value: int, pointer: Any = 0) -> int:
    return int(_libc.prctl(what, value, pointer, 0, 0))


# Files, by Landlock (linux/landlock.h). Its numbers are the same on every architecture.
_CREATE_RULESET, _ADD_RULE, _RESTRICT_SELF, _BENEATH = 444, 445, 446, 1
_WRITE_FILE, _READ_FILE, _READ_DIR = 1 << 1, 1 << 2, 1 << 3
#: Rights that came with each version.
_RIGHTS = {1: (1 << 13) - 1, 2: 1 << 13, 3: 1 << 14, 5: 1 << 15}
#: Of those, what a single file can be given: execute, write, read, truncate, ioctl.
_OF_FILES = 0b111 | 1 << 14 | 1 << 15
_TCP, _ABSTRACT_SOCKETS_AND_SIGNALS = 0b11, 0b11
#: Where Python, its packages and what they load are.
_PYTHONS = (
    *("/usr", "/lib", "/lib64", "/etc/ld.so.cache", "/etc/mime.types", "/etc/localtime"),
    *("/dev/urandom", "/proc/cpuinfo", "/proc/meminfo", "/sys/devices/system/cpu"),
)


def _landlock_version() -> int:
    return int(_libc.syscall(_CREATE_RULESET, None, 0, 1))


def _landlock(read: Iterable[Path], write: Iterable[Path]) -> None:
    version = _landlock_version()
    if version < 1:
        return
    every = sum(rights for since, rights in _RIGHTS.items() if since <= version)
    asked = struct.pack(
        "QQQ",
        every,
        _TCP if version >= 4 else 0,
        _ABSTRACT_SOCKETS_AND_SIGNALS if version >= 6 else 0,
    )
    size = 24 if version >= 6 else 16 if version >= 4 else 8
    rules = int(_libc.syscall(_CREATE_RULESET, asked[:size], size, 0))
    if rules < 0:
        raise OSError(ctypes.get_errno(), "no Landlock ruleset")
    pythons = {sys.prefix, sys.base_prefix, sys.exec_prefix, *_PYTHONS}
    pythons |= {path for path in sys.path if path and Path(path) != _ROOT}
    pythons |= {str(_ROOT / room) for room in ("cluster", "actors")}
    allowed: list[tuple[str | Path, int]] = [
        *((path, _READ_FILE | _READ_DIR) for path in sorted(pythons)),
        *((path, _READ_FILE | _READ_DIR) for path in read),
        ("/dev/null", _READ_FILE | _WRITE_FILE),
        *((path, every) for path in write),
    ]
    for path, rights in allowed:
        try:
            opened = os.open(path, os.O_PATH | os.O_CLOEXEC)
        except OSError:
            continue  # what is not there needs no right
        given = rights if Path(path).is_dir() else rights & _OF_FILES & every
        rule = struct.pack("=Qi", given, opened)
        if _libc.syscall(_ADD_RULE, rules, _BENEATH, rule, 0):
            raise OSError(ctypes.get_errno(), f"no Landlock rule for {path}")
        os.close(opened)
    if _libc.syscall(_RESTRICT_SELF, rules, 0):
        raise OSError(ctypes.get_errno(), "Landlock does not hold")
    os.close(rules)


# System calls, by a seccomp filter: what is not named stays allowed, since decoders and the C
# library differ in what they need. (linux/seccomp.h, linux/bpf_common.h, asm/unistd.h)
_ARCHITECTURES = {"x86_64": 0xC000003E, "aarch64": 0xC00000B7}
_SAME = {
    "pidfd_send_signal": 424,
    "io_uring_setup": 425,
    "io_uring_enter": 426,
    "io_uring_register": 427,
    "pidfd_open": 434,
    "pidfd_getfd": 438,
    "fchmodat2": 452,
}
#: (x86_64, aarch64); None: it has none.
_DENIED: dict[str, tuple[int, int | None]] = {
    # the network, and other processes by sockets
    "socket": (41, 198),
    "connect": (42, 203),
    "accept": (43, 202),
    "sendto": (44, 206),
    "sendmsg": (46, 211),
    "bind": (49, 200),
    "listen": (50, 201),
    "socketpair": (53, 199),
    "accept4": (288, 242),
    # other programs and processes
    "execve": (59, 221),
    "execveat": (322, 281),
    "fork": (57, None),
    "vfork": (58, None),
    "kill": (62, 129),
    "tkill": (200, 130),
    "ptrace": (101, 117),
    "rt_sigqueueinfo": (129, 138),
    "rt_tgsigqueueinfo": (297, 240),
    "process_vm_readv": (310, 270),
    "process_vm_writev": (311, 271),
    # the machine
    "mount": (165, 40),
    "umount2": (166, 39),
    "pivot_root": (155, 41),
    "chroot": (161, 51),
    "unshare": (272, 97),
    "setns": (308, 268),
    "bpf": (321, 280),
    "userfaultfd": (323, 282),
    "perf_event_open": (298, 241),
    "init_module": (175, 105),
    "finit_module": (313, 273),
    "kexec_load": (246, 104),
    "open_by_handle_at": (304, 265),
    "setrlimit": (160, 164),
    "add_key": (248, 217),
    "request_key": (249, 218),
    "keyctl": (250, 219),
    # modes and owners, which Landlock leaves
    "chmod": (90, None),
    "fchmod": (91, 52),
    "fchmodat": (268, 53),
    "chown": (92, None),
    "fchown": (93, 55),
    "lchown": (94, None),
    "fchownat": (260, 54),
}
_CLONE, _CLONE3, _TGKILL, _PRLIMIT = (56, 220), 435, (234, 131), (302, 261)
_THREAD = 0x10000
_LOAD, _EQUAL, _SET, _AT_LEAST, _RETURN = 0x20, 0x15, 0x45, 0x35, 0x06
_NUMBER, _ARCHITECTURE, _FIRST_ARGUMENT, _EIGHT = 0, 4, 16, 8
_ALLOW, _KILL, _ERRNO = 0x7FFF0000, 0x80000000, 0x00050000
_EPERM, _ENOSYS = 1, 38
_FOREIGN = 0x40000000


def _program(machine: str, pid: int) -> Iterator[tuple[int, int, int, int]]:
    """(code, jump if true, jump if false, operand) of each step."""
    which = 0 if machine == "x86_64" else 1
    yield _LOAD, 0, 0, _ARCHITECTURE
    yield _EQUAL, 1, 0, _ARCHITECTURES[machine]
    yield _RETURN, 0, 0, _KILL
    yield _LOAD, 0, 0, _NUMBER
    # x32 has numbers of its own for the same calls.
    yield _AT_LEAST, 0, 1, _FOREIGN
    yield _RETURN, 0, 0, _ERRNO | _EPERM
    # glibc then uses `clone`, whose flags can be looked at.
    yield _EQUAL, 0, 1, _CLONE3
    yield _RETURN, 0, 0, _ERRNO | _ENOSYS
    denied = [pair[which] for pair in _DENIED.values()]
    for number in (*denied, *_SAME.values()):
        if number is not None:
            yield _EQUAL, 0, 1, number
            yield _RETURN, 0, 0, _ERRNO | _EPERM
    # Threads yes, processes no.
    yield _EQUAL, 0, 4, _CLONE[which]
    yield _LOAD, 0, 0, _FIRST_ARGUMENT
    yield _SET, 1, 0, _THREAD
    yield _RETURN, 0, 0, _ERRNO | _EPERM
    yield _RETURN, 0, 0, _ALLOW
    # Signals to itself, which `abort` sends.
    yield _EQUAL, 0, 4, _TGKILL[which]
    yield _LOAD, 0, 0, _FIRST_ARGUMENT
    yield _EQUAL, 1, 0, pid
    yield _RETURN, 0, 0, _ERRNO | _EPERM
    yield _RETURN, 0, 0, _ALLOW
    # Limits may be read. The new ones are the third argument, a pointer.
    yield _EQUAL, 0, 6, _PRLIMIT[which]
    yield _LOAD, 0, 0, _FIRST_ARGUMENT + 2 * _EIGHT
    yield _EQUAL, 0, 2, 0
    yield _LOAD, 0, 0, _FIRST_ARGUMENT + 2 * _EIGHT + 4
    yield _EQUAL, 1, 0, 0
    yield _RETURN, 0, 0, _ERRNO | _EPERM
    yield _RETURN, 0, 0, _ALLOW
    yield _RETURN, 0, 0, _ALLOW


def _seccomp() -> None:
    machine = platform.machine()
    if machine not in _ARCHITECTURES:
        return
    steps = list(_program(machine, os.getpid()))
    code = ctypes.create_string_buffer(b"".join(struct.pack("HBBI", *step) for step in steps))
    # struct sock_fprog: a count, padding, a pointer.
    program = ctypes.create_string_buffer(
        struct.pack("HxxxxxxQ", len(steps), ctypes.addressof(code))
    )
    _prctl(_SET_SECCOMP, _FILTER, program)

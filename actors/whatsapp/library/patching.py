"""Changing the loaded Go library, in memory: each change once in a process, or not at all.

The how and the risks: docs/decisions/library.md.
"""

from __future__ import annotations

import ctypes
import mmap
import platform
import sys
import threading
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Generic, TypeVar

import structlog
from neonize._binder import gocode

from actors.whatsapp.library.machines import Machine, this_machine
from actors.whatsapp.library.symbols import Function, SymbolsNotFound, locate, read_functions
from actors.whatsapp.library.versions import accepted_here, how_tried
from cluster.settings import Settings

__all__ = [
    "PAGE",
    "Library",
    "Patch",
    "Refused",
    "loaded",
    "map_near",
    "of_the_file",
    "protect",
    "read_ahead",
    "wants",
    "write_code",
]

log = structlog.get_logger(__name__)
T = TypeVar("T")

PAGE = mmap.PAGESIZE
_FIXED_NOREPLACE = 0x100000


class Refused(Exception):
    """A precondition of the patch is not met."""


class Library:
    """The loaded library, with the functions that patches need to know."""

    def __init__(self, machine: Machine, names: frozenset[str]) -> None:
        self.machine = machine
        self.version = gocode.GetVersion().decode()
        self._names = names

    @property
    def _functions(self) -> dict[str, Function]:
        return _read(self._names)

    def functions(self, *names: str) -> list[Function]:
        """Where they are in this process. Raises `SymbolsNotFound`."""
        return locate(gocode, self._functions, *names)

    def known(self, *names: str) -> list[Function]:
        """The same of those that there are."""
        return self.functions(*(name for name in names if name in self._functions))

    def text(self, function: Function) -> bytes:
        return ctypes.string_at(function.start, function.end - function.start)

    def call(self, caller: Function, called: Function, *, atomic: bool = True) -> int:
        """The site of `caller`'s only call of `called`. Raises `Refused` unless there is one, and
        it can be replaced in one store (`atomic`: needed unless no thread can run that code)."""
        found = self.machine.calls(self.text(caller), caller.start, called.start)
        if len(found) != 1:
            raise Refused(f"{len(found)} calls of the function, expected 1")
        site = caller.start + found[0]
        if atomic and not self.machine.atomic(site):
            raise Refused("the call's operand crosses a word's boundary")
        return site

    def redirect(self, site: int, target: int) -> None:
        """Let the call at `site` go to `target`."""
        self.replace(site, self.machine.aimed(site, target, ctypes.string_at(site, 4)))

    def replace(self, site: int, code: bytes) -> None:
        """Put 1 or 4 bytes of code at `site`, in one store."""
        page = site & -PAGE
        protect(page, mmap.PROT_READ | mmap.PROT_WRITE | mmap.PROT_EXEC)
        kind = ctypes.c_uint8 if len(code) == 1 else ctypes.c_uint32
        kind.from_address(site).value = int.from_bytes(code, "little")
        protect(page, mmap.PROT_READ | mmap.PROT_EXEC)
        self.machine.flush(site, len(code))
        _synchronize()

    def near(self, site: int, size: int) -> int:
        """Map `size` writable bytes that the call at `site` reaches; they stay for ever."""
        return map_near(site, size, self.machine.reach)


class Patch(Generic[T]):
    """A change of the library."""

    def __init__(
        self,
        name: str,
        make: Callable[[Library], T],
        *,
        functions: tuple[str, ...],
        promise: str,
        without: str,
    ) -> None:
        """`functions`: of the library, that `make` looks at; `promise`: what holds with the patch;
        `without`: what holds in its place."""
        self.name = name
        self.promise = promise
        self.without = without
        #: Why it is not made; empty: it is, or nobody asked yet.
        self.reason = ""
        self._make = make
        self._lock = threading.Lock()
        self._tried = False
        self._made: T | None = None
        wants(*functions)

    def made(self) -> T | None:
        """What `make` gave; None: the library is as it was. The first call makes it: before the
        first client connects."""
        with self._lock:
            if not self._tried:
                self._tried = True
                try:
                    self._made = self._make(self._library())
                except (Refused, SymbolsNotFound, OSError) as error:
                    self.reason = str(error)
                    log.warning("whatsapp.library_not_patched", patch=self.name, reason=self.reason)
            return self._made

    def _library(self) -> Library:
        settings = Settings.current().whatsapp
        if {self.name, "all"} & set(settings.library_patches_off.replace(",", " ").split()):
            raise Refused("switched off (WHATSAPP_LIBRARY_PATCHES_OFF)")
        library = loaded()
        accepted = {settings.library_accepted, accepted_here()}
        if library.version not in accepted and not how_tried(library.version, library.machine.name):
            raise Refused(f"version {library.version} of the library is not known to work here")
        return library


@cache
def _read(names: frozenset[str]) -> dict[str, Function]:
    return read_functions(Path(gocode._name), *names)


_of_the_file: list[Callable[[], object]] = [lambda: _read(frozenset(_wanted))]


def of_the_file(read: Callable[[Path], T]) -> Callable[[], T]:
    """What the library's file says, read once."""

    @cache
    def found() -> T:
        return read(Path(gocode._name))

    _of_the_file.append(found)
    return found


def read_ahead() -> None:
    """Read all of that now that all patches are known: in a process that forks, for its forks (50
    ms of each). Raises `SymbolsNotFound`, `OSError`."""
    for read in _of_the_file:
        read()


_wanted: set[str] = set()


def wants(*names: str) -> None:
    """Functions of the library that are looked for when its table is read."""
    _wanted.update(names)


_libraries: dict[frozenset[str], Library] = {}


def loaded() -> Library:
    """The library of this process. Raises `Refused` on a system that this was not made for."""
    machine = this_machine()
    if machine is None:
        raise Refused(f"{sys.platform} on {platform.machine()}, not linux on x86_64 or aarch64")
    names = frozenset(_wanted)
    if names not in _libraries:
        _libraries[names] = Library(machine, names)
    return _libraries[names]


_libc = ctypes.CDLL(None, use_errno=True)
_libc.mmap.restype = ctypes.c_void_p
_libc.mmap.argtypes = [
    ctypes.c_void_p,
    ctypes.c_size_t,
    ctypes.c_int,
    ctypes.c_int,
    ctypes.c_int,
    ctypes.c_long,
]
_libc.mprotect.argtypes = [ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int]
#: The number of membarrier(2), and its commands.
_MEMBARRIER = {"x86_64": 324, "aarch64": 283}
_REGISTER_SYNC_CORE, _SYNC_CORE = 1 << 6, 1 << 5


#: Bytes that are mapped at once: all patches together take less. What is not used costs nothing.
_MAPPED = 64 * PAGE
#: Of the latest mapping: where it goes on, and its end.
_free = (0, 0)
_mapping = threading.Lock()


def map_near(address: int, size: int, reach: int) -> int:
    """`size` writable bytes, whole pages, at most `reach` from `address`; they stay for ever."""
    global _free
    size = -(-size // PAGE) * PAGE
    with _mapping:
        place, end = _free
        if end - place < size or abs(place - address) > reach - size:
            place = _map(address, max(size, _MAPPED), reach)
            end = place + max(size, _MAPPED)
        _free = (place + size, end)
    return place


def _map(address: int, size: int, reach: int) -> int:
    ends = [0]
    gaps = []
    for line in Path("/proc/self/maps").read_text().splitlines():
        start, end = (int(part, 16) for part in line.split(" ", 1)[0].split("-"))
        if start - ends[-1] >= size:
            gaps += [ends[-1], (start - size) & -PAGE]
        ends.append(end)
    flags = mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS | _FIXED_NOREPLACE
    for place in sorted(gaps, key=lambda gap: abs(gap - address)):
        if abs(place - address) > reach - size:
            break
        if _libc.mmap(place, size, mmap.PROT_READ | mmap.PROT_WRITE, flags, -1, 0) == place:
            return place
    raise Refused("no free memory near the library")


def write_code(machine: Machine, page: int, code: bytes) -> None:
    """Put `code` at the beginning of a mapped page, which can be run from then on, not written."""
    ctypes.memmove(page, code, len(code))
    protect(page, mmap.PROT_READ | mmap.PROT_EXEC)
    machine.flush(page, len(code))


def protect(page: int, protection: int) -> None:
    if _libc.mprotect(page, PAGE, protection):
        raise OSError(ctypes.get_errno(), "mprotect was refused")


def _synchronize() -> None:
    """Let every thread of the process see changed code. Kernels that cannot (before 4.16) leave it
    to the next interrupt."""
    number = _MEMBARRIER.get(platform.machine())
    if number is not None and not _libc.syscall(number, _REGISTER_SYNC_CORE, 0, 0):
        _libc.syscall(number, _SYNC_CORE, 0, 0)

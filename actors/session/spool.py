"""What the library received and nobody has committed yet, on this node's disk.

The library acknowledges to WhatsApp by itself, as soon as it has decrypted: from then on nobody
else has the message. It is written here in the very callback, and stays until its commit. Entries
are opaque bytes; replaying one that was committed does no harm, because messages are known by id.
A line is an entry in base64 and its CRC-32: one that is torn differs from one that is whole. A
line of a dash says that all above it is done: emptying the file each time would change what the
file system knows of it, which the next fdatasync would have to write as well, and whoever empties
it waits for those that are under way.
A write alone survives the process; `flush` waits until the entry survives the machine as well, or
is committed and needs not: one fdatasync for all that wait (group commit).
"""

from __future__ import annotations

import base64
import binascii
import contextlib
import errno
import itertools
import os
import threading
import time
import zlib
from collections.abc import Callable
from pathlib import Path

import structlog

from actors.whatsapp.port import SpoolClosedError

__all__ = ["Spool"]

log = structlog.get_logger(__name__)

_FULL = frozenset({errno.ENOSPC, errno.EDQUOT})
#: Data and size; macOS has no such call.
_to_disk = getattr(os, "fdatasync", os.fsync)
_ALL_DONE = b"-"
#: A file of more bytes, or more than a quarter of its limit, is emptied when all of it is done.
_KEPT = 64 << 10
#: Seconds that a disk may take for one group before it is reported.
_SLOW = 1.0


class Spool:
    """An append-only file that empties itself now and then when everything in it is done.
    Thread-safe."""

    def __init__(
        self,
        path: Path,
        *,
        limit: int,
        on_full: Callable[[], None] = lambda: None,
        fsync: bool = True,
    ) -> None:
        """`limit`: bytes; more is kept in memory only, and logged. `on_full` is called, in whatever
        thread it is, each time the disk has no room for an entry. `fsync`: whether `flush` does
        anything."""
        self._path = path
        self._limit = limit
        self._kept = min(_KEPT, limit // 4)
        self._on_full = on_full
        self._fsync = fsync
        self._lock = threading.Lock()
        self._flushed = threading.Condition(self._lock)
        #: Tickets: the newest there is, and up to which the disk has them for good.
        self._newest = self._safe = 0
        #: Somebody's fdatasync is under way.
        self._flushing = False
        self._tickets = itertools.count(1)
        #: What a predecessor wrote into this very file stays there, and is not done.
        self._pending = {next(self._tickets): entry for entry in self.read(path)}
        self._newest = len(self._pending)
        self._size = path.stat().st_size if path.exists() else 0
        self._in_memory_only: set[int] = set()
        self._file = path.open("ab", buffering=0)
        if self._size and path.read_bytes()[-1:] != b"\n":
            # A torn last line: what follows must not become part of it.
            self._size += self._file.write(b"\n") or 0
        if fsync:
            # The file's own name, and its folder's.
            for folder in (path.parent, path.parent.parent):
                _sync_folder(folder)

    def add(self, entry: bytes) -> int:
        """Write an entry down; gives its ticket. Raises `SpoolClosedError`."""
        line = base64.b64encode(entry) + b" %08x\n" % zlib.crc32(entry)
        with self._lock:
            if self._file.closed:
                raise SpoolClosedError(str(self._path))
            ticket = self._newest = next(self._tickets)
            self._pending[ticket] = entry
            if self._size + len(line) > self._limit:
                log.error("spool.full", path=str(self._path), bytes=self._size)
                self._in_memory_only.add(ticket)
                return ticket
            try:
                self._write(line)
            except OSError as error:
                # A full disk: the message is still in memory, and is about to be committed.
                log.error("spool.not_written", path=str(self._path), error=str(error))
                self._in_memory_only.add(ticket)
                if error.errno in _FULL:
                    self._on_full()
            return ticket

    def _write(self, line: bytes) -> None:
        """Whole or not at all. A disk that fills up takes the beginning of a line, and says so by
        a number only."""
        written = self._file.write(line) or 0
        if written < len(line):
            # What is left of it would swallow the next one.
            self._file.truncate(self._size)
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        self._size += written

    def flush(self, ticket: int) -> None:
        """Return when a loss of power does not take the entry any more: it is on the disk, or
        committed. Blocks for two groups at most, the one under way and its own."""
        while self._fsync:
            with self._flushed:
                self._flushed.wait_for(lambda: not (self._flushing and self._at_risk(ticket)))
                if not self._at_risk(ticket) or self._file.closed:
                    return
                self._flushing, group = True, self._newest
            began, error = time.monotonic(), self._synced()
            if (took := time.monotonic() - began) > _SLOW:
                log.warning("spool.slow_disk", path=str(self._path), seconds=round(took, 2))
            with self._flushed:
                if error is not None:
                    # No later fdatasync reports these pages again (fsync(2), Linux): they count as
                    # lost, and their entries are in memory.
                    log.error("spool.not_flushed", path=str(self._path), error=str(error))
                    lost = (one for one in self._pending if self._safe < one <= group)
                    self._in_memory_only.update(lost)
                self._flushing, self._safe = False, max(self._safe, group)
                self._flushed.notify_all()
            if isinstance(error, OSError) and error.errno in _FULL:
                self._on_full()

    def _synced(self) -> Exception | None:
        """One fdatasync; what went wrong."""
        try:
            # A descriptor of its own: `close` waits for nobody.
            descriptor = os.dup(self._file.fileno())
            try:
                _to_disk(descriptor)
            finally:
                os.close(descriptor)
        except (OSError, ValueError) as error:
            return error
        return None

    def _at_risk(self, ticket: int) -> bool:
        """With the lock held."""
        return (
            ticket in self._pending and ticket > self._safe and ticket not in self._in_memory_only
        )

    def done(self, ticket: int) -> None:
        """The entry is committed."""
        with self._flushed:
            self._pending.pop(ticket, None)
            self._in_memory_only.discard(ticket)
            if self._flushing:
                self._flushed.notify_all()
            if not self._pending and self._size and not self._file.closed:
                self._forget(keep=self._size <= self._kept)

    def _forget(self, *, keep: bool) -> None:
        """All of it is done. `keep`: the file may stay as long as it is. With the lock held."""
        if keep:
            with contextlib.suppress(OSError):
                self._write(_ALL_DONE + b"\n")
                return
        self._file.truncate(0)
        self._size = 0

    def pending(self) -> dict[int, bytes]:
        """Entries that are not committed by ticket, in their order."""
        with self._lock:
            return {ticket: self._pending[ticket] for ticket in sorted(self._pending)}

    @property
    def survives(self) -> bool:
        """Whether everything that is not committed is on disk."""
        with self._lock:
            return not self._in_memory_only

    def take_over(self, left: list[bytes]) -> list[tuple[int, bytes]]:
        """Make entries of earlier owners' files this spool's own; (ticket, entry) of all that is
        not done."""
        for ticket in [self.add(entry) for entry in left][-1:]:
            self.flush(ticket)
        return list(self.pending().items())

    def close(self) -> bool:
        """Take in nothing more. True: entries are left that are not committed."""
        with self._flushed:
            if not self._pending and not self._file.closed:
                # Who reads it finds nothing in it, one way or the other.
                with contextlib.suppress(OSError):
                    self._forget(keep=False)
            self._file.close()
            self._flushed.notify_all()
            return bool(self._pending)

    @staticmethod
    def read(path: Path) -> list[bytes]:
        """The entries of a spool that nobody holds; a torn last line is left out."""
        if not path.exists():
            return []
        entries: list[bytes] = []
        for line in path.read_bytes().split(b"\n"):
            if line == _ALL_DONE:
                entries = []
                continue
            text, _, checksum = line.partition(b" ")
            try:
                entry = base64.b64decode(text, validate=True)
                # Lines of the version before have no checksum.
                whole = not checksum or int(checksum, 16) == zlib.crc32(entry)
            except (binascii.Error, ValueError):
                whole = False
            if not whole:
                log.warning("spool.torn_line", path=str(path))
            elif entry:
                entries.append(entry)
        return entries


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)

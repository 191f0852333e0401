"""What the library received and nobody has committed yet, on this node's disk.

The library acknowledges to WhatsApp by itself, as soon as it has decrypted: from then on nobody
else has the message. It is written here in the very callback, and stays until its commit. Entries
are opaque bytes; replaying one that was committed does no harm, because messages are known by id.
A line is an entry in base64 and its CRC-32: one that is torn is told from one that is whole.
Not fsynced: it is for processes that die, not for machines that lose power.
"""

from __future__ import annotations

import base64
import binascii
import errno
import itertools
import os
import threading
import zlib
from collections.abc import Callable
from pathlib import Path

import structlog

__all__ = ["Spool"]

log = structlog.get_logger(__name__)

_FULL = frozenset({errno.ENOSPC, errno.EDQUOT})


class Spool:
    """An append-only file that empties itself whenever everything in it is done. Thread-safe."""

    def __init__(
        self, path: Path, *, limit: int, on_full: Callable[[], None] = lambda: None
    ) -> None:
        """`limit`: bytes; more is kept in memory only, and logged. `on_full` is called, in whatever
        thread it is, each time the disk has no room for an entry."""
        self._path = path
        self._limit = limit
        self._on_full = on_full
        self._lock = threading.Lock()
        self._tickets = itertools.count(1)
        #: What a predecessor wrote into this very file stays there, and is not done.
        self._pending = {next(self._tickets): entry for entry in self.read(path)}
        self._size = path.stat().st_size if path.exists() else 0
        self._in_memory_only: set[int] = set()
        self._file = path.open("ab", buffering=0)
        if self._size and path.read_bytes()[-1:] != b"\n":
            # A torn last line: what follows must not become part of it.
            self._size += self._file.write(b"\n") or 0

    def add(self, entry: bytes) -> int:
        """Write an entry down; gives its ticket."""
        line = base64.b64encode(entry) + b" %08x\n" % zlib.crc32(entry)
        with self._lock:
            ticket = next(self._tickets)
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

    def done(self, ticket: int) -> None:
        """The entry is committed."""
        with self._lock:
            self._pending.pop(ticket, None)
            self._in_memory_only.discard(ticket)
            if not self._pending and self._size and not self._file.closed:
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

    def take_over(self, leftovers: list[bytes]) -> list[tuple[int, bytes]]:
        """Make entries of earlier owners' files this spool's own; (ticket, entry) of all that is
        not done."""
        for entry in leftovers:
            self.add(entry)
        return list(self.pending().items())

    def close(self) -> None:
        self._file.close()

    @staticmethod
    def read(path: Path) -> list[bytes]:
        """The entries of a spool that nobody holds; a torn last line is left out."""
        if not path.exists():
            return []
        entries = []
        for line in path.read_bytes().split(b"\n"):
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

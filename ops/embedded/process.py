"""Child processes that never outlive this one: death signal, pid file, bounded start and stop."""

from __future__ import annotations

import contextlib
import ctypes
import os
import random
import secrets
import signal
import socket
import subprocess
import sys
import time
from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path

import psutil
import structlog
from pydantic import BaseModel

from actors.process_identity import began
from cluster.domain.errors import Unavailable

__all__ = [
    "EmbeddedServer",
    "ProcessId",
    "ServerProcess",
    "end_with",
    "free_ports",
    "private_file",
    "secret_of",
]

log = structlog.get_logger(__name__)

#: Below what Linux gives away (from 32768; ip(7)) and what Serve's replicas take (from 30000).
_PORTS = (10_240, 29_000)
_given: deque[int] = deque(maxlen=1000)
_START_SECONDS = 30.0
_STOP_SECONDS = 15.0
_PR_SET_PDEATHSIG = 1  # linux/prctl.h
_LIBC = ctypes.CDLL(None) if sys.platform == "linux" else None


class ProcessId(BaseModel, frozen=True):
    """A process: its pid, which alone may be somebody else's by now, and when it began."""

    pid: int
    #: See `began`: the wall clock may be set while the process runs. Where there is no such clock,
    #: and in files of the version before: seconds since the epoch, as psutil gives it.
    created: str | float

    @classmethod
    def of(cls, pid: int) -> ProcessId | None:
        """The process with this pid, if there is one."""
        try:
            return cls(pid=pid, created=began(pid) or psutil.Process(pid).create_time())
        except psutil.NoSuchProcess:
            return None

    def find(self) -> psutil.Process | None:
        """The same process, unless it ended."""
        process = self.present()
        try:
            ended = process is None or process.status() == psutil.STATUS_ZOMBIE
        except psutil.NoSuchProcess:
            return None
        return None if ended else process

    def present(self) -> psutil.Process | None:
        """The same process; also one that has ended, and that nobody has asked about."""
        try:
            process = psutil.Process(self.pid)
            if isinstance(self.created, str):
                same = began(self.pid) == self.created
            else:
                same = abs(process.create_time() - self.created) < 1
        except psutil.NoSuchProcess:
            return None
        return process if same else None

    @property
    def alive(self) -> bool:
        return self.find() is not None


class ServerProcess:
    """One server as a child process.

    Linux sends the death signal when the *thread* that started the child ends (prctl(2)): call
    `begin` from a thread that lives as long as the server, such as the main thread.
    """

    def __init__(self, name: str, data_dir: Path, *, reaped: bool = False) -> None:
        """`reaped`: it takes a dead one of before for a living one, until that is reaped."""
        self._name = name
        self._data_dir = data_dir
        self._pid_file = data_dir / f"{name}.pid"
        self._reaped = reaped
        self._child: subprocess.Popen[bytes] | None = None
        self._parent = os.getpid()
        self._stop_signal = signal.SIGTERM

    @property
    def pid(self) -> int | None:
        """Process id while it runs; a fork of its parent may ask as well."""
        if self._child is None:
            return None
        if self._parent == os.getpid():
            return self._child.pid if self._child.poll() is None else None
        with contextlib.suppress(psutil.NoSuchProcess):
            if psutil.Process(self._child.pid).status() != psutil.STATUS_ZOMBIE:
                return self._child.pid
        return None

    @property
    def log_file(self) -> Path:
        return self._data_dir / f"{self._name}.log"

    def begin(
        self,
        command: Sequence[str],
        *,
        environment: Mapping[str, str] | None = None,
        stop_signal: signal.Signals = signal.SIGTERM,
        uid: int | None = None,
    ) -> None:
        """Start the server; a stale one of an earlier run ends first. Call `wait` when it is
        needed."""
        self.end_stale()
        self._stop_signal = stop_signal
        parent = self._parent = os.getpid()

        with self.log_file.open("ab") as output:
            os.fchmod(output.fileno(), 0o600)
            # Popen changes the user first and runs the hook after it: a change of credentials
            # would clear the death signal.
            self._child = subprocess.Popen(
                command,
                cwd=self._data_dir,
                env={**os.environ, **(environment or {})},
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
                preexec_fn=partial(end_with, parent, stop_signal),
                user=uid,
                group=uid,
                extra_groups=None if uid is None else [],
            )
        if started := ProcessId.of(self._child.pid):
            private_file(self._pid_file, started.model_dump_json())

    def wait(self, answers: Callable[[], bool]) -> None:
        """Wait until `answers()`. Raises `Unavailable` when the server ends or stays silent for
        30 s."""
        deadline = time.monotonic() + _START_SECONDS
        while not answers():
            if self.pid is None or time.monotonic() > deadline:
                self.stop()
                raise Unavailable(f"{self._name} did not start; see {self.log_file}")
            time.sleep(0.05)
        log.info("embedded.started", server=self._name, pid=self.pid)

    def stop(self) -> None:
        """End the server: asked first, killed after 15 s. Nothing in a fork: it is the parent's."""
        if self._parent != os.getpid():
            return
        child, self._child = self._child, None
        if child is not None:
            if child.poll() is None:
                child.send_signal(self._stop_signal)
            try:
                child.wait(_STOP_SECONDS)
            except subprocess.TimeoutExpired:
                log.warning("embedded.killed", server=self._name, pid=child.pid)
                child.kill()
                child.wait()
        self._pid_file.unlink(missing_ok=True)

    def end_stale(self) -> None:
        """End the server that an earlier process left on this folder, if it is still that one.
        Raises `Unavailable` when it does not end."""
        with contextlib.suppress(FileNotFoundError, ValueError, psutil.NoSuchProcess):
            noted = ProcessId.model_validate_json(self._pid_file.read_text())
            if process := noted.present():
                log.warning("embedded.stale", server=self._name, pid=process.pid)
                process.send_signal(self._stop_signal)
                if not _ends(process, reaped=self._reaped):
                    process.kill()
                    if not _ends(process, reaped=self._reaped):
                        raise Unavailable(f"an earlier {self._name} ({process.pid}) does not end")
        self._pid_file.unlink(missing_ok=True)


class EmbeddedServer(ABC):
    """A server that the gateway brings along, with its data in one folder."""

    def __init__(self) -> None:
        self._process: ServerProcess | None = None
        self._port = 0

    @property
    def pid(self) -> int | None:
        return self._process.pid if self._process else None

    def start(self, data_dir: Path, *, port: int | None = None) -> None:
        """Start it and wait until it can be used. Raises `Unavailable`."""
        self.begin(data_dir, port=port)
        self.wait()

    @abstractmethod
    def begin(self, data_dir: Path, *, port: int | None = None) -> None:
        """Start it; what it needs is made on first use. `port`: of TCP. Raises `Unavailable`."""

    def wait(self) -> None:
        """Wait until it can be used. Raises `Unavailable`."""
        if self._process:
            self._process.wait(self._ready)

    def stop(self) -> None:
        if self._process:
            self._process.stop()

    @abstractmethod
    def env(self) -> dict[str, str]:
        """The settings that lead to it."""

    @abstractmethod
    def healthy(self) -> bool:
        """Whether it answers, to who has our secret."""

    def _ready(self) -> bool:
        return self.healthy()


def end_with(parent: int, number: signal.Signals) -> None:
    """In a process that `parent` forked: it gets this signal when that ends. Linux only."""
    if _LIBC is not None:
        _LIBC.prctl(_PR_SET_PDEATHSIG, int(number), 0, 0, 0)
        if os.getppid() != parent:
            os._exit(1)


def _ends(process: psutil.Process, *, reaped: bool) -> bool:
    """Whether it ends, and is `reaped`, within 15 s. Nobody's child, it may be there for long after
    its end: until the first process of the machine, or of the container, looks."""
    deadline = time.monotonic() + _STOP_SECONDS
    with contextlib.suppress(psutil.NoSuchProcess):
        # Its threads have what it held until they have ended as well.
        while reaped or process.status() != psutil.STATUS_ZOMBIE or process.num_threads() > 1:
            if not process.is_running():
                break
            if time.monotonic() > deadline:
                return False
            time.sleep(0.02)
    return True


def free_ports(count: int, *, distance: int = 0) -> list[int]:
    """Distinct loopback ports that are free at the moment, and that the kernel gives nobody: who
    asks it for any port, as Ray's processes do, would have one of them before its server has.
    None that this process was given lately: its server may be yet to listen. `distance`: those so
    far above them are free as well."""
    found: list[int] = []
    first, end = _PORTS
    while len(found) < count:
        port = random.SystemRandom().randrange(first, end - distance)
        wanted = {port, port + distance}
        if wanted & set(_given):
            continue
        with contextlib.suppress(OSError):
            for one in wanted:
                with socket.socket() as probe:
                    probe.bind(("127.0.0.1", one))
            found.append(port)
            _given.extend(wanted)
    return found


def private_file(path: Path, text: str) -> None:
    """Write a file that only its owner can read."""
    path.unlink(missing_ok=True)
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as out:
        out.write(text)


def secret_of(path: Path) -> str:
    """The secret kept in `path`, made on first use."""
    if not path.exists():
        private_file(path, secrets.token_urlsafe(24))
    return path.read_text()

"""The zygote: imports what a session's process needs, then forks one for each launcher that asks,
and for programs of ours that need the same (`program.py`).

`python server.py <listening socket> <path of its files> <room for titles>`, started by `launch.py`
with the environment its forks will have. Ends with its node, and when the code has changed since
it was imported. Everything here happens in one thread, before the fork and after.
"""

from __future__ import annotations

import array
import contextlib
import ctypes
import gc
import json
import logging
import os
import select
import signal
import socket
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any, NoReturn

# Of a script: the folder of this file, which no worker has.
sys.path.pop(0)
if (_ROOT := str(Path(__file__).resolve().parents[2])) not in sys.path:
    sys.path.append(_ROOT)

import actors.zygote
from actors.zygote import deferred
from actors.zygote.import_stubs import SESSION_PROCESS
from actors.zygote.launch import FORK, fixed, stamp, start_time, watched

#: Seconds that a request may take to arrive; that a fork waits for the word to go.
_READ, _GO = 5.0, 60.0
#: Seconds between looks at the code.
_POLL_SECONDS = 15.0
#: Zygotes of one node at the same time, each with an environment of its own.
_MOST = 6
#: What a session imports, redis when it shows a QR code, and what the node's other actors do: in a
#: zygote it costs no session anything.
_MODULES = (
    "actors.hosts.session_actor",
    "actors.whatsapp.neonize_client",
    "redis.asyncio",
    "actors.supervisor.supervisor_actor",
    "actors.agent.agent_actor",
    "actors.delivery.dispatcher_actor",
)
_PATCHES = "actors.whatsapp.library.patching"
_APPLICATION = "api.app"
#: What Serve's processes do: the environment says which of them a zygote's forks are.
_OF_THE_FRONT = (
    "ray.serve._private.controller",
    "ray.serve._private.proxy",
    "ray.serve._private.haproxy",
    "ray.serve._private.replica",
    "serve_app",
    _APPLICATION,
)
#: What Ray 2.60 imports in every worker while it connects.
_IN_WORKERS = (
    "ray._common.usage.usage_lib",
    "ray._private.arrow_serialization",
    "ray._private.external_storage",
    "ray._common.pydantic_compat",
    "ray.util.metrics",
    "pydantic.v1",
    "opentelemetry.sdk.metrics",
    "starlette.datastructures",
    "starlette.exceptions",
)
_NEW_NAME = "_ZYGOTE_MOVES_THE_ENVIRONMENT"


def main() -> None:
    """Serve; returns in forks, as the worker that was asked for, when that ends."""
    files = Path(sys.argv[2])
    _alone(int(sys.argv[1]))
    listener = socket.socket(fileno=int(sys.argv[1]))
    listener.set_inheritable(False)
    imported = stamp()
    try:
        _make_room(files)
        code = _import_all()
        ready_to_fork({0, 1, 2, listener.fileno()})
    except BaseException as error:
        # Launchers then start plain workers, and no further zygote for a while.
        files.with_suffix(".failed").write_text(str(error) or repr(error))
        raise
    files.with_suffix(".failed").unlink(missing_ok=True)
    pid_file = files.with_suffix(".pid")
    pid_file.write_text(f"{os.getpid()} {start_time(os.getpid())}")
    request = _serve(listener, lambda: stamp() == imported, files)
    # From here on this is a fork.
    if "module" in request:
        _run(request)
    _become(request, code)


def _make_room(files: Path) -> None:
    """Remove what dead zygotes left; raise when there are too many living ones."""
    living = 0
    for pid_file in files.parent.glob("*.pid"):
        try:
            pid, started = pid_file.read_text().split()
        except (OSError, ValueError):
            continue
        if start_time(int(pid)) == started:
            living += 1
        elif pid_file.stem != files.name:
            for suffix in ("", ".pid", ".lock", ".log", ".failed"):
                pid_file.with_suffix(suffix).unlink(missing_ok=True)
    if living >= _MOST:
        raise SystemExit(f"{living} zygotes: workers of this node have too many environments")


def _alone(listener: int) -> None:
    """Keep nothing of the raylet's: its connections are inherited by what it starts."""
    os.closerange(3, listener)
    os.closerange(listener + 1, os.sysconf("SC_OPEN_MAX"))
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    # A new name moves C's environment from the stack to the heap. Go reads the stack's, and what a
    # fork removes from its environment (`_become`) would else be missing there.
    os.putenv(_NEW_NAME, "")


def _import_all() -> Any:
    """Everything that a session's process imports sooner or later. Returns Ray's worker program."""
    if not os.environ.get(SESSION_PROCESS):
        # The front is waited for. For sessions what imports leave is collected at once: holes in
        # the heap would be filled by forks, 3 MB of pages for each.
        gc.disable()
    with deferred.importing():
        import ray

        for name in _IN_WORKERS:
            try:
                __import__(name)
            except ImportError as error:  # another version of Ray
                _say(str(error))
        for name in _MODULES if os.environ.get(SESSION_PROCESS) else _OF_THE_FRONT:
            __import__(name)
        _warm_up()
    worker = Path(ray.__file__).parent / "_private/workers/default_worker.py"
    return compile(worker.read_bytes(), str(worker), "exec")


def _warm_up() -> None:
    """What is made at the first use of something, and kept, is made once for all forks: 5 MB of
    each. Each process looks whether the settings are still these."""
    from actors.zygote.ray_waits import wait_longer
    from cluster.settings import Settings
    from cluster.stores import cache, objects

    wait_longer()
    level = logging.INFO
    try:
        settings = Settings.current()
        level = logging.getLevelName(settings.logs.level)
        if settings.stores.s3_secure:
            objects.tls_context()
        if front := sys.modules.get(_APPLICATION):
            front.warm_up(settings)
    except ValueError as error:
        # They are wrong: each process says so itself.
        _say(str(error))
    if patching := sys.modules.get(_PATCHES):
        try:
            patching.read_ahead()
        except (patching.SymbolsNotFound, OSError) as error:
            # Each session's process says so.
            _say(str(error))
    _set_levels(level)
    cache.driver()
    _load_ciphers()


def _set_levels(level: int) -> None:
    """A logger that is given a level clears what each logger remembers, 0.8 MB of pages that a fork
    would copy: it does so no more where it has that level already."""
    from cluster.telemetry.logs.configure import set_levels

    given = logging.Logger.setLevel

    def give(self: logging.Logger, level: int | str) -> None:
        if level not in (self.level, logging.getLevelName(self.level)):
            given(self, level)

    setattr(logging.Logger, "setLevel", give)  # noqa: B010 - the type checker's: it is a method
    set_levels(level)
    for name in ("ray", "ray.serve", "neonize.utils.log"):
        logging.getLogger(name).setLevel(level)


def _load_ciphers() -> None:
    """Two OpenSSLs load what they are made of when they are first used, a megabyte each: that of
    `cryptography`, which seals checkpoints, and that of `psycopg`."""
    from cryptography.hazmat.primitives.ciphers.aead import AESGCM
    from psycopg import Error, pq

    AESGCM(bytes(32)).encrypt(bytes(12), b"", None)
    try:
        with socket.create_server(("127.0.0.1", 0)) as silent:
            # As far as asking for TLS, which nobody answers.
            port = silent.getsockname()[1]
            connection = pq.PGconn.connect_start(
                f"host=127.0.0.1 port={port} user=nobody sslmode=prefer gssencmode=disable".encode()
            )
            connection.connect_poll()
            connection.encrypt_password(b"", b"nobody", b"scram-sha-256")
            connection.finish()
    except (OSError, Error) as error:
        # Then each fork loads them itself.
        _say(f"ciphers: {error}")


def ready_to_fork(descriptors: set[int]) -> None:
    """Raises when something is there that does not survive a fork: a thread, a descriptor that
    forks must not share, other than `descriptors`, or a generator of Ray's ids that is seeded."""
    threads = len(os.listdir("/proc/self/task"))  # noqa: PTH208
    if threads != 1 or threading.active_count() != 1:
        raise SystemExit(f"{threads} threads: {threading.enumerate()}")
    shared = {}
    for fd in map(int, os.listdir("/proc/self/fd")):  # noqa: PTH208
        with contextlib.suppress(FileNotFoundError):
            what = os.readlink(f"/proc/self/fd/{fd}")  # noqa: PTH115
            if fd not in descriptors and what.startswith(("socket:", "anon_inode:")):
                shared[fd] = what
    if shared:
        raise SystemExit(f"forks would share {shared}")
    if "ray" in sys.modules and _drawn_by_a_fork() == _drawn_by_a_fork():
        raise SystemExit("forks would draw the same ids: Ray's generator is seeded")
    # The collector's marks are in the objects: without a collection their pages stay shared.
    gc.collect()
    gc.freeze()
    gc.disable()
    # Free memory is the forks' to use: they would get copies of its pages.
    ctypes.CDLL(None).malloc_trim(0)


def _drawn_by_a_fork() -> bytes:
    """A random id of Ray's, drawn in a fork. Raises `SystemExit` when there is none."""
    from ray import UniqueID

    there, here = os.pipe()
    pid = os.fork()
    if pid == 0:
        try:
            os.write(here, UniqueID.from_random().binary())
        finally:
            os._exit(0)
    os.close(here)
    with open(there, "rb") as pipe:  # noqa: PTH123
        drawn = pipe.read()
    os.waitpid(pid, 0)
    if len(drawn) != UniqueID.size():
        raise SystemExit("a fork drew no id")
    return drawn


def _serve(listener: socket.socket, current: Callable[[], bool], files: Path) -> dict[str, Any]:
    """Fork one process for each request. Returns its request, in the fork only."""
    # Imports have left some behind (`ctypes.util.find_library` runs a shell).
    with contextlib.suppress(ChildProcessError):
        while os.waitpid(-1, os.WNOHANG)[0]:
            pass
    # Forks are nobody's children to wait for.
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    node = os.pidfd_open(watched(dict(os.environ)))
    mine = fixed(dict(os.environ))
    mine.pop(_NEW_NAME, None)
    poll = select.poll()
    poll.register(listener, select.POLLIN)
    poll.register(node, select.POLLIN)
    _say("ready")
    while True:
        ready = [fd for fd, _ in poll.poll(_POLL_SECONDS * 1000)]
        if node in ready or (not ready and not current()):
            # Of a launcher that came at this moment the connection ends: it starts a plain worker.
            for suffix in ("", ".pid", ".lock"):
                files.with_suffix(suffix).unlink(missing_ok=True)
            _say("ends with its node" if node in ready else "ends: the code has changed")
            os._exit(0)
        if not ready:
            continue
        connection, _ = listener.accept()
        with connection:
            connection.settimeout(_READ)
            try:
                request, descriptors = _read(connection)
            except (OSError, ValueError) as error:
                _say(f"no request: {error}")
                continue
            if "module" not in request and fixed(request["environment"]) != mine:
                _say("a request for another environment")
            elif _fork() == 0:
                # A group of its own: Ray sweeps the group of each worker that ends.
                os.setpgid(0, 0)
                listener.close()
                os.close(node)
                try:
                    connection.sendall(b"F")
                    if "module" in request:
                        request["asker"] = connection.dup()
                    else:
                        # The launcher confirms that it has not given up meanwhile.
                        connection.settimeout(_GO)
                        if connection.recv(1) != b"G":
                            os._exit(0)
                except OSError:
                    os._exit(0)
                for fd, given in enumerate(descriptors):
                    os.dup2(given, fd)
                for given in descriptors:
                    os.close(given)
                return request
            for given in descriptors:
                os.close(given)


def _fork() -> int:
    try:
        return os.fork()
    except OSError as error:
        _say(f"no fork: {error}")
        return -1


def _read(connection: socket.socket) -> tuple[dict[str, Any], list[int]]:
    """A request and the descriptors 0 to 2 with it. Raises `OSError`, `ValueError`."""
    uid = int.from_bytes(
        connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, 12)[4:8], sys.byteorder
    )
    if uid != os.getuid():
        raise ValueError(f"user {uid} asks")
    length, ancillary, _, _ = connection.recvmsg(4, socket.CMSG_LEN(12))
    descriptors = array.array("i")
    for level, kind, data in ancillary:
        if (level, kind) == (socket.SOL_SOCKET, socket.SCM_RIGHTS):
            descriptors.frombytes(data)
    given = list(descriptors)
    try:
        received = bytearray()
        while len(received) < int.from_bytes(length, "big"):
            part = connection.recv(65536)
            if not part:
                raise ValueError("cut off")
            received += part
        if len(given) != 3:
            raise ValueError(f"{len(given)} descriptors")
        request = json.loads(received)
        if not isinstance(request, dict) or not (
            "module" in request or isinstance(request.get("environment"), dict)
        ):
            raise ValueError("no request")
    except (OSError, ValueError):
        for fd in given:
            os.close(fd)
        raise
    return request, given


def _run(request: dict[str, Any]) -> NoReturn:
    """Be a program of ours, as `python -m` would run it, and report how it ended. Whoever asked for
    it reads its process id first, then the exit code; without one it was killed."""
    import atexit
    import runpy
    import traceback

    _be_a_program(request["folder"])
    for name in (FORK, _NEW_NAME, "RAY_JOB_ID", "SPT_NOENV"):
        os.environ.pop(name, None)
    asker: socket.socket = request["asker"]
    asker.setblocking(True)
    asker.sendall(f"{os.getpid()}\n".encode())
    sys.argv = [request["module"], *request["arguments"]]
    gc.enable()
    actors.zygote.forked = True
    deferred.load()
    code: Any = 0
    try:
        runpy.run_module(request["module"], run_name="__main__", alter_sys=True)
    except SystemExit as end:
        code = end.code or 0
        if not isinstance(code, int):
            sys.stderr.write(f"{code}\n")
            code = 1
    except BaseException:  # noqa: BLE001 - as an interpreter does
        traceback.print_exc()
        code = 1
    atexit._run_exitfuncs()
    sys.stdout.flush()
    sys.stderr.flush()
    with contextlib.suppress(OSError):
        asker.sendall(f"{code}\n".encode())
    os._exit(code)


def _be_a_program(folder: str) -> None:
    for number in (signal.SIGCHLD, signal.SIGINT):
        signal.signal(
            number,
            signal.default_int_handler if number == signal.SIGINT else signal.SIG_DFL,
        )
    os.chdir(folder)


def _become(request: dict[str, Any], code: Any) -> None:
    """Be the worker: as if Python had just been started with these arguments."""
    _be_a_program(request["folder"])
    os.environ.clear()
    # putenv as well: Ray's C++ reads its settings there, when it is connected.
    os.environ.update(request["environment"])
    with contextlib.suppress(OSError):
        Path("/proc/self/oom_score_adj").write_text(request["oom_score_adj"])
    with contextlib.suppress(OSError):
        os.nice(request["nice"] - os.nice(0))
    sys.argv = request["arguments"]
    sys.path.insert(0, str(Path(sys.argv[0]).parent))
    gc.enable()
    actors.zygote.forked = True
    program = ModuleType("__main__")
    program.__file__ = sys.argv[0]
    sys.modules["__main__"] = program
    exec(code, program.__dict__)  # noqa: S102  # nosec B102 - the worker that Ray starts


def _say(text: str) -> None:
    sys.stdout.write(f"{time.strftime('%F %T')} zygote {os.getpid()}: {text}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    main()

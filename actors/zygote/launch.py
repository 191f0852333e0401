"""Has this node's zygote fork a worker, in place of the process that the raylet started.

`main(arguments of Python)`, from `sitecustomize.py`. It hands arguments, environment, working
directory and the descriptors 0 to 2 to the zygote over a Unix socket, and exits as soon as the fork
is there: Ray does not care about the process that it started, only about the one that registers
with `--worker-id`. Whatever goes wrong, it becomes a plain worker instead, which says why
(`actors.zygote.started`).

Stands alone, without imports that cost anything: it runs for every worker (8 ms). That is why
there is no pathlib here.
"""

from __future__ import annotations

import _socket
import os
import sys

#: In the environment of workers: they are to be forked; why one is not.
FORK, PLAIN = "GATEWAY_FORK", "GATEWAY_NOT_FORKED"
#: What Serve's processes have in theirs: the mark, and what leaves their zygote without a thread of
#: numpy's.
FRONT = {FORK: "1", "OPENBLAS_NUM_THREADS": "1", "MALLOC_ARENA_MAX": "2"}
#: Differ between workers, or are the shell's; they play no part before the fork. All others are
#: read by somebody when a process starts or imports (ld.so, malloc, Python, Go, Ray's settings),
#: and a forked process keeps what was read: each set of them has a zygote of its own.
_VOLATILE = {"RAY_JOB_ID", "_", "SHLVL", "PWD", "OLDPWD", "TRACEPARENT"}
#: In the environment of a node that `ops/local/ray_start.py` starts: its process, which is there
#: before the raylet and ends when that does.
NODE = "GATEWAY_NODE_PID"
_RAYLET = "RAY_RAYLET_PID"
#: What a raylet of Ray 2.60 and `ray start` set beside what they are given; were it other things,
#: a zygote that began before them would be asked for nothing.
_SET_BY_RAY = {"RAY_CLIENT_MODE": "0", "RAY_LD_PRELOAD_ON_WORKERS": "0", "SPT_NOENV": "1"}
#: Names the socket of the one that began with its node, in the folder of zygotes.
BEGUN = "begun"
#: `JobID.nil()`, in hexadecimal.
_NO_JOB = "ffffffff"
#: Seconds that a zygote may import, on a busy machine; that one which has forked before may take.
#: Ray gives a worker 60.
_IMPORTS, _ANSWERS = 40.0, 10.0
#: One that could not get ready is not tried again for so many seconds.
_PAUSE = 300.0
_ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))


class NotForked(Exception):
    """Why there is no fork, and will be none."""


def fixed(environment: dict[str, str]) -> dict[str, str]:
    """What of it a process has from its very start."""
    volatile = {*_VOLATILE, _RAYLET} if NODE in environment else _VOLATILE
    return {name: value for name, value in environment.items() if name not in volatile}


def watched(environment: dict[str, str]) -> int:
    """The process with which a zygote ends."""
    return int(environment.get(NODE) or environment[_RAYLET])


def stamp() -> int:
    """Changes when code changes that a zygote may have imported."""
    import zlib

    found = 0
    folders = [os.path.join(_ROOT, name) for name in ("actors", "client", "cluster")]
    while folders:
        with os.scandir(folders.pop()) as entries:
            for entry in entries:
                if entry.name.endswith(".py"):
                    changed = f"{entry.path} {entry.stat().st_mtime_ns}"
                    found ^= zlib.crc32(changed.encode("utf-8", "surrogateescape"))
                elif entry.is_dir() and not entry.name.startswith(("__", ".")):
                    folders.append(entry.path)
    for folder in sys.path:
        # Packages that are installed or removed change their folder.
        if folder.endswith("-packages") and os.path.isdir(folder):
            found ^= zlib.crc32(f"{folder} {os.stat(folder).st_mtime_ns}".encode())
    return found


def address(environment: dict[str, str]) -> tuple[str, str]:
    """(folder, name) of the socket of the zygote for this environment and this code. Raises
    `NotForked`."""
    import zlib

    data = environment.get("GATEWAY_DATA_DIR", "")
    if not data:
        raise NotForked("GATEWAY_DATA_DIR is not set")
    fixed_text = "\0".join(f"{n}={v}" for n, v in sorted(fixed(environment).items()))
    key = zlib.crc32(fixed_text.encode("utf-8", "surrogateescape")) ^ stamp()
    return os.path.join(data, "zygote"), f"{key:08x}"


def begin(environment: dict[str, str], added: dict[str, str]) -> None:
    """Start the zygote of a node's workers with these variables before its raylet is there. Raises
    `NotForked`, `OSError`."""
    given = {**environment, **_SET_BY_RAY, **added}
    folder, name = address(given)
    # It takes the connection for one of a launcher that has given up.
    connect(folder, name, given).close()
    named = os.path.join(folder, BEGUN)
    try:
        os.unlink(named)
    except FileNotFoundError:
        pass
    os.symlink(name, named)


def connect(folder: str, name: str, environment: dict[str, str]) -> _socket.socket:
    """A connection to the zygote, which is started with this environment if there is none. It may
    still be importing: its socket is there before it is, and connections wait in the queue. Raises
    `NotForked`."""
    os.makedirs(folder, mode=0o700, exist_ok=True)
    at = open_folder(folder)
    path = f"/proc/self/fd/{at}/{name}"
    try:
        connection = _try(path)
        if connection is None:
            import fcntl

            lock = os.open(os.path.join(folder, name + ".lock"), os.O_RDWR | os.O_CREAT, 0o600)
            try:
                fcntl.flock(lock, fcntl.LOCK_EX)
                connection = _try(path)
                if connection is None:
                    _refuse_after_failure(folder, name)
                    _start(path, folder, name, environment)
                    connection = _try(path)
            finally:
                os.close(lock)
    finally:
        os.close(at)
    if connection is None:
        raise NotForked("the zygote ended as it started")
    return connection


def open_folder(folder: str) -> int:
    """A descriptor of a folder of sockets: their paths go through it, as they have 107 bytes and a
    data folder's may have more, and as it is this folder that was looked at. Raises `NotForked`,
    `OSError`."""
    at = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
    found = os.fstat(at)
    if found.st_uid != os.geteuid() or found.st_mode & 0o077:
        os.close(at)
        # Whoever answers there is given the whole environment, secrets included.
        raise NotForked(f"{folder} is not this user's alone")
    return at


def _try(path: str) -> _socket.socket | None:
    connection = _socket.socket(_socket.AF_UNIX, _socket.SOCK_STREAM)
    try:
        connection.connect(path)
    except OSError:
        connection.close()
        return None
    return connection


def _refuse_after_failure(folder: str, name: str) -> None:
    import time

    try:
        with open(os.path.join(folder, name + ".failed")) as file:
            # Not what will have failed: the clock was set back.
            if 0 <= time.time() - os.fstat(file.fileno()).st_mtime < _PAUSE:
                raise NotForked(f"the zygote could not get ready: {file.read(500).strip()}")
    except FileNotFoundError:
        return


def _start(path: str, folder: str, name: str, environment: dict[str, str]) -> None:
    """Start the zygote with a listening socket that it inherits."""
    try:
        os.unlink(path)
    except FileNotFoundError:
        pass
    listener = _socket.socket(_socket.AF_UNIX, _socket.SOCK_STREAM)
    listener.bind(path)
    listener.listen(1024)
    os.set_inheritable(listener.fileno(), True)
    log = os.open(
        os.path.join(folder, name + ".log"), os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600
    )
    null = os.open(os.devnull, os.O_RDONLY)
    # The titles of its forks (`ray::SessionActor`) are written over its arguments: room for them.
    room = "-" * 200
    server = os.path.join(os.path.dirname(os.path.abspath(__file__)), "server.py")
    os.posix_spawn(
        sys.executable,
        [sys.executable, server, str(listener.fileno()), os.path.join(folder, name), room],
        # Ray's C++ reads both when it is imported. Of no job, or forks of another one, and those
        # that wait for one, would end with that of the first: Ray gives each its job with its
        # work. Forks end with the process that is named here, as if it were the raylet.
        {**environment, "RAY_JOB_ID": _NO_JOB, _RAYLET: str(watched(environment))},
        file_actions=[
            (os.POSIX_SPAWN_DUP2, null, 0),
            (os.POSIX_SPAWN_DUP2, log, 1),
            (os.POSIX_SPAWN_DUP2, log, 2),
        ],
        # Neither Ray's sweep of this process's group nor of a fork's may reach it.
        setsid=True,
    )
    listener.close()


def fork(arguments: list[str]) -> None:
    """Have it forked; returns when the fork is under way. Raises `NotForked`."""
    import json

    folder, name = address(dict(os.environ))
    connection = connect(folder, name, dict(os.environ))
    ready = os.path.exists(os.path.join(folder, name + ".pid"))
    connection.settimeout(_ANSWERS if ready else _IMPORTS)
    try:
        with open("/proc/self/oom_score_adj") as file:
            oom = file.read().strip()
        request = json.dumps(
            {
                "arguments": arguments,
                "environment": dict(os.environ),
                "folder": os.getcwd(),
                "oom_score_adj": oom,
                "nice": os.nice(0),
            }
        ).encode()
        # SCM_RIGHTS
        descriptors = b"".join(fd.to_bytes(4, sys.byteorder) for fd in (0, 1, 2))
        connection.sendmsg(
            [len(request).to_bytes(4, "big")],
            [(_socket.SOL_SOCKET, _socket.SCM_RIGHTS, descriptors)],
        )
        connection.sendall(request)
        # "F": forked. The fork waits for the word to go, so that there are never two of one worker:
        # when this process has given up, it finds the connection closed and ends.
        if connection.recv(1) != b"F":
            raise NotForked("the zygote refused; see its log in the data folder")
        connection.sendall(b"G")
    except TimeoutError:
        if ready:
            _end(os.path.join(folder, name + ".pid"))
        raise NotForked("the zygote did not answer") from None
    except OSError as error:
        raise NotForked(f"the zygote is gone: {error}") from None


def _end(pid_file: str) -> None:
    """End a zygote that hangs, so that the next worker starts another."""
    import signal

    try:
        with open(pid_file) as file:
            pid, started = file.read().split()
        if start_time(int(pid)) == started:
            os.kill(int(pid), signal.SIGKILL)
    except (OSError, ValueError):
        return


def start_time(pid: int) -> str:
    """Clock ticks between boot and the start of `pid`; empty when there is none."""
    try:
        with open(f"/proc/{pid}/stat") as file:
            return file.read().rpartition(")")[2].split()[19]
    except OSError:
        return ""


def zygotes(data: os.PathLike[str]) -> list[int]:
    """Process ids of the living ones of the node with this data folder."""
    found = []
    try:
        names = os.listdir(os.path.join(data, "zygote"))
    except FileNotFoundError:
        return []
    for name in names:
        if not name.endswith(".pid"):
            continue
        try:
            with open(os.path.join(data, "zygote", name)) as file:
                pid, started = file.read().split()
        except (OSError, ValueError):
            continue
        if start_time(int(pid)) == started:
            found.append(int(pid))
    return found


def main(arguments: list[str]) -> None:
    """Never returns: it ends as soon as the fork is there, or becomes a plain worker."""
    try:
        fork(arguments)
    except Exception as error:  # noqa: BLE001 - whatever it is, the worker has to start
        why = str(error) or repr(error)
        sys.stderr.write(f"not forked: {why}\n")
        os.environ[PLAIN] = why[:500]
        os.execv(sys.executable, [sys.executable, *arguments])  # noqa: S606
    os._exit(0)

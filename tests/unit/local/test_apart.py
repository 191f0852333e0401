"""Work in a fork of the host."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from cluster.domain.errors import Conflict, Unavailable
from ops.embedded.process import ServerProcess
from ops.local.apart import apart

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="forks are Linux's")


def test_what_it_changes_and_loads_ends_with_it(tmp_path: Path) -> None:
    seen: list[int] = []

    def work() -> None:
        seen.append(1)
        (tmp_path / "who").write_text(str(os.getpid()))

    apart(work)
    assert not seen
    assert int((tmp_path / "who").read_text()) != os.getpid()


def _refuses() -> None:
    raise Conflict("the port is taken")


def _fails() -> None:
    raise ValueError("wrong")


def _is_killed() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


@pytest.mark.parametrize(
    ("work", "reason"),
    [
        (_refuses, "^the port is taken$"),
        (_fails, "^ValueError: wrong$"),
        (_is_killed, "^it ended with -9$"),
    ],
)
def test_the_reason_of_a_failure_is_known(work: Callable[[], None], reason: str) -> None:
    with pytest.raises(Unavailable, match=reason):
        apart(work)


def test_it_ends_when_this_process_is_asked_to(tmp_path: Path) -> None:
    class Asked(BaseException):
        pass

    def stop(number: int, frame: object) -> None:
        raise Asked

    def work() -> None:
        (tmp_path / "who").write_text(str(os.getpid()))
        time.sleep(600)

    before = signal.signal(signal.SIGALRM, stop)
    signal.setitimer(signal.ITIMER_REAL, 1.0)
    try:
        with pytest.raises(Asked):
            apart(work)
    finally:
        signal.signal(signal.SIGALRM, before)
    # Waited for as well: there is no zombie of it.
    with pytest.raises(ProcessLookupError):
        os.kill(int((tmp_path / "who").read_text()), 0)


def test_a_server_is_seen_from_there_and_not_ended(tmp_path: Path) -> None:
    server = ServerProcess("store", tmp_path)
    server.begin(["sleep", "600"])
    pid = server.pid

    def see_it() -> None:
        server.stop()
        if server.pid != pid:
            raise Conflict(f"{server.pid}")

    def see_it_gone() -> None:
        server.wait(lambda: False)

    try:
        apart(see_it)
        assert server.pid == pid
        assert pid is not None
        os.kill(pid, signal.SIGKILL)
        began = time.monotonic()
        with pytest.raises(Unavailable, match="store did not start"):
            apart(see_it_gone)
        # At once, though nobody has waited for it yet.
        assert time.monotonic() - began < 15
    finally:
        server.stop()


def test_the_host_keeps_no_clients_of_stores() -> None:
    """Nor what shows things to people: 30 MB in a process that only waits."""
    found = subprocess.run(
        [
            sys.executable,
            "-c",
            "import runpy, sys\n"
            "sys.argv = ['host', '--help']\n"
            "try:\n    runpy.run_module('ops.local.host', run_name='__main__')\n"
            "except SystemExit:\n    print(*(n for n, m in sys.modules.items() if m))",
        ],
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )
    loaded = {name.partition(".")[0] for name in found.stdout.splitlines()[-1].split()}
    assert "structlog" in loaded
    assert not loaded & {"rich", "pygments", "typer", "psycopg", "redis", "minio", "yoyo", "ray"}

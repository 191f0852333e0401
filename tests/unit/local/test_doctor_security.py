"""What the doctor says of ports, command lines and Ray's pages, of processes made for it."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from collections.abc import Iterator

import psutil
import pytest

from ops.doctor.check import Check, Verdict
from ops.doctor.security import running
from ops.embedded.process import ProcessId
from ops.local.state import State

pytestmark = pytest.mark.attack

_ENVIRONMENT = {
    "DATABASE_URL": "postgresql://gateway:very-secret-password@127.0.0.1:1/gateway",
    "CHECKPOINT_KEYS": "k1:first-key-of-checkpoints,k2:second-key-of-checkpoints",
    "HTTP_API_KEY": "sha512:digest-of-the-key",
    "RAY_AUTH_MODE": "token",
    "RAY_AUTH_TOKEN": "t" * 64,
    "HTTP_PORT": "3000",
}


@pytest.fixture
def state() -> Iterator[State]:
    """Of a host that is a sleeping process, with nothing behind its addresses."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{free.getsockname()[1]}"
    host = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    known = ProcessId.of(host.pid)
    assert known is not None
    yield State(run="x", host=known, url="http://127.0.0.1:1", dashboard_url=url)
    host.kill()
    host.communicate()


def _of(found: Iterator[Check]) -> dict[str, Check]:
    return {one.name: one for one in found}


def test_nothing_open_is_reported_as_such(state: State) -> None:
    checks = _of(running(state, _ENVIRONMENT))
    assert checks["ports"].verdict is Verdict.OK
    assert checks["command lines"].found == "none of 5 secrets in 1"
    assert checks["users"].found.endswith(f"uid {os.getuid()}")
    assert checks["Ray's token"].verdict is Verdict.OK
    assert checks["Ray's dashboard"].verdict is Verdict.WARNING, "it does not answer"


@pytest.mark.parametrize("secret", ["very-secret-password", "second-key-of-checkpoints", "t" * 64])
def test_a_secret_in_a_command_line_is_an_error(state: State, secret: str) -> None:
    state.host = _process(f"import sys; input(); # {secret}")
    try:
        check = _of(running(state, _ENVIRONMENT))["command lines"]
    finally:
        _end(state.host)
    assert check.verdict is Verdict.ERROR
    assert secret not in check.found


def test_a_port_on_all_addresses_is_an_error(state: State) -> None:
    state.host = _process(
        "import socket; s = socket.socket(); s.bind(('', 0)); s.listen(); "
        "print(flush=True); input()"
    )
    try:
        found = list(running(state, _ENVIRONMENT))
    finally:
        _end(state.host)
    (error,) = (one for one in found if one.verdict is Verdict.ERROR)
    assert error.found.endswith("on 0.0.0.0")


def test_a_cluster_without_a_token_is_an_error(state: State) -> None:
    open_one = {**_ENVIRONMENT, "RAY_AUTH_MODE": "disabled"}
    assert _of(running(state, open_one))["Ray's token"].verdict is Verdict.ERROR


def _process(code: str) -> ProcessId:
    if "print" not in code:
        code = f"print(flush=True); {code}"
    made = subprocess.Popen(
        [sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    # Before it runs, its command line is that of its parent.
    assert made.stdout is not None
    made.stdout.readline()
    _made[made.pid] = made
    found = ProcessId.of(made.pid)
    assert found is not None
    return found


_made: dict[int, subprocess.Popen[bytes]] = {}


def _end(process: ProcessId) -> None:
    made = _made.pop(process.pid)
    made.kill()
    made.communicate()
    assert not psutil.pid_exists(process.pid)

"""What the launcher decides before it asks the zygote."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from actors.zygote import launch, server
from actors.zygote.launch import NotForked, address, connect, stamp
from ops.local.layout import ROOT


@pytest.fixture
def code(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "actors" / "deep").mkdir(parents=True)
    for room in ("client", "cluster"):
        (tmp_path / room).mkdir()
    file = tmp_path / "actors" / "deep" / "module.py"
    file.write_text("x = 1\n")
    monkeypatch.setattr(launch, "_ROOT", str(tmp_path))
    return file


def test_changed_code_and_a_changed_environment_have_a_zygote_of_their_own(
    code: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    environment = {"GATEWAY_DATA_DIR": "/data", "SSL_CERT_FILE": "/a.pem", "RAY_JOB_ID": "1"}
    first = address(environment)
    assert first == address({**environment, "RAY_JOB_ID": "2", "PWD": "/"})
    assert first[0] == "/data/zygote"
    assert first != address({**environment, "SSL_CERT_FILE": "/b.pem"})
    before = stamp()
    os.utime(code, (1, 1))
    assert stamp() != before
    assert first != address(environment)
    os.utime(code, (2, 2))
    changed = stamp()
    code.with_name("added.py").write_text("")
    assert stamp() != changed


def test_one_that_begins_before_it_is_asked_for_is_the_one_that_is_asked_for(
    code: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    data = tmp_path / "node"
    data.mkdir()
    given = {"GATEWAY_DATA_DIR": str(data), "HTTP_PORT": "3000", launch.NODE: "17"}
    started: list[tuple[str, str, dict[str, str]]] = []

    def connected(folder: str, name: str, environment: dict[str, str]) -> socket.socket:
        started.append((folder, name, environment))
        Path(folder).mkdir()
        return socket.socket(socket.AF_UNIX)

    monkeypatch.setattr(launch, "connect", connected)
    launch.begin(given, launch.FRONT)
    # What a raylet of Ray 2.60 gives its workers beside its own environment, and the job's.
    set_by_ray = {
        "SPT_NOENV": "1",
        "RAY_CLIENT_MODE": "0",
        "RAY_LD_PRELOAD_ON_WORKERS": "0",
        "RAY_RAYLET_PID": "18",
        "RAY_JOB_ID": "01000000",
    }
    worker = {**given, **set_by_ray, **launch.FRONT}
    ((folder, name, environment),) = started
    assert (folder, name) == address(worker)
    assert launch.fixed(environment) == launch.fixed(worker)
    assert (data / "zygote" / launch.BEGUN).readlink() == Path(name)
    assert launch.watched(worker) == 17
    assert launch.watched(set_by_ray) == 18


def test_without_a_data_folder_of_its_own_there_is_none(tmp_path: Path) -> None:
    with pytest.raises(NotForked, match="GATEWAY_DATA_DIR"):
        address({})
    open_to_all = tmp_path / "zygote"
    open_to_all.mkdir(mode=0o755)
    open_to_all.chmod(0o755)
    with pytest.raises(NotForked, match="not this user's alone"):
        connect(str(open_to_all), "x", {})
    elsewhere = tmp_path / "link"
    elsewhere.symlink_to(tmp_path)
    with pytest.raises(OSError, match="link"):
        connect(str(elsewhere), "x", {})


def test_a_failed_one_is_not_tried_again_at_once(tmp_path: Path) -> None:
    folder = tmp_path / "zygote"
    folder.mkdir(mode=0o700)
    (folder / "x.failed").write_text("2 threads")
    with pytest.raises(NotForked, match="2 threads"):
        connect(str(folder), "x", {})


@pytest.mark.parametrize(
    ("trap", "message"),
    [
        ("import threading, time; threading.Thread(target=time.sleep, args=(9,), daemon=True)"
         ".start()", "2 threads"),
        ("import socket; kept = socket.socketpair()", "forks would share"),
        ("import select; kept = select.epoll()", "forks would share"),
        ("import ray; ray.remote(type('Actor', (), {}))", "forks would draw the same ids"),
    ],
)  # fmt: skip
def test_what_does_not_survive_a_fork_keeps_the_zygote_from_forking(
    trap: str, message: str
) -> None:
    program = f"{trap}\nfrom actors.zygote.server import ready_to_fork\nready_to_fork({{0, 1, 2}})"
    done = subprocess.run(
        [sys.executable, "-c", program],
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode != 0
    assert message in done.stderr


def test_another_sitecustomize_is_run_as_well(tmp_path: Path) -> None:
    (tmp_path / "sitecustomize.py").write_text("print('the other one')\n")
    done = subprocess.run(
        [sys.executable, "-c", "print('the program')"],
        env={**os.environ, "PYTHONPATH": f"{ROOT}{os.pathsep}{tmp_path}"},
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    assert done.stdout.splitlines() == ["the other one", "the program"]
    assert server.__doc__

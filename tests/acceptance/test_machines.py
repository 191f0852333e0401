"""Clusters of machines made of namespaces, by every way of starting that is shipped. The long form:
`gateway machines`."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from machines.bed import Bed, Start
from machines.debian import Debian, documented
from machines.hosts import SystemdHost

from ops.local.layout import ROOT

pytestmark = [
    pytest.mark.timeout(3000),
    pytest.mark.skipif(
        not os.environ.get("GATEWAY_SLOW_TESTS") or os.geteuid() != 0,
        reason="minutes, and root on Linux: GATEWAY_SLOW_TESTS",
    ),
]
_NEEDS_DEBIAN = pytest.mark.skipif(not shutil.which("debootstrap"), reason="needs debootstrap")


@pytest.fixture(scope="module")
def debian(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Where a fresh Debian is kept between tests."""
    folder = tmp_path_factory.mktemp("debian")
    folder.chmod(0o711)
    yield folder / "base"
    shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture
def folder() -> Iterator[Path]:
    """That the users of servers, who are not root, may pass through."""
    made = Path(tempfile.mkdtemp(prefix="gw-machines-", dir="/var/tmp"))
    made.chmod(0o711)
    yield made
    shutil.rmtree(made, ignore_errors=True)


def _rounds(tmp_path: Path, *arguments: str) -> list[dict[str, Any]]:
    """One of each fault, all of them clean."""
    figures = tmp_path / "figures.json"
    done = subprocess.run(
        [
            *(sys.executable, "-m", "machines", "--json", str(figures)),
            *("--workers", "2", "--sessions", "4", "--seconds", "1200", *arguments),
        ],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": os.pathsep.join([str(ROOT), str(ROOT / "tests")])},
        capture_output=True,
        text=True,
        timeout=2000,
        check=False,
    )
    assert done.returncode == 0, done.stdout[-4000:] + done.stderr[-2000:]
    found: list[dict[str, Any]] = json.loads(figures.read_text())
    assert all(one["accepted"] for one in found)
    return found


def test_nothing_is_lost_when_a_worker_and_then_the_head_are_cut_off(tmp_path: Path) -> None:
    link, head = _rounds(tmp_path, "--fault", "worker_link", "--fault", "head_link")
    assert link["works"], "its sessions work elsewhere"
    assert not head["needless_logins"], "a head that is away is nobody's reason to log in again"


@_NEEDS_DEBIAN
def test_units_of_systemd_survive_restart_reboot_and_kill(tmp_path: Path, debian: Path) -> None:
    faults = ["unit_restart", "reboot", "unit_killed", "raylet_killed", "gcs_killed"]
    faults += ["head_restart", "drain", "drain_command", "upgrade"]
    named = [word for one in faults for word in ("--fault", one)]
    for one in _rounds(tmp_path, "--start", "systemd", "--base", str(debian), *named):
        assert one["works"] or one["fault"] in {"gcs_killed", "head_restart"}


@_NEEDS_DEBIAN
@pytest.mark.skipif(not shutil.which("rsync"), reason="Ray's launcher needs rsync")
def test_rays_launcher_brings_the_cluster_up(tmp_path: Path, debian: Path) -> None:
    started = ["--start", "launcher", "--base", str(debian), "--fault", "worker_link"]
    (found,) = _rounds(tmp_path, *started)
    assert found["works"]


@_NEEDS_DEBIAN
def test_pods_hand_their_sessions_over_and_need_no_head(tmp_path: Path, debian: Path) -> None:
    started = ["--start", "kubernetes", "--base", str(debian)]
    drain, head = _rounds(tmp_path, *started, "--fault", "drain", "--fault", "head_power")
    assert drain["works"]
    assert not head["needless_logins"]


@_NEEDS_DEBIAN
def test_an_operators_commands_find_the_cluster_on_any_machine(folder: Path, debian: Path) -> None:
    """As docs/operations.md names them: without options, and without settings in the shell."""
    image = Debian(debian)
    image.make()
    bed = Bed(folder, 2, start=Start.SYSTEMD, debian=image)
    head, worker = bed.head, bed.workers[0]
    assert isinstance(head, SystemdHost)
    assert isinstance(worker, SystemdHost)

    def ask(host: SystemdHost, *arguments: str) -> str:
        return host.shell(" ".join(["/opt/gateway/gateway", *arguments]))

    try:
        bed.start({})
        for host in (head, worker):
            bed.wait(
                lambda host=host: {"head", "w1", "w2"} <= set(ask(host, "nodes").split()),
                f"{host.name} does not know all nodes",
            )
            bed.wait(
                lambda host=host: json.loads(ask(host, "status", "--json", "|| true"))["up"],
                f"the front of {host.name} does not answer",
            )
            assert json.loads(ask(host, "session", "ls", "--json")) == []
            found = json.loads(ask(host, "doctor", "--json", "|| true"))
            assert found["ok"], [one for one in found["checks"] if one["verdict"] == "error"]
            assert "the newest schema; 0" in ask(host, "migrate")
            assert ask(host, "logs", "actors").strip()
            # By the machine's file, which leads to the sandbox.
            assert "not the real WhatsApp" in ask(host, "config", "check", "|| true")
        ask(head, "node", "--head", "--check")
        ask(worker, "node", "--join", "head", "--check")
        assert "w1 is empty" in ask(head, "drain", "w1")
        assert "drained" in ask(worker, "nodes")
        assert "w1 takes sessions" in ask(worker, "undrain", "w1")
        for line in documented("systemctl stop gateway-worker"):
            worker.shell(line)
        bed.wait(
            lambda: worker.is_up() and "drained" not in ask(head, "nodes"),
            "w1 takes no sessions after its upgrade",
        )
    finally:
        bed.stop()


@_NEEDS_DEBIAN
def test_one_machine_as_a_service(folder: Path, debian: Path) -> None:
    image = Debian(debian)
    image.make()
    bed = Bed(folder, 0, start=Start.SYSTEMD, debian=image)
    host = bed.head
    assert isinstance(host, SystemdHost)
    ask = (
        "import json, urllib.request as r; "
        "print(json.load(r.urlopen('http://127.0.0.1:3000/health/ready', timeout=5))['status'])"
    )

    def ready() -> bool:
        return host.shell(f'python3 -c "{ask}" 2>/dev/null || true').strip() == "ready"

    try:
        bed.connect([host])
        host.boot_alone()
        for line in documented("gateway.service")[1:]:
            host.shell(line)
        bed.wait(ready, "the gateway is not ready")
        before = host.shell("systemctl show --property=MainPID gateway")
        host.shell("systemctl restart gateway")
        bed.wait(ready, "not ready after a restart")
        host.shell("systemctl kill --signal=KILL --kill-whom=main gateway")
        bed.wait(
            lambda: ready() and host.shell("systemctl show --property=MainPID gateway") != before,
            "not ready after its process was killed",
        )
        host.reboot()
        host.boot_alone()
        bed.wait(ready, "not ready after a reboot")
    finally:
        bed.stop()

"""What another user of the machine can reach of a running gateway: nothing but its front's port."""

from __future__ import annotations

import contextlib
import json
import os
import socket
import subprocess
import sys
import sysconfig
from collections.abc import Iterator
from pathlib import Path

import httpx
import other_user
import psutil
import pytest
from running_gateway import RunningGateway

from ops.embedded.process import ProcessId
from ops.local.layout import ROOT, Layout

pytestmark = pytest.mark.attack

as_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root can become another user")

#: What is everybody's on a machine, or no file.
_NOT_OURS = (
    *("/dev/null", "/dev/urandom", "/proc/", "/sys/", "/usr/", "/lib", "/etc/"),
    *("pipe:", "socket:", "anon_inode:", "/memfd:"),
    *(sys.base_prefix, sys.prefix, sysconfig.get_path("purelib"), str(ROOT)),
)


def _processes(gateway: RunningGateway) -> list[psutil.Process]:
    """The host and everything under it."""
    host = ProcessId.find(gateway.state.host)
    assert host is not None
    return [host, *host.children(recursive=True)]


def _present(*roots: Path) -> Iterator[Path]:
    """Every entry at and under `roots`, links not followed."""
    for root in roots:
        yield root
        for folder, folders, files in os.walk(root):
            yield from (Path(folder, name) for name in (*folders, *files))


def _opened(processes: list[psutil.Process]) -> Iterator[Path]:
    """Files, folders and sockets that they have open, wherever they are."""
    mine = set()
    for process in processes:
        folder = Path(f"/proc/{process.pid}")
        for link in (*folder.glob("fd/*"), folder / "cwd"):
            try:
                target = str(link.readlink())
            except OSError:
                continue  # It has ended, or closed it.
            if target.startswith("socket:["):
                mine.add(target[8:-1])
            elif not target.startswith(_NOT_OURS) and not target.endswith(" (deleted)"):
                yield Path(target)
    for line in Path("/proc/net/unix").read_text().splitlines()[1:]:
        fields = line.split(maxsplit=7)
        if len(fields) == 8 and fields[6] in mine:
            # An abstract one has no mode: everybody can connect to it.
            assert not fields[7].startswith("@"), fields[7]
            yield Path(fields[7])


def test_nothing_on_disk_is_open_to_others(gateway: RunningGateway) -> None:
    assert not [str(one) for one in Layout.at(gateway.data).exposures()]


@as_root
def test_another_user_reaches_no_file_folder_or_socket(gateway: RunningGateway) -> None:
    layout = Layout.at(gateway.data)
    processes = _processes(gateway)
    paths = {*_present(layout.short, layout.data), *_opened(processes)}
    names = {path.name for path in paths}
    assert {
        "a.s",
        "valkey.sock",
        "haproxy.cfg",
        "gcs_server.out",
        "state.json",
        "http-api-key",
    } <= names
    paths |= {
        Path(f"/proc/{process.pid}/{secret}")
        for process in processes
        for secret in ("environ", "mem", "maps", "fd")
    }
    assert not other_user.reached(paths)


@as_root
def test_the_other_user_would_be_seen(tmp_path: Path) -> None:
    """The test above can fail."""
    tmp_path.chmod(0o777)
    for above in tmp_path.parents[:3]:
        above.chmod(above.stat().st_mode | 0o011)
    (tmp_path / "file").touch()
    (tmp_path / "file").chmod(0o666)
    with socket.socket(socket.AF_UNIX) as one:
        one.bind(str(tmp_path / "s"))
        one.listen()
        (tmp_path / "s").chmod(0o666)
        seen = other_user.reached([tmp_path, tmp_path / "file", tmp_path / "s"])
    assert {deed.split(f" {tmp_path}")[0] for deed in seen} == {
        *("list", "write in", "read", "write", "connect to")
    }


def test_everything_listens_on_loopback_only(gateway: RunningGateway) -> None:
    """Whoever reaches one of Ray's ports, or a replica's, runs code or passes the front by."""
    found = {}
    for process in _processes(gateway):
        try:
            for one in process.net_connections(kind="inet"):
                if one.status == psutil.CONN_LISTEN or one.type == socket.SOCK_DGRAM:
                    found[one.laddr.port] = (one.laddr.ip, " ".join(process.cmdline())[:60])
        except psutil.NoSuchProcess:
            continue
    assert gateway.port in found
    assert len(found) > 20
    loopback = {"127.0.0.1", "::1", "::ffff:127.0.0.1"}
    assert not {port: listener for port, listener in found.items() if listener[0] not in loopback}
    assert not [command for _, command in found.values() if "ray.util.client.server" in command]


def test_no_port_of_ray_lets_strangers_in(gateway: RunningGateway) -> None:
    answer = httpx.get(f"{gateway.state.dashboard_url}/api/v0/actors", trust_env=False)
    assert answer.status_code == 401
    script = f"import ray; ray.init(address={gateway.state.ray_address!r}); print(ray.nodes())"
    clean = {name: value for name, value in os.environ.items() if "TOKEN" not in name}
    # Beside each other: Ray tries for a while before it gives up.
    trying = [
        subprocess.Popen(
            [sys.executable, "-c", script],
            env={
                **clean,
                "RAY_AUTH_MODE": mode,
                "RAY_AUTH_TOKEN": "0" * 64,
                "RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER": "0",
            },
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        for mode in ("disabled", "token")
    ]
    for one in trying:
        try:
            said, _ = one.communicate(timeout=60)
        except subprocess.TimeoutExpired:
            one.kill()
            one.communicate()
        else:
            assert one.returncode != 0, said


def test_replicas_believe_only_haproxy_who_called(gateway: RunningGateway) -> None:
    """The fallback proxy's port and the replicas' are there beside HAProxy's."""
    ports = {
        one.laddr.port
        for process in _processes(gateway)
        if process.name().startswith(("ray::ServeReplica", "ray::ProxyActor"))
        for one in process.net_connections(kind="inet")
        if one.status == psutil.CONN_LISTEN
    }
    statuses = []
    for port in {gateway.port, *ports}:
        headers = {
            "X-Forwarded-For": "192.0.2.7",
            "X-Gateway-Ingress": "guessed",
            "X-Api-Key": gateway.state.api_key,
        }
        with contextlib.suppress(httpx.HTTPError):
            answer = httpx.post(
                f"http://127.0.0.1:{port}/api/keys",
                json={"isAdmin": True, "name": f"of port {port}"},
                headers=headers,
                timeout=10,
                trust_env=False,
            )
            statuses.append(answer.status_code)
    assert statuses.count(201) >= 2, statuses
    audited = gateway.api.get("/api/audit", params={"limit": 50}).raise_for_status().text
    assert "of port" in audited or "/api/keys" in audited
    assert "192.0.2.7" not in audited


def test_the_doctor_finds_nothing_open_and_reports_what_it_checked(gateway: RunningGateway) -> None:
    report = json.loads(gateway.command("doctor", "--security", "--json"))
    assert report["ok"], report
    checks = {one["name"]: one for one in report["checks"]}
    assert {one["group"] for one in checks.values()} == {"security"}
    assert checks.keys() == {
        *("files and sockets", "ports", "command lines", "users"),
        *("Ray's token", "Ray's dashboard", "Ray's pages", "decoders"),
    }
    assert int(checks["command lines"]["found"].split()[2]) >= 6, "the secrets it searched for"


def test_the_doctor_notices_what_is_open(gateway: RunningGateway) -> None:
    layout = Layout.at(gateway.data)
    opened = layout.data / "postgres" / "open"
    opened.touch()
    opened.chmod(0o644)
    # Only root's PostgreSQL needs passage: elsewhere a closed folder is above the file.
    above = {folder: folder.stat().st_mode & 0o777 for folder in (layout.data, opened.parent)}
    for folder, mode in above.items():
        folder.chmod(mode | 0o011)
    try:
        report = json.loads(gateway.command("doctor", "--security", "--json", check=False))
    finally:
        for folder, mode in above.items():
            folder.chmod(mode)
        opened.unlink()
    assert not report["ok"]
    assert [one["name"] for one in report["checks"] if one["verdict"] == "error"] == ["open"]


def test_no_secret_in_a_command_line(gateway: RunningGateway) -> None:
    layout = Layout.at(gateway.data)
    secrets = {
        path.read_text().strip()
        for path in (
            *layout.secrets.iterdir(),
            *layout.data.glob("*/password"),
            *layout.data.glob("seaweed/secret-key"),
            *layout.data.glob("seaweed/jwt-*"),
        )
    }
    secrets.add(gateway.state.sandbox_control_token)
    assert len(secrets) >= 8
    for process in _processes(gateway):
        try:
            line = "\0".join(process.cmdline())
        except psutil.NoSuchProcess:
            continue
        assert not [one for one in secrets if one in line], process.name()

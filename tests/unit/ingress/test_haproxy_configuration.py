"""What our wrapper makes of the configuration that Ray Serve wrote for HAProxy."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path

import pytest

from ops.ingress import haproxy

_WRAPPER = Path(haproxy.__file__).with_name("haproxy.sh")
_BY_RAY = """\
global
    log /dev/log local0 info
    stats socket /x/a.s mode 666 level admin
defaults
    mode http
    log global
    timeout connect 5s
    option splice-response
    errorfile 502 /x/500.http
    errorfile 503 /x/500.http
    errorfile 504 /x/500.http
backend default_backend
    http-request return status 404 content-type text/plain lf-string "Path '%[path]' not found."
backend gateway
    default-server fall 2 check
    server replica 127.0.0.1:30000 check observe layer4
    server fallback 127.0.0.1:30001 check backup
frontend prometheus
    bind :7001
frontend stats
    bind *:7002
frontend http_frontend
    bind 127.0.0.1:3000
"""


@pytest.fixture
def changed(tmp_path: Path) -> list[str]:
    """The lines of the configuration."""
    configuration = tmp_path / "haproxy.cfg"
    configuration.write_text(_BY_RAY)
    subprocess.run(
        ["/bin/sh", str(_WRAPPER), "-db", "-f", str(configuration)],
        check=True,
        env={
            **os.environ,
            "GATEWAY_HAPROXY": "true",
            "GATEWAY_INGRESS_SECRET": "of-the-cluster",
            "RAY_SERVE_HAPROXY_METRICS_PORT": "7001",
            "RAY_SERVE_HAPROXY_STATS_PORT": "7002",
        },
    )
    return [line.strip() for line in configuration.read_text().splitlines()]


def test_pages_about_it_take_no_port_and_are_for_its_owner(
    changed: list[str], tmp_path: Path
) -> None:
    binds = [line.removeprefix("bind ") for line in changed if line.startswith("bind")]
    assert binds == [
        f"unix@{tmp_path}/m mode 600",
        f"unix@{tmp_path}/s mode 600",
        "127.0.0.1:3000",
    ]


def test_replicas_learn_that_it_was_haproxy_who_passed_a_request_on(changed: list[str]) -> None:
    at = changed.index("frontend http_frontend")
    assert changed[at + 1] == "http-request set-header X-Gateway-Ingress of-the-cluster"


def test_the_proof_is_the_clusters(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    def of(token: str) -> str:
        for name, value in haproxy.environment("x", tmp_path, fallback=1, token=token).items():
            monkeypatch.setenv(name, value)
        return haproxy.secret()

    assert of("a" * 64) == of("a" * 64) != of("b" * 64)
    assert "a" * 64 not in of("a" * 64)
    monkeypatch.setenv("RAY_SERVE_ENABLE_HA_PROXY", "0")
    assert not haproxy.secret()


def test_its_admin_socket_is_its_owners(changed: list[str], tmp_path: Path) -> None:
    (socket,) = (line for line in changed if line.startswith("stats socket"))
    assert " mode 600 " in socket
    assert tmp_path.stat().st_mode & 0o777 == 0o700


def test_it_is_not_started_where_others_can_put_a_configuration(tmp_path: Path) -> None:
    tmp_path.chmod(0o777)
    folder = tmp_path / "node"
    folder.mkdir(mode=0o755)
    (folder / "haproxy.cfg").write_text(_BY_RAY)
    done = subprocess.run(
        ["/bin/sh", str(_WRAPPER), "-f", str(folder / "haproxy.cfg")],
        check=False,
        capture_output=True,
        text=True,
        env={**os.environ, "GATEWAY_HAPROXY": "true"},
    )
    assert done.returncode == 1
    assert "others of this machine" in done.stderr


def test_no_access_log_and_the_callers_address_is_passed_on(changed: list[str]) -> None:
    assert [line for line in changed if line.startswith("log")] == ["log global"]
    assert "option forwardfor" in changed


def test_bodies_are_not_spliced(changed: list[str]) -> None:
    assert not any(line.startswith("option splice") for line in changed)


def test_before_the_first_replica_nothing_is_unknown(changed: list[str]) -> None:
    assert "http-request return status 503 default-errorfiles" in changed


def test_unfinished_headers_end(changed: list[str]) -> None:
    assert "timeout http-request 30s" in changed


def test_a_lost_machine_is_passed_by(changed: list[str]) -> None:
    found = {line for line in changed if line.startswith("timeout connect")}
    assert found == {"timeout connect 300ms"}


def test_rays_own_proxy_is_asked_seldom_and_replicas_often(changed: list[str]) -> None:
    servers = [line for line in changed if line.startswith("server ")]
    assert ["inter 10s" in line for line in servers] == [False, True]


def test_requests_at_a_replica_that_is_down_are_answered(changed: list[str]) -> None:
    assert "default-server fall 2 check on-marked-down shutdown-sessions" in changed


@pytest.mark.parametrize(
    ("status", "line", "code"),
    [
        (502, "502 Bad Gateway", "interrupted"),
        (503, "503 Service Unavailable", "unavailable"),
        (504, "502 Bad Gateway", "interrupted"),
    ],
)
def test_what_it_answers_itself_is_a_problem_that_says_when_to_come_again(
    changed: list[str], status: int, line: str, code: str
) -> None:
    (page,) = (one for one in changed if one.startswith(f"errorfile {status}"))
    head, _, body = Path(page.split()[2]).read_bytes().partition(b"\r\n\r\n")
    lines = head.decode().split("\r\n")
    assert lines[0] == f"HTTP/1.0 {line}"
    assert "Retry-After: 1" in lines
    assert f"Content-Length: {len(body)}" in lines
    problem = json.loads(body)
    assert problem["type"] == f"urn:gateway:problem:{code}"
    assert problem["status"] == problem["statusCode"] == int(line[:3])


@pytest.mark.parametrize(("most", "args"), [(1024, "-n 462 -db"), (65536, "-db")])
def test_it_starts_where_a_process_may_have_few_files(most: int, args: str, tmp_path: Path) -> None:
    """Containers may have 1024 unless it is set otherwise, and HAProxy would refuse."""
    stub = tmp_path / "haproxy"
    stub.write_text('#!/bin/sh\nprintf "%s " "$@"\n')
    stub.chmod(0o700)
    done = subprocess.run(
        ["/bin/sh", "-c", f'ulimit -n {most}; exec /bin/sh "{_WRAPPER}" -db'],
        check=True,
        capture_output=True,
        text=True,
        env={**os.environ, "GATEWAY_HAPROXY": str(stub)},
    )
    assert done.stdout.strip() == args

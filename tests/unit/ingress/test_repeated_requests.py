"""What HAProxy, as we have it started, does with a request that a replica did not answer well."""

from __future__ import annotations

import asyncio
import os
import re
import socket
import subprocess
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import NoReturn

import httpx
import pytest
from fastapi.routing import APIRoute
from waiting import until

from api.app import create_app
from cluster.settings import HttpSettings
from ops.ingress import haproxy

_INGRESS = Path(haproxy.__file__).parent
#: The parts that matter here of what Ray 2.60 writes.
_BY_RAY = """\
defaults
    mode http
    timeout connect 5s
    timeout client 20s
    timeout server 20s
    option redispatch 1
    retry-on {retry_on}
    balance leastconn
frontend http_frontend
    bind unix@{folder}/in
    default_backend gateway
backend gateway
    http-reuse always
    default-server fall 2
    server one {one} check
    server two {two} check
"""


@dataclass
class Replica:
    """Answers as it is told to, and counts."""

    #: None: the connection ends without an answer.
    status: int | None = 201
    asked: int = 0
    held: threading.Event = field(default_factory=threading.Event)
    address: str = ""


class _Server(ThreadingHTTPServer):
    #: With the usual 5 the kernel drops the sixth of a burst on a busy machine: HAProxy would take
    #: that for a replica that is down.
    request_queue_size = 128


def _serve(replica: Replica, host: str) -> ThreadingHTTPServer:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            self.rfile.read(int(self.headers.get("Content-Length", 0)))
            replica.asked += 1
            if self.path == "/held":
                replica.held.wait(20)
            if replica.status is None:
                self.close_connection = True
                self.connection.shutdown(socket.SHUT_RDWR)
                return
            self.send_response(replica.status)
            self.send_header("Content-Length", "0")
            self.end_headers()

        do_POST = do_PUT = do_PATCH = do_GET

        def log_message(self, *_: object) -> None:
            pass

    server = _Server((host, 0), Handler)
    replica.address = f"{host}:{server.server_address[1]}"
    threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
    return server


@pytest.fixture
def replicas() -> Iterator[tuple[Replica, Replica]]:
    """The first one on this machine's own address, as HAProxy sees it; the second elsewhere."""
    both = Replica(), Replica()
    servers = [_serve(both[0], _own_address()), _serve(both[1], "127.0.0.1")]
    yield both
    for replica, server in zip(both, servers, strict=True):
        replica.held.set()
        server.shutdown()
        server.server_close()


def _own_address() -> str:
    found = subprocess.run(["hostname", "-I"], capture_output=True, text=True, check=False).stdout
    own = [one for one in found.split() if "." in one]
    if not own:
        pytest.skip("this machine has no address besides its loopback")
    return own[0]


@pytest.fixture
def front(tmp_path: Path, replicas: tuple[Replica, Replica]) -> Iterator[httpx.Client]:
    environment = haproxy.environment(haproxy.binary(), tmp_path, fallback=1, token="t")
    configuration = tmp_path / "haproxy.cfg"
    configuration.write_text(
        _BY_RAY.format(
            folder=tmp_path,
            one=replicas[0].address,
            two=replicas[1].address,
            retry_on=environment["RAY_SERVE_HAPROXY_RETRY_ON"],
        )
    )
    process = subprocess.Popen(
        ["/bin/sh", str(_INGRESS / "haproxy.sh"), "-db", "-f", str(configuration)],
        env={**os.environ, **environment},
    )
    asyncio.run(until((tmp_path / "in").exists))
    transport = httpx.HTTPTransport(uds=str(tmp_path / "in"))
    try:
        with httpx.Client(transport=transport, base_url="http://front", timeout=20) as client:
            yield client
    finally:
        process.terminate()
        process.wait(20)


_KEY = {"Idempotency-Key": "k"}


@pytest.mark.parametrize("status", [425, None])
@pytest.mark.parametrize(
    ("method", "path", "headers"),
    [
        ("GET", "/api/sessions", {}),
        ("POST", "/api/sendText", _KEY),
        ("PUT", "/api/reaction", _KEY),
        ("POST", "/api/default/status/text", _KEY),
    ],
)
def test_what_may_be_repeated_is_tried_at_another_replica(
    front: httpx.Client,
    replicas: tuple[Replica, Replica],
    status: int | None,
    method: str,
    path: str,
    headers: dict[str, str],
) -> None:
    replicas[0].status = status
    answer = front.request(method, path, headers=headers, content=b"" if method == "GET" else b"{}")
    assert answer.status_code == 201
    assert [one.asked for one in replicas] == [1, 1]


@pytest.mark.parametrize(("status", "seen"), [(425, 503), (None, 502)])
@pytest.mark.parametrize(
    ("method", "path", "headers"),
    [
        ("POST", "/api/sendText", {}),
        ("GET", "/api/sendText?text=a", {}),
        ("POST", "/api/default/groups", _KEY),
        ("PATCH", "/api/sendText/more", {}),
    ],
)
def test_what_may_not_is_tried_once(
    front: httpx.Client,
    replicas: tuple[Replica, Replica],
    status: int | None,
    seen: int,
    method: str,
    path: str,
    headers: dict[str, str],
) -> None:
    replicas[0].status = status
    answer = front.request(method, path, headers=headers, content=b"{}")
    assert answer.status_code == seen
    assert [one.asked for one in replicas] == [1, 0]


def test_when_none_reaches_postgresql_the_caller_may_come_again(
    front: httpx.Client, replicas: tuple[Replica, Replica]
) -> None:
    for one in replicas:
        one.status = 425
    answer = front.post("/api/sendText", headers=_KEY, content=b"{}")
    assert answer.status_code == 503
    assert all(one.asked for one in replicas)


def test_a_replica_of_this_machine_is_preferred_until_it_has_much_under_way(
    front: httpx.Client, replicas: tuple[Replica, Replica], tmp_path: Path
) -> None:
    for _ in range(8):
        front.get("/api/sessions")
    assert [one.asked for one in replicas] == [8, 0]

    def held() -> None:
        transport = httpx.HTTPTransport(uds=str(tmp_path / "in"))
        with httpx.Client(transport=transport, base_url="http://front", timeout=30) as client:
            client.get("/held")

    threads = [threading.Thread(target=held) for _ in range(24)]
    for one in threads:
        one.start()
    asyncio.run(until(lambda: sum(one.asked for one in replicas) == 8 + len(threads)))
    for replica in replicas:
        replica.held.set()
    for one in threads:
        one.join(30)
    assert replicas[0].asked > 8 + len(threads) / 2
    assert replicas[1].asked


def test_the_documented_load_balancer_repeats_the_same() -> None:
    documented = (_INGRESS.parents[1] / "docs/operations.md").read_text()
    for line in (_INGRESS / "repeatable.cfg").read_text().splitlines():
        assert line.strip() in documented or "425" in line


def _nobody() -> NoReturn:
    raise AssertionError("nothing is asked")


def test_the_paths_are_those_where_a_key_counts(tmp_path: Path) -> None:
    (line,) = re.findall(r"acl sends path_reg (\S+)", (_INGRESS / "repeatable.cfg").read_text())
    keyed: set[str] = set()
    others: set[str] = set()
    for route in create_app(_nobody, HttpSettings()).routes:
        if isinstance(route, APIRoute):
            takes = {one.alias.lower() for one in route.dependant.header_params}
            sort = keyed if "idempotency-key" in takes else others
            sort |= {f"{method} {route.path}" for method in (route.methods or set()) - {"GET"}}
    assert len(keyed) > 20

    def listed(routes: set[str]) -> set[str]:
        return {one for one in routes if re.search(line, one.partition(" ")[2])}

    assert listed(keyed) == keyed
    # The first is not there, the second may be repeated.
    assert listed(others) == {"POST /api/sendButtons", "POST /api/sendSeen"}

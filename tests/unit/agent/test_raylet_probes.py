"""Whether a raylet answers, asked over a connection that is kept. The raylets are gRPC servers with
the health service alone."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import grpc  # type: ignore[import-untyped]
import pytest

from actors.agent.raylets import Found, Probes, Raylet


class Server:
    """At one port of this machine; it can be ended and come again."""

    def __init__(self) -> None:
        self.peers: list[str] = []
        self.port = 0
        self._server: Any = None
        self.start()

    def start(self) -> None:
        self._server = grpc.server(ThreadPoolExecutor(1), options=[("grpc.so_reuseport", 0)])
        check = grpc.unary_unary_rpc_method_handler(self._check)
        self._server.add_generic_rpc_handlers(
            [grpc.method_handlers_generic_handler("grpc.health.v1.Health", {"Check": check})]
        )
        self.port = self._server.add_insecure_port(f"127.0.0.1:{self.port}")
        self._server.start()

    def stop(self) -> None:
        self._server.stop(0).wait()

    def _check(self, request: bytes, context: Any) -> bytes:
        self.peers.append(context.peer())
        return b""


@pytest.fixture
def server() -> Iterator[Server]:
    one = Server()
    yield one
    one.stop()


class Clock:
    now = 1000.0

    def __call__(self) -> float:
        return self.now


def _raylet(port: int) -> Raylet:
    return Raylet(node="n", name="n", address="127.0.0.1", port=port)


async def test_one_connection_is_kept_as_long_as_it_is_used(server: Server) -> None:
    clock = Clock()
    probes = Probes(clock)
    for _ in range(4):
        assert await probes.probe(_raylet(server.port)) is Found.ANSWERS
        clock.now += 5
    assert len(server.peers) == 4
    assert len(set(server.peers)) == 1
    clock.now += 20
    assert await probes.probe(_raylet(server.port)) is Found.ANSWERS
    assert len(set(server.peers)) == 2


async def test_one_that_ended_refuses_and_another_in_its_place_answers(server: Server) -> None:
    probes = Probes()
    assert await probes.probe(_raylet(server.port)) is Found.ANSWERS
    server.stop()
    assert await probes.probe(_raylet(server.port)) is Found.REFUSES
    server.start()
    assert await probes.probe(_raylet(server.port)) is Found.ANSWERS


async def test_one_that_came_again_unnoticed_answers(server: Server) -> None:
    probes = Probes()
    assert await probes.probe(_raylet(server.port)) is Found.ANSWERS
    server.stop()
    server.start()
    assert await probes.probe(_raylet(server.port)) is Found.ANSWERS


async def test_one_that_takes_the_connection_and_says_nothing_is_silent() -> None:
    with socket.create_server(("127.0.0.1", 0)) as frozen:
        assert await Probes().probe(_raylet(frozen.getsockname()[1])) is Found.SILENT

"""Clients that take their time (slowloris): they hold a connection, and nobody else's answer."""

from __future__ import annotations

import contextlib
import socket
import time
from collections.abc import Iterator

import pytest
from running_gateway import RunningGateway

_MANY = 200


@pytest.fixture
def slow(gateway: RunningGateway) -> Iterator[list[socket.socket]]:
    """Connections that never finish what they say: half with headers, half with bodies."""
    with contextlib.ExitStack() as stack:
        opened = []
        for number in range(_MANY):
            one = socket.create_connection(("127.0.0.1", gateway.port), timeout=10)
            stack.callback(one.close)
            one.sendall(b"POST /api/sendText HTTP/1.1\r\nHost: gateway\r\nX-Slow: ")
            if number % 2:
                one.sendall(
                    b"x\r\nX-Api-Key: " + gateway.state.api_key.encode() + b"\r\n"
                    b'Content-Type: application/json\r\nContent-Length: 5000\r\n\r\n{"session'
                )
            opened.append(one)
        yield opened


def test_others_are_served_while_many_dawdle(
    gateway: RunningGateway, slow: list[socket.socket]
) -> None:
    for _ in range(3):
        for one in slow[::2]:
            one.sendall(b"x")
        begun = time.monotonic()
        assert gateway.api.get("/api/sessions").status_code == 200
        assert gateway.api.get("/health").status_code == 200
        assert time.monotonic() - begun < 20, "the same order as without them"


def test_a_stranger_with_a_slow_body_is_sent_away_before_it_is_read(
    gateway: RunningGateway,
) -> None:
    with socket.create_connection(("127.0.0.1", gateway.port), timeout=30) as one:
        one.sendall(
            b"POST /api/sendText HTTP/1.1\r\nHost: gateway\r\nX-Api-Key: wrong\r\n"
            b"Content-Type: application/json\r\nContent-Length: 5000\r\n\r\n{"
        )
        assert one.recv(1000).startswith(b"HTTP/1.1 401 ")


def test_nonsense_on_the_wire_ends_the_connection(gateway: RunningGateway) -> None:
    for nonsense in (
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
        b"GET / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\nhello",
        b"GET / HTTP/1.1\r\nHost: a\r\nA B: c\r\n\r\n",
        b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
        b"GET / HTTP/9.9\r\n\r\n",
    ):
        with socket.create_connection(("127.0.0.1", gateway.port), timeout=10) as one:
            one.sendall(nonsense)
            with contextlib.suppress(TimeoutError, ConnectionError):
                answer = one.recv(1000)
                assert not answer.startswith(b"HTTP/1.1 5"), (nonsense, answer)
    assert gateway.api.get("/ping").status_code == 200

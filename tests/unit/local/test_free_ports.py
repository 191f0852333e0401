"""Ports for servers that do not listen yet."""

from __future__ import annotations

import pytest

from ops.embedded import process


def test_none_is_given_twice_before_its_server_listens(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(process, "_PORTS", (10_300, 10_340))
    given = [port for _ in range(10) for port in process.free_ports(2)]
    assert len(set(given)) == len(given)

"""Embedded servers keep their data, end with their parent, and let nobody in without a secret."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest
import redis

from ops.embedded import EmbeddedPostgres, EmbeddedValkey

_OWNER = """
import json, pathlib, signal, sys
from ops.embedded import EmbeddedStores
stores = EmbeddedStores(pathlib.Path(sys.argv[1]))
stores.start()
pids = [stores.postgres.pid, stores.valkey.pid, stores.seaweed.pid]
print("PIDS " + json.dumps(pids), flush=True)
signal.pause()
"""


@pytest.fixture
def data_dir() -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="gateway-embedded-") as folder:
        Path(folder).chmod(0o711)
        yield Path(folder)


def test_no_server_outlives_a_killed_parent(data_dir: Path) -> None:
    owner = subprocess.Popen(
        [sys.executable, "-c", _OWNER, str(data_dir)], stdout=subprocess.PIPE, text=True
    )
    try:
        assert owner.stdout is not None
        line = next(text for text in owner.stdout if text.startswith("PIDS "))
        servers = [psutil.Process(pid) for pid in json.loads(line.removeprefix("PIDS "))]
        assert len(servers) == 3
    finally:
        owner.send_signal(signal.SIGKILL)
        owner.wait()

    _, alive = psutil.wait_procs(servers, timeout=20)

    assert alive == []


def test_a_restart_finds_data_and_password_again(data_dir: Path) -> None:
    server = EmbeddedValkey()
    server.start(data_dir)
    with redis.Redis.from_url(server.env()["REDIS_URL"]) as client:
        client.set("kept", "yes")
    server.stop()
    assert server.pid is None

    server.start(data_dir)
    try:
        with redis.Redis.from_url(server.env()["REDIS_URL"]) as client:
            assert client.get("kept") == b"yes"
    finally:
        server.stop()
    assert (data_dir / "password").stat().st_mode & 0o077 == 0


def test_a_server_left_on_the_folder_is_ended_first(data_dir: Path) -> None:
    left, server = EmbeddedValkey(), EmbeddedValkey()
    left.start(data_dir)
    old = left.pid
    try:
        server.start(data_dir)
        assert left.pid is None
        assert server.pid not in (None, old)
        assert server.healthy()
    finally:
        server.stop()
        left.stop()


def test_only_what_listens_on_loopback_alone_proves_deaths_by_a_boot() -> None:
    assert EmbeddedPostgres().env()["LEASE_ONE_MACHINE"] == "true"
    assert "LEASE_ONE_MACHINE" not in EmbeddedPostgres(host="10.77.0.10").env()

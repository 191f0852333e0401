"""A server that an earlier process left on its folder."""

from __future__ import annotations

import contextlib
import json
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import psutil
import pytest

from ops.embedded.process import ProcessId, ServerProcess

#: Starts another that it never waits for, as some first processes of containers do.
_PARENT = """
import os, subprocess, sys
print(subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"]).pid, flush=True)
for _ in sys.stdin:
    os.wait()
"""


@pytest.fixture
def parent() -> Iterator[subprocess.Popen[str]]:
    command = [sys.executable, "-c", _PARENT]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, bufsize=1
    ) as started:
        yield started
        started.kill()


@pytest.fixture(params=["now", "by the version before"])
def left(
    parent: subprocess.Popen[str], tmp_path: Path, request: pytest.FixtureRequest
) -> Iterator[psutil.Process]:
    assert parent.stdout is not None
    process = psutil.Process(int(parent.stdout.readline()))
    noted = json.dumps({"pid": process.pid, "created": process.create_time()})
    if request.param == "now":
        found = ProcessId.of(process.pid)
        assert found is not None
        noted = found.model_dump_json()
    (tmp_path / "store.pid").write_text(noted)
    yield process
    with contextlib.suppress(psutil.NoSuchProcess):
        process.kill()


def test_it_is_ended_and_its_parent_is_not_waited_for(left: psutil.Process, tmp_path: Path) -> None:
    began = time.monotonic()
    ServerProcess("store", tmp_path).end_stale()
    assert left.status() == psutil.STATUS_ZOMBIE
    # One that had not ended is waited for so long, twice.
    assert time.monotonic() - began < 14
    assert not (tmp_path / "store.pid").exists()


def test_where_a_dead_one_would_count_as_living_it_is_waited_for(
    left: psutil.Process, parent: subprocess.Popen[str], tmp_path: Path
) -> None:
    assert parent.stdin is not None
    with ThreadPoolExecutor(1) as beside:
        ended = beside.submit(ServerProcess("store", tmp_path, reaped=True).end_stale)
        while left.status() != psutil.STATUS_ZOMBIE:
            time.sleep(0.01)
        assert not ended.done()
        # Reaped now.
        parent.stdin.write("\n")
        ended.result(timeout=14)
    assert not psutil.pid_exists(left.pid)

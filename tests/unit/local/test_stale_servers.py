"""A server that an earlier process left on its folder."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from ops.embedded.process import ServerProcess

#: Starts another that it never waits for, as some first processes of containers do.
_PARENT = """
import subprocess, sys, time
print(subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"]).pid, flush=True)
time.sleep(600)
"""


@pytest.fixture
def left() -> Iterator[psutil.Process]:
    with subprocess.Popen([sys.executable, "-c", _PARENT], stdout=subprocess.PIPE) as parent:
        assert parent.stdout is not None
        process = psutil.Process(int(parent.stdout.readline()))
        try:
            yield process
        finally:
            process.kill()
            parent.kill()


def test_it_is_ended_and_its_parent_is_not_waited_for(left: psutil.Process, tmp_path: Path) -> None:
    noted = {"pid": left.pid, "created": left.create_time()}
    (tmp_path / "store.pid").write_text(json.dumps(noted))
    began = time.monotonic()
    ServerProcess("store", tmp_path).end_stale()
    assert left.status() == psutil.STATUS_ZOMBIE
    # One that had not ended is waited for so long, twice.
    assert time.monotonic() - began < 14
    assert not (tmp_path / "store.pid").exists()

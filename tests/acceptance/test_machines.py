"""A cluster of three machines made of namespaces, by the command that every machine is started
with: a worker's cable is out, and then the head's. The long form is `gateway machines`."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from ops.local.layout import ROOT


@pytest.mark.skipif(
    not os.environ.get("GATEWAY_SLOW_TESTS") or os.geteuid() != 0,
    reason="minutes, and root on Linux: GATEWAY_SLOW_TESTS",
)
def test_nothing_is_lost_when_a_worker_and_then_the_head_are_cut_off(tmp_path: Path) -> None:
    figures = tmp_path / "figures.json"
    done = subprocess.run(
        [
            *(sys.executable, "-m", "machines", "--json", str(figures)),
            *("--workers", "2", "--sessions", "4", "--seconds", "1200"),
            *("--fault", "worker_link", "--fault", "head_link"),
        ],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": os.pathsep.join([str(ROOT), str(ROOT / "tests")])},
        capture_output=True,
        text=True,
        timeout=1400,
        check=False,
    )
    assert done.returncode == 0, done.stdout[-4000:] + done.stderr[-2000:]
    link, head = json.loads(figures.read_text())
    assert link["accepted"]
    assert link["works"], "its sessions work elsewhere"
    assert not head["needless_logins"], "a head that is away is nobody's reason to log in again"

"""The command line where nothing runs."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import pytest
from typer.testing import CliRunner

from ops.cli.application import application
from ops.local.layout import ROOT

_run = CliRunner().invoke


def test_status_of_nothing_is_three(tmp_path: Path) -> None:
    result = _run(application, ["status", "--data", str(tmp_path)])
    assert result.exit_code == 3
    assert "not up" in result.output


def test_down_of_nothing_is_fine(tmp_path: Path) -> None:
    result = _run(application, ["down", "--data", str(tmp_path)])
    assert result.exit_code == 0
    assert "nothing is up" in result.output


def test_config_masks_secrets(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DATABASE_URL", "postgresql://me:hidden-word@db.example:5432/x")
    monkeypatch.setenv("HTTP_API_KEY", "hidden-word")
    result = _run(application, ["config"], env={"COLUMNS": "200"})
    assert "hidden-word" not in result.output
    assert "db.example:5432" in result.output


def test_the_launcher_says_what_it_needs() -> None:
    result = subprocess.run(
        [str(ROOT / "gateway"), "version"],
        env={"PATH": "/usr/bin:/bin", "GATEWAY_PYTHON": "false"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert result.returncode == 1
    assert "Python 3.11" in result.stderr


@pytest.mark.parametrize("lock", ["requirements.lock", "requirements-dev.lock"])
def test_locks_have_hashes_and_no_addresses(lock: str) -> None:
    text = (ROOT / lock).read_text()
    assert "://" not in text
    pinned = re.findall(r"^[a-z0-9][^\n]*==[^\n]*", text, re.MULTILINE)
    assert len(pinned) > 50
    assert all(line.endswith("\\") for line in pinned)

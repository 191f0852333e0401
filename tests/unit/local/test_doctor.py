"""`gateway doctor`: what it finds, and what it says to do."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from cluster.settings import Settings
from cluster.stores.inspection import ServerFacts
from ops.cli.application import application
from ops.doctor.check import Verdict
from ops.doctor.computer import machine
from ops.doctor.library import library
from ops.doctor.packages import packages
from ops.doctor.stores import judged
from ops.local.layout import ROOT

_run = CliRunner().invoke


def test_a_package_that_is_not_as_locked_is_named(tmp_path: Path) -> None:
    lock = tmp_path / "requirements.lock"
    lock.write_text(
        "typer==0.0.1 \\\n    --hash=sha256:00\n"
        "colorama-of-windows==1.0 ; sys_platform == 'win32' \\\n    --hash=sha256:00\n"
    )
    (check,) = packages(lock)
    assert check.verdict is Verdict.WARNING
    assert "typer" in check.found
    assert "colorama" not in check.found


def test_every_finding_that_is_not_well_says_what_to_do(tmp_path: Path) -> None:
    found = list(machine(tmp_path / "not" / "yet"))
    assert {"python", "disk", "open files", "libmagic"} <= {one.name for one in found}
    assert all(one.remedy for one in found if one.verdict in {Verdict.WARNING, Verdict.ERROR})


def test_a_secret_that_others_can_read_is_an_error(tmp_path: Path) -> None:
    secrets = tmp_path / "secrets"
    secrets.mkdir()
    for folder in (tmp_path, secrets):
        folder.chmod(0o711)
    (secrets / "http-api-key").write_text("x")
    (secrets / "http-api-key").chmod(0o644)
    result = _run(application, ["doctor", "--json", "--data", str(tmp_path)])
    # What else runs in this process may log meanwhile.
    report, _ = json.JSONDecoder().raw_decode(result.output[result.output.index("{") :])
    assert result.exit_code == 1
    (check,) = [one for one in report["checks"] if one["name"] == "http-api-key"]
    assert check["verdict"] == "error"
    assert check["remedy"].startswith("chmod go=")


def test_what_the_library_does_not_keep_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WHATSAPP_LIBRARY_PATCHES_OFF", "pictures_removed")
    whole, missing = library(ROOT)
    assert whole.verdict is Verdict.OK
    assert "6 of 7 promises kept" in whole.found
    assert missing.name == "pictures_removed"
    assert missing.verdict is Verdict.WARNING
    assert "501" in missing.found
    assert "switched off" in missing.found


def test_a_library_that_cannot_be_loaded_is_an_error(tmp_path: Path) -> None:
    (check,) = library(tmp_path)
    assert check.verdict is Verdict.ERROR
    assert check.remedy


@pytest.mark.parametrize(("sessions", "verdict"), [(8, Verdict.OK), (100, Verdict.WARNING)])
def test_connections_that_the_sessions_may_take_are_counted(
    sessions: int, verdict: Verdict
) -> None:
    facts = ServerFacts(
        version="18",
        number=180000,
        fsync=True,
        full_page_writes=True,
        synchronous_commit="on",
        synchronous_standby_names="",
        replicas=0,
        synchronous_replicas=0,
        max_connections=100,
        connections=30,
        sessions=sessions,
        nodes=3,
        ahead=0.0,
        migrations=99,
        knows_its_life=True,
    )
    (check,) = [one for one in judged(facts, Settings()) if one.name == "connections"]
    assert check.verdict is verdict
    most = {8: 89, 100: 549}[sessions]
    assert f"{sessions} sessions on 3 nodes hold {most} at most" in check.found

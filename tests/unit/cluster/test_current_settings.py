"""`Settings.current`: what a forked process has of its zygote, as fresh as the constructor."""

from __future__ import annotations

from pathlib import Path

import pytest

import cluster.settings
from cluster.settings import Settings


@pytest.fixture(autouse=True)
def _nothing_read(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Settings, "_latest", None)


def test_is_read_once_while_nothing_changes() -> None:
    first, second = Settings.current(), Settings.current()
    assert first is not second
    assert all(second_group is vars(first)[name] for name, second_group in vars(second).items())


def test_a_changed_variable_is_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LEASE_TTL_SECONDS", "7")
    assert Settings.current().lease.ttl_seconds == 7
    monkeypatch.setenv("lease_ttl_seconds", "8")
    monkeypatch.delenv("LEASE_TTL_SECONDS")
    assert Settings.current().lease.ttl_seconds == 8
    monkeypatch.delenv("lease_ttl_seconds")
    assert Settings.current().lease.ttl_seconds == Settings().lease.ttl_seconds


def test_a_changed_file_is_seen(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "gateway.env"
    monkeypatch.setattr(cluster.settings, "_ENV_FILE", str(file))
    before = Settings.current()
    file.write_text("# anything\n")
    after = Settings.current()
    assert before.stores is not after.stores


def test_a_group_put_in_place_of_one_is_nobody_elses() -> None:
    mine = Settings.current()
    mine.stores = mine.stores.model_copy(update={"database_pool_max": 1})
    assert Settings.current().stores.database_pool_max != 1


def test_variables_of_nobody_change_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    before = Settings.current()
    monkeypatch.setenv("RAY_JOB_ID", "02000000")
    assert Settings.current().stores is before.stores

"""Sessions without the library."""

from __future__ import annotations

import base64
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio
from pydantic import SecretStr
from unplugged import Running, start

from cluster.domain.session import SessionRecord
from cluster.settings import CheckpointSettings, LeaseSettings, Settings
from cluster.stores import Stores

_KEYS = "test:" + base64.b64encode(bytes(32)).decode()


@pytest.fixture
def settings(store_settings: Settings, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Settings:
    monkeypatch.setenv("GATEWAY_DATA_DIR", str(tmp_path))
    return Settings(
        stores=store_settings.stores,
        checkpoint=CheckpointSettings(keys=SecretStr(_KEYS)),
        # A busy machine is no lost lease.
        lease=LeaseSettings(ttl_seconds=60, fence_margin_seconds=20, kill_margin_seconds=5),
    )


@pytest_asyncio.fixture
async def running(
    record: SessionRecord, stores: Stores, settings: Settings
) -> AsyncIterator[Running]:
    one = start(record, stores, settings)
    await one.works()
    yield one
    one.session.stop()
    await one.task

"""A session, and one that the test owns."""

from __future__ import annotations

from collections.abc import Callable

import pytest_asyncio
from owned_session import TTL, Owned

from cluster.domain.session import DesiredState, SessionRecord
from cluster.stores import Stores


@pytest_asyncio.fixture
async def record(stores: Stores, session_name: Callable[[], str]) -> SessionRecord:
    return await stores.sessions.create("default", session_name(), {}, DesiredState.RUNNING)


@pytest_asyncio.fixture
async def owned(stores: Stores, record: SessionRecord) -> Owned:
    claim = await stores.ownership.claim(record.id, "node-a", "holder-a", TTL)
    return Owned(stores=stores, record=record, epoch=claim.epoch)

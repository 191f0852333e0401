"""The SQL of ownership does what the searched model of it says."""

from __future__ import annotations

import random
from datetime import timedelta

import lease_model
import pytest

from cluster.domain.session import SessionRecord
from cluster.stores import Stores

#: A tick of the model is long against the test, so that no lease ends in it.
TTL = timedelta(hours=1)
#: A tick more of a lease.
AWAY = timedelta(hours=2)


async def row_of(stores: Stores, record: SessionRecord) -> timedelta:
    row = await stores.db.one(
        "SELECT lease_ttl FROM ownership WHERE session_id = %(id)s", {"id": record.id}
    )
    assert row is not None
    return timedelta(seconds=row["lease_ttl"].total_seconds())


@pytest.mark.parametrize("seed", range(5))
async def test_random_histories_end_alike(stores: Stores, record: SessionRecord, seed: int) -> None:
    choose = random.Random(seed)
    model, ownership = lease_model.Store(), stores.ownership
    for _ in range(40):
        epoch = choose.randint(max(0, model.epoch - 2), model.epoch)
        longer = choose.randint(0, 1)
        action = choose.choice(["claim", "renew", "release", "waited"])
        if action == "claim":
            claim = await ownership.claim(record.id, "node", "holder", TTL)
            free = model.free
            model, remaining, handed_over = model.claim()
            assert claim.connect_after == TTL * bool(remaining) + AWAY * max(
                0, remaining - lease_model.TTL
            )
            assert claim.epoch == model.epoch
            assert (claim.connect_after > timedelta()) == (remaining > 0)
            assert claim.previous_was_free == free
            assert claim.handed_over == handed_over
        elif action == "renew":
            renewed = await ownership.renew(record.id, epoch, TTL, AWAY * longer)
            assert (renewed is not None) == model.renew(epoch)
            model = model.lengthened(epoch, lease_model.TTL + longer)
            if model.epoch:
                longer = model.lease - lease_model.TTL
                assert await row_of(stores, record) == TTL + AWAY * longer
        elif action == "waited":
            assert await ownership.waited(record.id, epoch) == (epoch == model.epoch)
            model = model.waited(epoch)
        elif model.epoch:
            clean = choose.random() < 0.5
            mine = epoch == model.epoch
            model = model.release(epoch, clean=clean)
            assert await ownership.release(record.id, epoch, clean=clean) == mine
    assert await ownership.newest_epoch(record.id) == model.epoch

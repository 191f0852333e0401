"""What a session left on a node reaches its owner elsewhere, and nothing else is touched."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

from owned_session import TTL

from actors.agent.orphaned_spools import OrphanedSpools
from actors.session.device_store import DeviceFolder
from actors.session.spool import Spool
from cluster.domain.session import SessionRecord
from cluster.stores import Stores

HERE, THERE = "a" * 56, "b" * 56


class Owner:
    """Takes what it is given."""

    def __init__(self) -> None:
        self.got: list[bytes] = []

    async def adopt(self, record: SessionRecord, entries: list[bytes]) -> None:
        self.got += entries


async def _left(stores: Stores, record: SessionRecord, root: Path) -> DeviceFolder:
    """A process on this node received a message and did not commit it."""
    claim = await stores.ownership.claim(record.id, HERE, "dead", timedelta())
    folder = DeviceFolder.take(root, record.id, claim.epoch)
    Spool(folder.spool, limit=1000).add(b"received")
    return folder


async def test_what_a_session_left_behind_is_given_to_its_owner_and_removed(
    stores: Stores, record: SessionRecord, tmp_path: Path
) -> None:
    folder = await _left(stores, record, tmp_path)
    folder.release()
    await stores.ownership.claim(record.id, THERE, "holder", TTL)
    owner = Owner()
    await OrphanedSpools(stores, tmp_path, HERE, owner.adopt).poll()
    assert owner.got == [b"received"]
    assert not folder.path.exists()


async def test_what_a_process_of_this_node_will_handle_is_left_alone(
    stores: Stores, record: SessionRecord, tmp_path: Path
) -> None:
    folder = await _left(stores, record, tmp_path)
    owner = Owner()
    orphaned_spools = OrphanedSpools(stores, tmp_path, HERE, owner.adopt)
    await orphaned_spools.poll()
    folder.release()
    await orphaned_spools.poll()
    await stores.ownership.claim(record.id, HERE, "holder", TTL)
    await orphaned_spools.poll()
    assert owner.got == []
    assert folder.spool.exists()


async def test_what_a_process_left_after_its_successor_here_had_read_is_given_to_that(
    stores: Stores, record: SessionRecord, tmp_path: Path
) -> None:
    before = await _left(stores, record, tmp_path)
    claim = await stores.ownership.claim(record.id, HERE, "holder", TTL)
    # The predecessor still holds its folder, and ends between the successor's two readings.
    successor = DeviceFolder.take(tmp_path, record.id, claim.epoch)
    assert successor.leftover_spools() == []
    before.release()
    successor.discard_others()
    assert before.spool.exists(), "nobody has what is in it"
    owner = Owner()
    await OrphanedSpools(stores, tmp_path, HERE, owner.adopt).poll()
    assert owner.got == [b"received"]
    assert not before.path.exists()
    assert successor.path.exists()

"""Whose device store may be trusted."""

from __future__ import annotations

import json
from pathlib import Path

from actors.session.device_store import DeviceFolder


def used(root: Path, epoch: int, content: str) -> DeviceFolder:
    folder = DeviceFolder.take(root, 1, epoch)
    folder.database.write_text(content)
    return folder


def test_the_direct_successor_on_the_same_node_takes_the_store_as_it_is(tmp_path: Path) -> None:
    used(tmp_path, 1, "latest").release()
    successor = DeviceFolder.take(tmp_path, 1, 2)
    assert successor.intact
    assert successor.database.read_text() == "latest"


def test_a_store_that_skipped_an_owner_is_not_trusted(tmp_path: Path) -> None:
    used(tmp_path, 1, "old").release()
    later = DeviceFolder.take(tmp_path, 1, 3)
    assert not later.intact
    assert not later.database.exists()


def test_a_store_that_its_owner_still_holds_is_not_taken(tmp_path: Path) -> None:
    holder = used(tmp_path, 1, "held")
    successor = DeviceFolder.take(tmp_path, 1, 2)
    assert not successor.intact
    successor.discard_others()
    assert holder.database.read_text() == "held"


def test_a_store_from_before_a_reboot_is_not_trusted(tmp_path: Path) -> None:
    folder = used(tmp_path, 1, "unsynced")
    (folder.path / "owner.json").write_text(json.dumps({"boot": "another boot"}))
    folder.release()
    assert not DeviceFolder.take(tmp_path, 1, 2).intact


def test_folders_of_earlier_owners_are_removed(tmp_path: Path) -> None:
    used(tmp_path, 1, "old").release()
    later = DeviceFolder.take(tmp_path, 1, 5)
    later.discard_others()
    assert [p.name for p in (tmp_path / "devices" / "1").iterdir()] == ["5"]


def test_received_messages_go_only_when_they_were_taken(tmp_path: Path) -> None:
    old = used(tmp_path, 1, "old")
    old.spool.write_bytes(b"cmVjZWl2ZWQ=\n")
    old.release()
    later = DeviceFolder.take(tmp_path, 1, 5)
    later.discard_others()
    assert later.leftover_spools() == [old.spool]
    later.spools_taken.add(old.spool)
    later.discard_others()
    assert not old.path.exists()


def test_others_on_the_host_cannot_read_it(tmp_path: Path) -> None:
    folder = DeviceFolder.take(tmp_path, 1, 1)
    assert folder.path.stat().st_mode & 0o077 == 0

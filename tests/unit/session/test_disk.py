"""The disk check of a node whose data folder nobody has made yet."""

from __future__ import annotations

from pathlib import Path

from actors.session.disk import nearly_full


def test_a_folder_that_is_yet_to_be_made_is_judged_by_its_disk(tmp_path: Path) -> None:
    folder = tmp_path / "not" / "yet"
    assert not nearly_full(folder, 0)
    assert nearly_full(folder, 1 << 62)

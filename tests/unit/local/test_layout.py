"""The data folder: closed, of one kind of WhatsApp, with room for Ray's sockets."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from pathlib import Path

import pytest

from cluster.domain.errors import Conflict, Invalid
from cluster.local.layout import Layout


@pytest.fixture
def layout(tmp_path: Path) -> Iterator[Layout]:
    layout = Layout.at(tmp_path / "data")
    layout.prepare()
    yield layout
    layout.ray.rmdir()


def test_nobody_else_can_look_inside(layout: Layout) -> None:
    for folder in (layout.secrets, layout.logs, layout.sandbox, layout.ray):
        assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    assert not layout.data.stat().st_mode & (stat.S_IROTH | stat.S_IWOTH)


def test_a_real_session_is_never_shown_to_the_sandbox(layout: Layout) -> None:
    layout.claim(sandbox=False)
    layout.claim(sandbox=False)
    with pytest.raises(Conflict, match="belong to whatsapp"):
        layout.claim(sandbox=True)


def test_rays_folder_is_short_whatever_the_data_folder(tmp_path: Path) -> None:
    deep = Layout.at(tmp_path.joinpath(*["a-long-name-of-a-folder"] * 8))
    assert len(str(deep.ray)) <= 60
    assert deep.ray != Layout.at(tmp_path).ray


@pytest.mark.skipif(os.geteuid() != 0, reason="only root runs PostgreSQL as another user")
def test_root_is_told_of_a_folder_that_postgres_cannot_enter(tmp_path: Path) -> None:
    closed = tmp_path / "closed"
    closed.mkdir(mode=0o700)
    layout = Layout.at(closed / "data")
    layout.prepare()
    layout.ray.rmdir()
    with pytest.raises(Invalid, match="DATABASE_URL"):
        layout.check_postgres_can_reach()

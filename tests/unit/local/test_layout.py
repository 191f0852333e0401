"""The data folder: closed, of one kind of WhatsApp, with room for Ray's sockets."""

from __future__ import annotations

import os
import shutil
import stat
from collections.abc import Iterator
from pathlib import Path

import pytest
from ray._common.utils import try_to_create_directory
from ray._private.utils import validate_socket_filepath

from cluster.domain.errors import Conflict, Invalid
from ops.local.layout import Layout


@pytest.fixture
def layout(tmp_path: Path) -> Iterator[Layout]:
    layout = Layout.at(tmp_path / "data")
    layout.prepare()
    yield layout
    shutil.rmtree(layout.short)


def test_nobody_else_gets_inside(layout: Layout) -> None:
    for folder in (layout.secrets, layout.logs, layout.sandbox, layout.short, layout.haproxy):
        assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    assert not layout.data.stat().st_mode & (stat.S_IROTH | stat.S_IWOTH)
    assert not layout.exposures()


def test_what_ray_opens_to_everybody_is_behind_a_folder_that_it_does_not_touch(
    layout: Layout,
) -> None:
    try_to_create_directory(str(layout.ray / "session_1" / "sockets"))
    try_to_create_directory(str(layout.ray))
    assert stat.S_IMODE(layout.ray.stat().st_mode) == 0o777
    assert not layout.exposures()
    assert not layout.haproxy.is_relative_to(layout.ray)


def test_a_folder_of_an_earlier_version_is_closed(layout: Layout) -> None:
    layout.short.chmod(0o777)
    assert [one.path for one in layout.exposures()] == [layout.short]
    layout.prepare()
    assert not layout.exposures()


def test_a_real_session_is_never_shown_to_the_sandbox(layout: Layout) -> None:
    layout.claim(sandbox=False)
    layout.claim(sandbox=False)
    with pytest.raises(Conflict, match="belong to whatsapp"):
        layout.claim(sandbox=True)


@pytest.mark.parametrize("temporary", ["/t", "/scratch", "/a/long/way/to/the/temporary/folder"])
def test_sockets_have_room_whatever_the_folders(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, temporary: str
) -> None:
    monkeypatch.setattr("tempfile.gettempdir", lambda: temporary)
    deep = Layout.at(tmp_path.joinpath(*["a-long-name-of-a-folder"] * 8))
    session = "session_2026-11-28_14-47-04_123456_4194304"  # the largest process id
    validate_socket_filepath(f"{deep.ray}/{session}/sockets/plasma_store.node-16.1")
    validate_socket_filepath(f"{deep.haproxy}/{'f' * 56}/a.s.4194304.tmp")
    assert deep.short != Layout.at(tmp_path).short


@pytest.mark.skipif(os.geteuid() != 0, reason="only root runs PostgreSQL as another user")
def test_root_is_refused_a_folder_that_postgres_cannot_enter(tmp_path: Path) -> None:
    closed = tmp_path / "closed"
    closed.mkdir(mode=0o700)
    layout = Layout.at(closed / "data")
    layout.prepare()
    shutil.rmtree(layout.short)
    with pytest.raises(Invalid, match="DATABASE_URL"):
        layout.check_postgres_can_reach()

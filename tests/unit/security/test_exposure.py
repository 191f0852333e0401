"""What other users can reach of files, by owner and mode."""

from __future__ import annotations

import os
import socket
from pathlib import Path

import pytest

from cluster.domain.errors import Invalid
from cluster.security.exposure import exposures, private_folder

pytestmark = pytest.mark.attack


@pytest.fixture
def passable(tmp_path: Path) -> Path:
    """A folder others can pass through, and not look around in."""
    folder = tmp_path / "passable"
    folder.mkdir()
    folder.chmod(0o711)
    return folder


def _found(root: Path) -> dict[str, str]:
    return {one.path.name: one.how for one in exposures(root)}


def test_each_kind_of_entry_that_is_open(passable: Path) -> None:
    for name, mode in {"mine": 0o600, "read": 0o604, "written": 0o602, "run": 0o711}.items():
        file = passable / name
        file.touch()
        file.chmod(mode)
    for name, mode in {"closed": 0o700, "pass": 0o711, "listed": 0o755, "filled": 0o733}.items():
        folder = passable / name
        folder.mkdir()
        (folder / f"in-{name}").touch(mode=0o666)
        (folder / f"in-{name}").chmod(0o666)
        folder.chmod(mode)
    assert _found(passable) == {
        "read": "others can read it",
        "written": "others can change it",
        "in-pass": "others can change it",
        "listed": "others can list it",
        "in-listed": "others can change it",
        "filled": "others can change it",
        "in-filled": "others can change it",
    }


def test_a_socket_is_open_to_those_who_may_write(
    passable: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(passable)
    with socket.socket(socket.AF_UNIX) as open_one, socket.socket(socket.AF_UNIX) as closed_one:
        open_one.bind("open")
        closed_one.bind("closed")
        Path("open").chmod(0o666)
        Path("closed").chmod(0o600)
        assert _found(passable) == {"open": "others can connect to it"}


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give files away")
def test_what_belongs_to_another_is_reported(passable: Path) -> None:
    (passable / "theirs").touch(mode=0o600)
    os.chown(passable / "theirs", 12345, 12345)
    assert _found(passable) == {"theirs": "belongs to uid 12345"}
    assert not list(exposures(passable, owners={12345}))


def test_a_private_folder_is_closed_and_made_once(tmp_path: Path) -> None:
    folder = tmp_path / "one"
    private_folder(folder)
    folder.chmod(0o777)
    private_folder(folder)
    assert folder.stat().st_mode & 0o777 == 0o700


def test_no_private_folder_where_others_put_theirs_in_its_place(tmp_path: Path) -> None:
    everybodys = tmp_path / "everybodys"
    everybodys.mkdir()
    everybodys.chmod(0o777)
    with pytest.raises(Invalid, match="everybody can replace"):
        private_folder(everybodys / "one")
    everybodys.chmod(0o1777)
    private_folder(everybodys / "one")
    (everybodys / "link").symlink_to(everybodys / "one")
    with pytest.raises(Invalid, match="belongs to somebody else"):
        private_folder(everybodys / "link")


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give files away")
def test_no_private_folder_that_was_made_by_another(tmp_path: Path) -> None:
    (tmp_path / "one").mkdir(mode=0o700)
    os.chown(tmp_path / "one", 12345, 12345)
    with pytest.raises(Invalid, match="belongs to somebody else"):
        private_folder(tmp_path / "one")

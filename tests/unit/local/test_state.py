"""The state file: whole at any moment, and nobody else's to read."""

from __future__ import annotations

import os
import stat
from pathlib import Path

from ops.embedded.process import ProcessId
from ops.local.state import Phase, State


def _state() -> State:
    host = ProcessId.of(os.getpid())
    assert host is not None
    return State(run="r", host=host, api_key="the-key")


def test_it_is_read_as_it_was_written(tmp_path: Path) -> None:
    state = _state()
    state.write(tmp_path / "state.json")
    assert State.read(tmp_path / "state.json") == state


def test_only_its_owner_can_read_it(tmp_path: Path) -> None:
    path = tmp_path / "state.json"
    path.write_text("")
    path.chmod(0o644)
    _state().write(path)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert list(tmp_path.iterdir()) == [path]


def test_the_key_is_in_no_repr() -> None:
    assert "the-key" not in repr(_state())


def test_none_where_there_is_none_or_another_version(tmp_path: Path) -> None:
    assert State.read(tmp_path / "state.json") is None
    (tmp_path / "state.json").write_text('{"version": 99}')
    assert State.read(tmp_path / "state.json") is None


def test_starting_phases_come_before_up() -> None:
    starting = Phase.starting()
    assert starting[0] is Phase.CLEANING
    assert starting[-2:] == [Phase.HTTP, Phase.SUPERVISOR]
    assert not {Phase.UP, Phase.STOPPING, Phase.DOWN, Phase.FAILED} & set(starting)

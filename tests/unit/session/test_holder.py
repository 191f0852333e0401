"""A holder is dead only when that is proven."""

from __future__ import annotations

import subprocess
import sys

from actors.session.holder import holder_id, is_dead


def test_this_process_is_alive() -> None:
    assert not is_dead(holder_id())


def test_an_ended_process_of_this_host_is_dead() -> None:
    code = "from actors.session.holder import holder_id; print(holder_id())"
    ended = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert is_dead(ended.stdout.strip())


def test_a_reused_pid_is_not_mistaken_for_the_holder() -> None:
    host, _, _start = holder_id().rpartition("/")
    assert is_dead(f"{host}/1")


def test_nothing_is_known_of_another_host() -> None:
    _, _, rest = holder_id().partition("/")
    assert not is_dead(f"another-boot/{rest}")
    assert not is_dead("")

"""A holder is dead only when that is proven."""

from __future__ import annotations

import signal
import subprocess
import sys

from actors.process_identity import end, holder_id, is_dead


def test_this_process_is_alive() -> None:
    assert not is_dead(holder_id())


def test_a_process_is_ended_only_while_it_is_that_one() -> None:
    code = (
        "from actors.process_identity import holder_id; print(holder_id(), flush=True);"
        "import time; time.sleep(60)"
    )
    process = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True)
    try:
        assert process.stdout is not None
        holder = process.stdout.readline().strip()
        host, _, started = holder.rpartition("/")
        for other in (f"{host}/{int(started) - 1}", f"another-boot/{holder}", "", "x", holder_id()):
            assert not end(other), other
        assert process.poll() is None
        assert end(holder)
        assert process.wait(10) == -signal.SIGKILL
        assert is_dead(holder)
        assert not end(holder)
    finally:
        process.kill()


def test_an_ended_process_of_this_host_is_dead() -> None:
    code = "from actors.process_identity import holder_id; print(holder_id())"
    ended = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert is_dead(ended.stdout.strip())


def test_a_reused_pid_is_not_mistaken_for_the_holder() -> None:
    host, _, _start = holder_id().rpartition("/")
    assert is_dead(f"{host}/1")


def test_nothing_is_known_of_another_host() -> None:
    _, _, rest = holder_id().partition("/")
    assert not is_dead(f"another-boot/{rest}")
    assert is_dead(f"another-boot/{rest}", one_machine=True)
    assert not is_dead("")
    assert not is_dead("", one_machine=True)
    assert not is_dead(holder_id(), one_machine=True)

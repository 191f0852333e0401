"""A program that is loaded before it may run."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from waiting import until

from cluster.domain.errors import Unavailable
from ops.local.machine import COMMANDS
from ops.local.steps import Step, run_module

_PROGRAM = """
import pathlib, sys
pathlib.Path("{folder}/loaded").touch()
def main():
    pathlib.Path("{folder}/ran").write_text(" ".join(sys.argv[1:]))
    {then}
"""


@pytest.fixture
def program(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    path = tmp_path / "of_a_test.py"
    path.write_text(_PROGRAM.format(folder=tmp_path, then="pass"))
    return path


def _loaded(folder: Path) -> bool:
    return (folder / "loaded").exists()


async def test_it_is_loaded_at_once_and_runs_when_asked(program: Path) -> None:
    folder = program.parent
    step = Step("of_a_test", "--stop", "now", output=folder / "log")
    await until(lambda: _loaded(folder), seconds=60)
    assert not (folder / "ran").exists()
    step.run(timeout=60)
    assert (folder / "ran").read_text() == "--stop now"


def test_one_that_is_loaded_beside_others_yields_to_them(program: Path) -> None:
    folder = program.parent
    then = "import os; print(os.nice(0))"
    program.write_text(_PROGRAM.format(folder=folder, then=then))
    Step("of_a_test", output=folder / "log", nice=3).run(timeout=60)
    assert (folder / "log").read_text().split() == [str(os.nice(0) + 3)]


def test_two_run_at_once(program: Path) -> None:
    folder = program.parent
    meet = (
        "import time; here = pathlib.Path(sys.argv[1]); here.touch()\n"
        "    while len(list(here.parent.glob('meets-*'))) < 2: time.sleep(0.01)"
    )
    program.write_text(_PROGRAM.format(folder=folder, then=meet))
    names = ("meets-1", "meets-2")
    both = [Step("of_a_test", str(folder / one), output=folder / "log") for one in names]
    for step in both:
        step.begin()
    for step in both:
        step.wait(timeout=60)


async def test_one_that_is_cancelled_never_runs(program: Path) -> None:
    folder = program.parent
    step = Step("of_a_test", output=folder / "log")
    await until(lambda: _loaded(folder), seconds=60)
    step.cancel()
    step.cancel()
    assert not (folder / "ran").exists()


def test_one_that_fails_names_its_log(program: Path) -> None:
    folder = program.parent
    program.write_text(_PROGRAM.format(folder=folder, then="sys.exit(3)"))
    with pytest.raises(Unavailable, match=r"of_a_test failed; see .*log"):
        run_module("of_a_test", timeout=60, output=folder / "log")


def test_one_that_takes_too_long_is_ended(program: Path) -> None:
    folder = program.parent
    program.write_text(_PROGRAM.format(folder=folder, then="import time; time.sleep(60)"))
    with pytest.raises(Unavailable, match="longer than 3 s"):
        run_module("of_a_test", timeout=3, output=folder / "log")


def test_the_command_line_runs_as_a_step(tmp_path: Path) -> None:
    """As a node's drain does when it is stopped."""
    run_module(COMMANDS, "version", timeout=60, output=tmp_path / "log")
    assert (tmp_path / "log").read_text().startswith("whatsapp-session-gateway ")

"""Programs of ours as forks of a zygote that began before its raylet."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import TypeAlias

import psutil
import pytest
from waiting import until

from actors.zygote import launch
from actors.zygote.program import ForkedProgram, NoZygote
from ops.local.layout import ROOT
from ops.local.steps import Step

_SECONDS = 90.0
_Node: TypeAlias = tuple[Path, subprocess.Popen[bytes]]


@pytest.fixture(scope="module")
def node(
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[tuple[Path, subprocess.Popen[bytes]]]:
    """Data folder and process of a node whose raylet has not begun."""
    data = tmp_path_factory.mktemp("node")
    with subprocess.Popen(["sleep", "600"]) as process:
        environment = {
            **os.environ,
            "PYTHONPATH": os.pathsep.join([str(ROOT), str(data)]),
            "GATEWAY_ENV_FILE": os.devnull,
            "GATEWAY_DATA_DIR": str(data),
            launch.NODE: str(process.pid),
        }
        launch.begin(environment, launch.FRONT)
        yield data, process
        process.kill()


def _program(data: Path, name: str, code: str) -> str:
    (data / f"{name}.py").write_text(code)
    return name


def _fork(
    data: Path, module: str, *arguments: str, text: bytes = b""
) -> tuple[ForkedProgram, Path]:
    output = data / f"{module}.out"
    there, here = os.pipe()
    os.write(here, text)
    os.close(here)
    try:
        with output.open("wb") as sink:
            program = ForkedProgram(
                data, *(module, *arguments), folder=data, stdin=there, output=sink.fileno()
            )
    finally:
        os.close(there)
    return program, output


def test_it_runs_as_python_would_run_it(node: _Node) -> None:
    data, _ = node
    code = (
        "import os, sys, atexit\n"
        "atexit.register(print, 'at the end')\n"
        "print(__name__, sys.argv, input(), 'serve_app' in sys.modules, os.getcwd())\n"
        "print('RAY_JOB_ID' in os.environ, 'GATEWAY_FORK' in os.environ)\n"
        "sys.exit(3)\n"
    )
    program, output = _fork(data, _program(data, "it_runs", code), "--one", text=b"a line\n")
    assert program.wait(_SECONDS) == 3
    said = f"__main__ ['{data}/it_runs.py', '--one'] a line True {data}\nFalse False\nat the end\n"
    assert output.read_text() == said


@pytest.mark.parametrize(
    ("code", "expected", "said"),
    [
        ("print('fine')", 0, "fine"),
        ("raise RuntimeError('broken')", 1, "RuntimeError: broken"),
        ("import sys; sys.exit('why')", 1, "why"),
        ("import os, signal; os.kill(os.getpid(), signal.SIGKILL)", -9, ""),
    ],
    ids=["fine", "broken", "words", "killed"],
)
def test_how_it_ended_is_reported(node: _Node, code: str, expected: int, said: str) -> None:
    data, _ = node
    program, output = _fork(data, _program(data, f"it_ends_{abs(expected)}_{len(said)}", code))
    assert program.wait(_SECONDS) == expected
    assert said in output.read_text()


async def test_one_that_takes_too_long_is_killed(node: _Node) -> None:
    data, _ = node
    code = "import os, time; print(os.getpid(), flush=True); time.sleep(600)"
    program, output = _fork(data, _program(data, "it_takes_long", code))
    await until(lambda: output.read_text().endswith("\n"), seconds=_SECONDS)
    with pytest.raises(subprocess.TimeoutExpired):
        program.wait(0.1)
    program.kill()
    program.kill()
    pid = int(output.read_text())
    await until(lambda: not psutil.pid_exists(pid), seconds=10)


def test_a_step_is_forked(node: _Node, tmp_path: Path) -> None:
    data, _ = node
    code = "import actors.zygote\ndef main() -> None:\n    print('forked', actors.zygote.forked)\n"
    log = tmp_path / "log"
    step = Step(_program(data, "a_step", code), output=log, node=data)
    step.run(timeout=_SECONDS)
    assert log.read_text() == "forked True\n"


def test_a_step_without_a_zygote_runs_plainly(
    node: _Node, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(ROOT), str(tmp_path)]))
    code = "import sys\ndef main() -> None:\n    print(sys.argv[1:])\n"
    log = tmp_path / "log"
    step = Step(_program(tmp_path, "plainly", code), "--x", output=log, node=tmp_path)
    step.run(timeout=_SECONDS)
    assert log.read_text() == "['--x']\n"


def test_a_folder_that_others_may_write_to_is_not_asked(tmp_path: Path) -> None:
    (tmp_path / "zygote").mkdir()
    (tmp_path / "zygote").chmod(0o777)
    with pytest.raises(NoZygote, match="not this user's alone"):
        _fork(tmp_path, "nothing")


async def test_z_it_ends_with_its_node(node: _Node) -> None:
    data, process = node
    assert len(launch.zygotes(data)) == 1
    process.kill()
    process.wait()
    await until(lambda: not launch.zygotes(data), seconds=30)
    with pytest.raises(NoZygote):
        _fork(data, "nothing")

"""Programs of ours as forks of a zygote that began before its raylet."""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TypeAlias

import psutil
import pytest
from waiting import until

from actors.zygote import launch
from actors.zygote.program import ForkedProgram, NoZygote
from ops.local import forked_agent, ray_watch
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


@contextlib.contextmanager
def _lasting_as_long_as(program: ForkedProgram) -> Iterator[subprocess.Popen[bytes]]:
    """What a raylet has in the place of an agent that is a fork; this process is the raylet."""
    fork = program.hand_over(_SECONDS)
    with subprocess.Popen(
        [sys.executable, "-I", "-S", ray_watch.__file__, "forked-agent", str(fork)],
        env={**os.environ, "RAY_RAYLET_PID": str(os.getpid())},
        pass_fds=[fork],
    ) as process:
        os.close(fork)
        try:
            yield process
        finally:
            process.kill()


def test_an_agent_that_is_a_fork_is_a_process_of_its_raylet(node: _Node) -> None:
    """The raylet ends with its agents: so it does when a fork ends, and no earlier."""
    data, _ = node
    code = "import os, sys; print(os.getpid(), flush=True); sys.stdin.readline()"
    there, here = os.pipe()
    output = data / "agent.out"
    with output.open("wb") as sink:
        program = ForkedProgram(
            data, _program(data, "agent", code), folder=data, stdin=there, output=sink.fileno()
        )
    os.close(there)
    with _lasting_as_long_as(program) as process:
        with pytest.raises(subprocess.TimeoutExpired):
            process.wait(0.5)
        os.close(here)
        assert process.wait(_SECONDS) == 1


def test_without_a_zygote_the_agent_is_the_program_that_ray_would_start(tmp_path: Path) -> None:
    script = tmp_path / "ray/_private/runtime_env/agent/main.py"
    script.parent.mkdir(parents=True)
    script.write_text("import sys; print(sys.argv[1:])")
    command = [sys.executable, str(script), "--node-id=1"]
    started = subprocess.run(
        [sys.executable, "-I", "-S", forked_agent.__file__, str(tmp_path), *command],
        capture_output=True,
        text=True,
        check=True,
        timeout=_SECONDS,
    )
    assert started.stdout == "['--node-id=1']\n"
    assert "not forked" in started.stderr


async def test_z_it_ends_with_its_node(node: _Node) -> None:
    data, process = node
    assert len(launch.zygotes(data)) == 1
    process.kill()
    process.wait()
    await until(lambda: not launch.zygotes(data), seconds=30)
    with pytest.raises(NoZygote):
        _fork(data, "nothing")

"""`ray-cluster.yaml` without machines: its own start commands, as a head and workers on loopback.

What the launcher and the machines would bring is put in its place: addresses, names, folders.
"""

from __future__ import annotations

import contextlib
import os
import shlex
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil
import yaml

from ops.embedded.process import ProcessId, free_ports
from ops.local.layout import ROOT
from ops.local.processes import descendants
from ops.local.state import Phase, State

__all__ = ["LaunchedCluster"]

_FILE = ROOT / "ray-cluster.yaml"
_START_SECONDS = 180.0
_STOP_SECONDS = 60.0


class LaunchedCluster:
    """A head without sessions, and workers."""

    def __init__(self, folder: Path, settings: dict[str, str], *, redis: str) -> None:
        """`settings`: what stands in /etc/gateway.env; `redis`: password@host:port of the Redis
        that keeps what the GCS knows."""
        self._folder = folder
        self._file = yaml.safe_load(_FILE.read_text())
        (self.port,) = free_ports(1)
        password, _, address = redis.rpartition("@")
        folder.mkdir(mode=0o711, parents=True, exist_ok=True)
        environment = {
            **settings,
            "RAY_AUTH_TOKEN": os.urandom(32).hex(),
            "RAY_REDIS_ADDRESS": address,
            "RAY_REDIS_PASSWORD": password,
        }
        self._env_file = folder / "gateway.env"
        self._env_file.touch(mode=0o600)
        self._env_file.write_text(
            "".join(f"{name}={shlex.quote(value)}\n" for name, value in environment.items())
        )
        self._nodes: dict[str, psutil.Popen] = {}

    def start_head(self) -> None:
        """Start the head; returns when supervisor and front are there."""
        (start,) = self._file["head_start_ray_commands"]
        self._start("head", start, f"--port={self.port}", "--drain=0")
        self._until_up("head")

    def start_worker(self, name: str) -> None:
        (start,) = self._file["worker_start_ray_commands"]
        self._start(name, start, "--drain=0")
        self._until_up(name)

    def until_spread(self) -> None:
        """Returns when the front is on the nodes that were started."""
        names = {f'"{name}"' for name in self._nodes}
        deadline = time.monotonic() + _START_SECONDS
        while True:
            logged = (self._folder / "head.log").read_text(errors="replace").splitlines()
            spread = [line for line in logged if "machine.front_spread" in line]
            if spread and all(name in spread[-1] for name in names):
                return
            assert time.monotonic() < deadline, spread
            time.sleep(0.5)

    def shows(self, secret: str) -> list[str]:
        """Programs of the nodes that have it on their command lines, for every user to read."""
        found = []
        for node in self._nodes.values():
            for one in (node, *node.children(recursive=True)):
                with contextlib.suppress(psutil.NoSuchProcess):
                    if secret in " ".join(one.cmdline()):
                        found.append(one.name())
        return found

    def kill(self, name: str) -> None:
        """SIGKILL every process of a node, by the ids that are under what was started."""
        started = self._nodes.pop(name)
        root = ProcessId.of(started.pid)
        for one in descendants(root) if root else ():
            if one.alive:
                os.kill(one.pid, signal.SIGKILL)
        started.wait()

    def stop(self) -> None:
        for name in list(self._nodes):
            self._nodes[name].terminate()
            try:
                self._nodes[name].wait(_STOP_SECONDS)
            except psutil.TimeoutExpired:
                self.kill(name)

    def _start(self, name: str, command: str, *more: str) -> None:
        command = command.partition("./gateway ")[2]
        for there, here in {
            " --detach": "",
            "--autoscaling-config=~/ray_bootstrap_config.yaml": "",
            "$RAY_HEAD_IP": f"127.0.0.1:{self.port}",
        }.items():
            command = command.replace(there, here)
        with (self._folder / f"{name}.log").open("ab") as log:
            self._nodes[name] = psutil.Popen(
                [
                    *(sys.executable, "-m", "ops.cli", *command.split()),
                    *("--address=127.0.0.1", f"--name={name}", f"--settings={self._env_file}"),
                    *(f"--data={self._folder / name}", *more),
                ],
                cwd=ROOT,
                stdout=log,
                stderr=subprocess.STDOUT,
                env={**os.environ, "PYTHONPATH": str(ROOT)},
                start_new_session=True,
            )

    def _until_up(self, name: str) -> None:
        deadline = time.monotonic() + _START_SECONDS
        while True:
            state = State.read(self._folder / name / "state.json")
            ours = state is not None and state.host.pid == self._nodes[name].pid
            if ours and state is not None and state.phase is Phase.UP:
                return
            said = (self._folder / f"{name}.log").read_text(errors="replace")[-3000:]
            assert self._nodes[name].is_running(), f"{name} ended: {said}"
            assert time.monotonic() < deadline, f"{name} did not start: {said}"
            time.sleep(0.5)

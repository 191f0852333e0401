"""`ray-cluster.yaml` without machines: its own start commands, as a head and workers on loopback.

What the launcher and the machines would bring is put in its place: addresses, ports, names,
resources. `ray stop` is left out, because it ends every Ray of a machine.
"""

from __future__ import annotations

import json
import os
import shlex
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import psutil
import yaml

from cluster.embedded.process import free_ports
from cluster.local.kept_secrets import ray_token
from cluster.local.layout import ROOT
from cluster.local.processes import ProcessId, descendants, end_all
from cluster.local.ray_cluster import access

__all__ = ["LaunchedCluster"]

_FILE = ROOT / "ray-cluster.yaml"
_START_SECONDS = 120.0


class LaunchedCluster:
    """A head without sessions, and workers."""

    def __init__(self, folder: Path, settings: dict[str, str], *, redis: str) -> None:
        """`settings`: what stands in /etc/gateway.env; `redis`: password@host:port of the Redis
        that keeps what the GCS knows."""
        self._folder = folder
        self._file = yaml.safe_load(_FILE.read_text())
        (self.port,) = free_ports(1)
        password, _, address = redis.rpartition("@")
        self._password = password
        folder.mkdir(mode=0o711, parents=True, exist_ok=True)
        secrets = folder / "secrets"
        secrets.mkdir(mode=0o700, exist_ok=True)
        token, _ = ray_token(secrets)
        environment = {**settings, **access(token), "RAY_REDIS_ADDRESS": address}
        self._env_file = folder / "gateway.env"
        self._env_file.touch(mode=0o600)
        self._env_file.write_text(
            "".join(f"{name}={shlex.quote(value)}\n" for name, value in environment.items())
        )
        self._nodes: dict[str, psutil.Popen] = {}

    def start_head(self) -> None:
        """Start the head; returns when its GCS answers."""
        _, start, _ = self._file["head_start_ray_commands"]
        # The other nodes of this machine are no running head (docs/operations.md, the head).
        (self._folder / "r" / "ray_current_cluster").unlink(missing_ok=True)
        slots = self._file["available_node_types"]["head"]["resources"]
        self._start("head", start, slots, "--redis-password", self._password)
        self._until(self._gcs_answers, "head")

    def start_worker(self, name: str) -> None:
        _, start = self._file["worker_start_ray_commands"]
        self._start(name, start, self._file["available_node_types"]["sessions"]["resources"])

    def start_application(self) -> None:
        """Migrations, the supervisor and the HTTP front, as the launcher starts them."""
        _, _, application = self._file["head_start_ray_commands"]
        subprocess.run(
            ["/bin/bash", "-c", self._here(application, "head")],
            check=True,
            timeout=_START_SECONDS,
            env={**os.environ, "RAY_ADDRESS": f"127.0.0.1:{self.port}"},
        )

    def kill(self, name: str) -> None:
        """SIGKILL every process of a node, by the ids that are under what was started."""
        started = self._nodes.pop(name)
        root = ProcessId.of(started.pid)
        members = [one for one in descendants(root) if one.alive] if root else []
        for one in members:
            os.kill(one.pid, signal.SIGKILL)
        started.wait()

    def stop(self) -> None:
        for name in list(self._nodes):
            root = ProcessId.of(self._nodes[name].pid)
            if root is not None:
                end_all(descendants(root), patience=2.0)
            self._nodes.pop(name).wait()

    def _start(self, name: str, command: str, resources: dict[str, float], *more: str) -> None:
        manager, objects, agent, agent_grpc, runtime_env, metrics, client = free_ports(7)
        arguments = [
            *more,
            "--block",
            "--node-ip-address=127.0.0.1",
            f"--node-name={name}",
            f"--num-cpus={resources['CPU']}",
            f"--resources={json.dumps({'session_slots': resources['session_slots']})}",
            "--object-store-memory=100000000",
            f"--node-manager-port={manager}",
            f"--object-manager-port={objects}",
            f"--dashboard-agent-listen-port={agent}",
            f"--dashboard-agent-grpc-port={agent_grpc}",
            f"--runtime-env-agent-port={runtime_env}",
            f"--metrics-export-port={metrics}",
            *("--min-worker-port=0", "--max-worker-port=0"),
        ]
        if name == "head":
            arguments += [f"--ray-client-server-port={client}", f"--temp-dir={self._folder / 'r'}"]
        log = (self._folder / f"{name}.log").open("ab")
        self._nodes[name] = psutil.Popen(
            ["/bin/bash", "-c", f"{self._here(command, name)} {shlex.join(arguments)}"],
            stdout=log,
            stderr=subprocess.STDOUT,
            env={**os.environ, "RAY_HEAD_IP": "127.0.0.1"},
        )
        log.close()

    def _here(self, command: str, name: str) -> str:
        data = self._folder / name
        data.mkdir(mode=0o711, exist_ok=True)
        for there, here in {
            "--autoscaling-config=~/ray_bootstrap_config.yaml": "",
            ".venv/bin/ray start": f"{sys.executable} -m cluster.local.ray_start",
            ".venv/bin/python": sys.executable,
            "/opt/gateway": str(ROOT),
            "/etc/gateway.env": str(self._env_file),
            "/var/lib/gateway": str(data),
            "=6379": f"={self.port}",
            ":6379": f":{self.port}",
        }.items():
            command = command.replace(there, here)
        return command

    def _gcs_answers(self) -> bool:
        try:
            with socket.create_connection(("127.0.0.1", self.port), timeout=1):
                return True
        except OSError:
            return False

    def _said(self, name: str) -> str:
        return (self._folder / f"{name}.log").read_text(errors="replace")[-2000:]

    def _until(self, holds: Callable[[], bool], what: str) -> None:
        deadline = time.monotonic() + _START_SECONDS
        while not holds():
            assert time.monotonic() < deadline, f"{what} did not start: {self._said(what)}"
            time.sleep(0.5)

"""One Ray node: `ray start --block`, and what is under it."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import socket
import sys
from dataclasses import dataclass
from pathlib import Path

import psutil

from actors.zygote.launch import BEGUN
from ops.embedded.process import ProcessId, ServerProcess, free_ports
from ops.local.layout import Layout
from ops.local.part import Part
from ops.local.processes import descendants, end_all
from ops.local.ray_watch import FRONT_FORKED, NO_DASHBOARD, REGISTERED
from ops.local.state import PartState

__all__ = ["GCS_PORT", "OF_A_MACHINE", "Ports", "RayNode"]

_OBJECT_STORE_BYTES = 100_000_000
_LOOPBACK = "127.0.0.1"
#: Between the end of a node and its next start, while others can take its sessions.
_REST_SECONDS = 20.0
#: Sessions have stopped by then, and the rest has nothing to lose.
_FAMILY_SECONDS = 1.0
#: What nobody could look at is not gathered: Ray's figures go to the dashboard's agent, and what
#: became of tasks to the dashboard.
_WITHOUT_DASHBOARD = {
    NO_DASHBOARD: "1",
    "RAY_enable_metrics_collection": "0",
    "RAY_task_events_report_interval_ms": "0",
}
#: An agent that is a fork has another parent than its raylet, and learns of its end by a pipe.
_FORKING_FRONT = {
    FRONT_FORKED: "1",
    "RAY_enable_pipe_based_agent_to_parent_health_check": "1",
}


@dataclass(frozen=True, kw_only=True, slots=True)
class Ports:
    """What a node listens on, beside its workers' ports (0: any)."""

    manager: int
    objects: int
    agent: int
    agent_grpc: int
    runtime_env: int
    metrics: int
    first_worker: int = 0
    last_worker: int = 0

    @classmethod
    def free(cls) -> Ports:
        """For nodes that share a machine."""
        manager, objects, agent, agent_grpc, runtime_env, metrics = free_ports(6)
        return cls(
            manager=manager,
            objects=objects,
            agent=agent,
            agent_grpc=agent_grpc,
            runtime_env=runtime_env,
            metrics=metrics,
        )


#: Of a machine of its own: what its firewall opens to the cluster (docs/operations.md).
OF_A_MACHINE = Ports(
    manager=6380,
    objects=6381,
    agent=6382,
    agent_grpc=6383,
    runtime_env=6384,
    metrics=6385,
    first_worker=10002,
    last_worker=19999,
)
GCS_PORT, DASHBOARD_PORT = 6379, 8265


class RayNode(Part):
    """The head (without `head` and `cluster`), a further node of the head `head` on this machine,
    or a node of the cluster at `cluster` (host:port).

    On loopback it has ports that are free, elsewhere those of `OF_A_MACHINE`. A head of its own
    machine (`lasting`) keeps what its control store knows over its own end. Without `dashboard`
    there is neither that nor its agent, which exports Ray's figures (ray_start.py). `forks_front`:
    the zygote of Serve's processes begins with the node."""

    def __init__(
        self,
        name: str,
        layout: Layout,
        *,
        slots: int,
        head: RayNode | None = None,
        cluster: str = "",
        host: str = _LOOPBACK,
        gcs_port: int = 0,
        lasting: bool = False,
        autoscaling: Path | None = None,
        dashboard: bool = True,
        forks_front: bool = False,
    ) -> None:
        self._name = name
        self._layout = layout
        self._slots = slots
        self._head = head
        self._cluster = cluster
        self._host = host
        self._lasting = lasting
        self._autoscaling = autoscaling
        self._dashboard = dashboard
        self._forks_front = forks_front
        self._folder = layout.node(name)
        self._process = ServerProcess("ray", self._folder)
        self._family: frozenset[ProcessId] = frozenset()
        self._started = self._ever_started = False
        self._restarts = 0
        # The head keeps these: its address is in everybody's environment.
        if head or cluster:
            self._gcs_port = self._dashboard_port = 0
        elif host == _LOOPBACK:
            self._gcs_port, self._dashboard_port = free_ports(2)
        else:
            self._gcs_port, self._dashboard_port = GCS_PORT, DASHBOARD_PORT
        self._gcs_port = gcs_port or self._gcs_port
        # The sessions that lost their node need the processor now, and its start takes much of it.
        self.rest = _REST_SECONDS if head else 0.0

    @property
    def name(self) -> str:
        return self._name

    @property
    def address(self) -> str:
        """Of the cluster."""
        if self._cluster:
            return self._cluster
        return f"{self._host}:{(self._head or self)._gcs_port}"

    @property
    def dashboard_url(self) -> str:
        """Empty where there is none."""
        return f"http://{_LOOPBACK}:{(self._head or self)._dashboard_port}" * self._dashboard

    @property
    def node_id(self) -> str:
        """Ray's id of it; empty until the cluster has it."""
        try:
            return self._registered.read_text() if self._started else ""
        except FileNotFoundError:
            return ""

    @property
    def forking(self) -> Path | None:
        """Its data folder, where the zygote of Serve's processes began with it."""
        return self._folder if self._forks_front else None

    @property
    def ended(self) -> bool:
        return self._started and self._process.pid is None

    def joined(self) -> bool:
        """Whether its raylet is there: `ray start` waits for the head before it starts one."""
        self._note_family()
        for one in self._family:
            with contextlib.suppress(psutil.Error):
                if (process := one.find()) is not None and process.name() == "raylet":
                    return True
        return False

    def answers(self) -> bool:
        """Whether its GCS takes connections (the head's)."""
        try:
            with socket.create_connection((self._host, self._gcs_port), timeout=1):
                return True
        except OSError:
            return False

    def start(self) -> None:
        """Start `ray start`; that the cluster has the node, `RayCluster` looks."""
        self._restarts += self._ever_started
        self._end_family()
        self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._registered.unlink(missing_ok=True)
        (self._folder / "zygote" / BEGUN).unlink(missing_ok=True)
        environment = {
            "GATEWAY_DATA_DIR": str(self._folder),
            REGISTERED: str(self._registered),
            **({} if self._dashboard else _WITHOUT_DASHBOARD),
            **(_FORKING_FRONT if self._forks_front else {}),
        }
        if not self._joins and not os.environ.get("RAY_REDIS_ADDRESS"):
            # The control store can be killed: what it knows is here, for as long as the head lives.
            control = self._layout.control if self._lasting else self._layout.ray / "control"
            if not self._lasting:
                shutil.rmtree(control, ignore_errors=True)
            environment |= {"RAY_gcs_storage": "rocksdb", "RAY_gcs_storage_path": str(control)}
        self._process.begin(self._command(), environment=environment)
        self._started = self._ever_started = True

    def stop(self) -> None:
        self._started = False
        # All at once: `ray start` alone would end them one after the other.
        self._note_family()
        self._end_family()
        self._process.stop()

    def report(self) -> PartState:
        self._note_family()
        return PartState(
            name=self._name,
            process=ProcessId.of(self._process.pid) if self._process.pid else None,
            port=self._gcs_port or None,
            log=self._process.log_file,
            restarts=self._restarts,
            family=sorted(self._family, key=lambda one: one.pid),
            node_id=self.node_id,
        )

    @property
    def _registered(self) -> Path:
        return self._folder / "node-id"

    @property
    def _joins(self) -> bool:
        return self._head is not None or bool(self._cluster)

    def _note_family(self) -> None:
        """Remember what is under it, while it can be asked."""
        if self._process.pid and (root := ProcessId.of(self._process.pid)):
            self._family = descendants(root) | {one for one in self._family if one.alive}

    def _end_family(self) -> None:
        end_all(self._family, patience=_FAMILY_SECONDS)
        self._family = frozenset()

    def _command(self) -> list[str]:
        ports = Ports.free() if self._host == _LOOPBACK else OF_A_MACHINE
        command = [
            *(sys.executable, "-m", "ops.local.ray_start"),
            *("--block", "--disable-usage-stats", "--log-color=false"),
            f"--node-ip-address={self._host}",
            f"--node-name={self._name}",
            f"--num-cpus={max(2, os.cpu_count() or 1)}",
            f"--resources={json.dumps({'session_slots': self._slots})}",
            f"--object-store-memory={_OBJECT_STORE_BYTES}",
            f"--node-manager-port={ports.manager}",
            f"--object-manager-port={ports.objects}",
            f"--dashboard-agent-listen-port={ports.agent}",
            f"--dashboard-agent-grpc-port={ports.agent_grpc}",
            f"--runtime-env-agent-port={ports.runtime_env}",
            f"--metrics-export-port={ports.metrics}",
            f"--min-worker-port={ports.first_worker}",
            f"--max-worker-port={ports.last_worker}",
            # It reads every process's log, each node all of the machine's, for drivers that print
            # them; the gateway's do not.
            "--include-log-monitor=false",
            # Else a node that joins takes the head's path, which may be anybody's on this machine.
            f"--temp-dir={self._layout.ray}",
        ]
        if self._joins:
            return [*command, f"--address={self.address}"]
        return [
            *command,
            *("--head", f"--port={self._gcs_port}"),
            f"--include-dashboard={str(self._dashboard).lower()}",
            *(f"--dashboard-host={_LOOPBACK}", f"--dashboard-port={self._dashboard_port}"),
            # The autoscaler's monitor: without machines to add it has nothing to do.
            f"--autoscaling-config={self._autoscaling}" if self._autoscaling else "--no-monitor",
        ]

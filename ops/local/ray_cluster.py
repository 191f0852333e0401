"""The Ray nodes together, and the settings they and their clients need."""

from __future__ import annotations

import shutil
import time
from pathlib import Path

from cluster.domain.errors import Unavailable
from ops.local.layout import Layout
from ops.local.ray_node import RayNode

__all__ = ["RAY_SETTINGS", "RayCluster", "access"]

#: Defaults; what the user set in the environment stands.
RAY_SETTINGS = {
    # Lost nodes are found by the agents of the others (actors/agent/lost_nodes.py). The GCS,
    # whose own machine may be the one that is cut off, waits for an hour, and so do raylets for it.
    "RAY_health_check_initial_delay_ms": "5000",
    "RAY_health_check_period_ms": "10000",
    "RAY_health_check_timeout_ms": "1000",
    "RAY_health_check_failure_threshold": "360",
    "RAY_gcs_rpc_server_reconnect_timeout_s": "3600",
    # The host has stopped the sessions before it ends a node; a node whose host died ends at once.
    "RAY_GRACEFUL_SHUTDOWN_DRAIN_TIMEOUT_S": "0",
    # A raylet that starts on a loaded machine is given two minutes instead of half of one.
    "RAY_raylet_start_wait_time_s": "120",
    # Owners of leases are not the ones to wait when the machine is busy (Ray's default is 15).
    "RAY_worker_niceness": "0",
    # Serve looks at its replicas every two seconds instead of ten times a second, and as often as
    # ever while something changes (ops/ingress/replica.py): two thirds of its controller's time
    # and half of the GCS's on an idle gateway. HAProxy leaves out a replica that is gone by itself.
    "RAY_SERVE_CONTROL_LOOP_INTERVAL_S": "2.0",
    # What a raylet does ten, five or four times a second unasked: report what changed of its
    # resources (actors ask for slots, and few at a time), look for objects to collect (there are
    # none), for idle workers, and at the machine's memory.
    "RAY_raylet_report_resources_period_milliseconds": "500",
    "RAY_raylet_check_gc_period_milliseconds": "5000",
    "RAY_object_manager_timer_freq_ms": "5000",
    "RAY_kill_idle_workers_interval_ms": "5000",
    "RAY_memory_monitor_refresh_ms": "1000",
    # The same: whether the disk has room for objects, whether there are objects to free or to put
    # on that disk.
    "RAY_local_fs_monitor_interval_ms": "10000",
    "RAY_free_objects_period_milliseconds": "5000",
    # What an autoscaler would want to know, of each node and of each worker; and whether Ray's
    # event loops turn, ten of them in the GCS.
    "RAY_gcs_pull_resource_loads_period_milliseconds": "10000",
    "RAY_report_worker_backlog_interval_ms": "10000",
    "RAY_io_context_monitor_probe_interval_ms": "10000",
    # Of each of three kinds of threads that carry objects between nodes: there are hardly any.
    "RAY_object_manager_rpc_threads_num": "1",
    # A count and two clocks for everything that any of its event loops does.
    "RAY_event_stats": "0",
    # Spare processes have loaded what a session needs: see actors/hosts/preload.py.
    "RAY_preload_python_modules": "actors.hosts.preload",
    # Serve's own proxy would believe every user of this machine who claims to be a proxy.
    "FORWARDED_ALLOW_IPS": "nobody",
    "RAY_USAGE_STATS_ENABLED": "0",
    "RAY_DISABLE_IMPORT_WARNING": "1",
    "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0",
    "RAY_ROTATION_MAX_BYTES": "20000000",
    "RAY_ROTATION_BACKUP_COUNT": "3",
}
_JOIN_SECONDS = 90.0


def access(token_file: Path) -> dict[str, str]:
    """What a process needs to be let into the cluster: whoever is let in can run code."""
    return {
        # On Linux too: everything listens on 127.0.0.1 only. See ray_start.py.
        "RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER": "0",
        "RAY_AUTH_MODE": "token",
        "RAY_AUTH_TOKEN_PATH": str(token_file),
    }


class RayCluster:
    """A head and further nodes on this machine, each with its own data folder."""

    def __init__(
        self, layout: Layout, *, nodes: int, slots: int, dashboard: bool, fronts: int
    ) -> None:
        """`fronts`: on how many nodes Serve's processes will be forked."""
        self._layout = layout
        self.head = RayNode(
            "node-1", layout, slots=slots, dashboard=dashboard, forks_front=fronts > 0
        )
        self.others = [
            RayNode(
                f"node-{number}",
                layout,
                slots=slots,
                head=self.head,
                dashboard=dashboard,
                forks_front=number <= fronts,
            )
            for number in range(2, nodes + 1)
        ]

    @property
    def nodes(self) -> list[RayNode]:
        return [self.head, *self.others]

    def begin(self) -> None:
        """Start the head: the other nodes need it."""
        # Logs and sockets of earlier runs.
        for old in self._layout.ray.glob("session_*"):
            if old.is_symlink():
                old.unlink()
            else:
                shutil.rmtree(old, ignore_errors=True)
        self.head.start()

    def wait(self) -> None:
        """Start the other nodes, wait until the cluster has them all. Raises `Unavailable`."""
        if self.others:
            # They need the head's GCS, and not all of it.
            self._wait_for_gcs()
        for node in self.others:
            node.start()
        self._wait_for_nodes()

    def stop(self) -> None:
        for node in reversed(self.nodes):
            node.stop()

    def _wait_for_nodes(self) -> None:
        deadline = time.monotonic() + _JOIN_SECONDS
        while missing := [node.name for node in self.nodes if not node.node_id]:
            for node in self.nodes:
                if node.ended:
                    raise Unavailable(f"Ray's {node.name} ended at once; see {node.report().log}")
            if time.monotonic() > deadline:
                raise Unavailable(
                    f"the Ray cluster did not have {', '.join(missing)} within "
                    f"{_JOIN_SECONDS:.0f} s; see {self._layout.ray / 'session_latest' / 'logs'}"
                )
            time.sleep(0.1)

    def _wait_for_gcs(self) -> None:
        deadline = time.monotonic() + _JOIN_SECONDS
        while not self.head.answers():
            if self.head.ended or time.monotonic() > deadline:
                raise Unavailable(f"Ray's head did not start; see {self.head.report().log}")
            time.sleep(0.1)

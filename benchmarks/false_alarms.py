"""Does load make the shipped health-check settings call a live node dead?

`python -m benchmarks.false_alarms [--seconds 60] [--burners 4]`: a cluster of two nodes on this
machine, actors on both that are called all the while, and processes that burn every core. Prints
what happened, then kills a raylet under the same load and prints how long that took to notice.
"""

from __future__ import annotations

import argparse
import os
import signal
import subprocess
import sys
import time
from typing import Any

import psutil

from ops.local.ray_cluster import RAY_SETTINGS

os.environ.update({name: value for name, value in RAY_SETTINGS.items() if "health" in name})

import ray  # its settings are read from the environment
from ray.cluster_utils import Cluster

_NOTICE_SECONDS = 60.0


class Pinger:
    """Reports which process it is."""

    def who(self) -> tuple[int, str]:
        return os.getpid(), ray.get_runtime_context().get_node_id()


def main(seconds: float, burners: int) -> None:
    """Run it once."""
    node: dict[str, Any] = {"num_cpus": 2, "resources": {"session_slots": 10}}
    cluster = Cluster(
        initialize_head=True,
        head_node_args={**node, "node_name": "node-1", "include_dashboard": False},
    )
    cluster.add_node(**node, node_name="node-2")
    ray.init(address=cluster.address, log_to_driver=False)
    burning: list[subprocess.Popen[bytes]] = []
    try:
        remote: Any = ray.remote(Pinger)
        options = {"num_cpus": 0, "resources": {"session_slots": 1}, "max_restarts": -1}
        actors = [
            remote.options(scheduling_strategy="SPREAD", **options).remote() for _ in range(4)
        ]
        before = ray.get([actor.who.remote() for actor in actors])
        for _ in range(burners):
            burning.append(subprocess.Popen([sys.executable, "-c", "while True: pass"]))
        rounds, slowest, dead = _watch(actors, seconds)
        same = before == ray.get([actor.who.remote() for actor in actors])
        noticed = _kill_node("node-2")
        sys.stdout.write(
            f"{seconds:.0f} s, {burners} burners on {os.cpu_count()} cores, load "
            f"{os.getloadavg()[0]:.1f}: {len(dead)} nodes called dead, same processes: {same}, "
            f"{rounds} rounds of calls, slowest {slowest:.2f} s; killed raylet noticed after "
            f"{noticed:.2f} s\n"
        )
    finally:
        for process in burning:
            process.kill()
        ray.shutdown()
        cluster.shutdown()


def _watch(actors: list[Any], seconds: float) -> tuple[int, float, set[str]]:
    rounds, slowest = 0, 0.0
    dead: set[str] = set()
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        began = time.monotonic()
        ray.get([actor.who.remote() for actor in actors])
        slowest = max(slowest, time.monotonic() - began)
        dead |= {node["NodeID"] for node in ray.nodes() if not node["Alive"]}
        rounds += 1
        time.sleep(0.5)
    return rounds, slowest, dead


def _kill_node(name: str) -> float:
    """Seconds until the cluster counts the node as dead."""
    node = ray._private.worker.global_worker.node
    assert node is not None  # noqa: S101 - `ray.init` was called
    session = node.get_session_dir_path()
    for process in psutil.process_iter(["cmdline"]):
        words = " ".join(process.info["cmdline"] or [])
        if "raylet/raylet" in words and session in words and name in words:
            process.send_signal(signal.SIGKILL)
    began = time.monotonic()
    while any(node["Alive"] for node in ray.nodes() if node["NodeName"] == name):
        if time.monotonic() - began > _NOTICE_SECONDS:
            return float("inf")
        time.sleep(0.05)
    return time.monotonic() - began


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=60.0)
    parser.add_argument("--burners", type=int, default=2 * (os.cpu_count() or 1))
    arguments = parser.parse_args()
    main(arguments.seconds, arguments.burners)

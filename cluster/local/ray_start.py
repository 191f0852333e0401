"""`ray start` for nodes that stay on loopback: `python -m cluster.local.ray_start --head …`.

On Linux Ray puts the machine's outward address in the place of 127.0.0.1 and listens on every
interface, where whoever reaches it runs code. It knows loopback clusters, but for macOS and
Windows only, and there refuses a second node. The cluster's environment chooses them
(ray_cluster.py); this lets further nodes in.

Nodes of one machine share the folder of their sockets, and Ray takes the first name that no file
has yet: two that start at the same time take the same. Here each has names of its own.

`ray start --block` ends a node when one of its processes ended. What the head's control store
knows is on disk (ray_node.py), and everybody waits for it, so it is started again instead.

What the raylet's children leave behind becomes a child of this process (Linux): zygotes and the
session processes forked from them (`actors.zygote`) are found below it, and end with it.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from ray._private import node, ray_constants, services
from ray.scripts import scripts
from ray.scripts.scripts import start

#: The control store is started again so often within so many seconds.
_STARTS, _WINDOW_SECONDS = 5, 60.0
_PR_SET_CHILD_SUBREAPER = 36


_get_node: Any = services.get_node


class _Node(node.Node):
    def _prepare_socket_file(self, socket_path: str, default_prefix: str) -> str:
        prefix = f"{default_prefix}.{self._ray_params.node_name}"
        return str(super()._prepare_socket_file(socket_path, prefix))

    def start_ray_processes(self) -> None:
        super().start_ray_processes()  # type: ignore[no-untyped-call]
        services.get_node = self._look_up

    def _look_up(self, gcs_address: str, node_id: str) -> Any:
        """Asked until the node is there: for minutes, also when its raylet has ended meanwhile."""
        if self.dead_processes():
            raise SystemExit("a process of this node ended while it started")
        return _get_node(gcs_address, node_id)

    def dead_processes(self) -> list[tuple[str, subprocess.Popen[bytes]]]:
        """Asked every second by `ray start --block`."""
        self._reap()
        dead: list[Any] = super().dead_processes()  # type: ignore[no-untyped-call]
        others = [one for one in dead if one[0] != ray_constants.PROCESS_TYPE_GCS_SERVER]
        if len(others) < len(dead) and not self._control_store_again():
            return dead
        return others

    def _reap(self) -> None:
        """Let go of adopted children that ended; Ray asks for its own."""
        own = {one.process.pid for several in self.all_processes.values() for one in several}
        for children in Path("/proc/self/task").glob("*/children"):
            for pid in {int(child) for child in children.read_text().split()} - own:
                with contextlib.suppress(ChildProcessError):
                    os.waitpid(pid, os.WNOHANG)

    def _control_store_again(self) -> bool:
        """False when it ended too often for that to help."""
        now = time.monotonic()
        self._starts = [at for at in getattr(self, "_starts", []) if now - at < _WINDOW_SECONDS]
        if len(self._starts) >= _STARTS:
            return False
        self._starts.append(now)
        sys.stderr.write("the control store ended; it is started again\n")
        del self.all_processes[ray_constants.PROCESS_TYPE_GCS_SERVER]
        self._gcs_address = self._gcs_client = None
        self.start_gcs_server()  # type: ignore[no-untyped-call]
        return True


def _arguments() -> list[str]:
    """With the password of the control store's Redis, which `ray start` does not read from the
    environment; others of this machine see command lines."""
    password = os.environ.get("RAY_REDIS_PASSWORD")
    head = "--head" in sys.argv and bool(os.environ.get("RAY_REDIS_ADDRESS"))
    return [*sys.argv[1:], *([f"--redis-password={password}"] if head and password else [])]


def _same(host: str) -> str:
    return host


def _adopt_orphans() -> None:
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)


def _without_client() -> str:
    return "not used"


if __name__ == "__main__":
    services.resolve_ip_for_localhost = _same
    ray_constants.ENABLE_RAY_CLUSTER = True
    # No server for `ray://`, which runs the code of whoever calls: nothing of ours calls it.
    setattr(scripts, "get_ray_client_dependency_error", _without_client)  # noqa: B010
    node.Node = _Node  # type: ignore[misc]
    _adopt_orphans()
    start(_arguments())

"""`ray start` for nodes that stay on loopback: `python -m ops.local.ray_start --head …`.

On Linux Ray puts the machine's outward address in the place of 127.0.0.1 and listens on every
interface, where whoever reaches it runs code. It knows loopback clusters, but for macOS and
Windows only, and there refuses a second node. The cluster's environment chooses them
(ray_cluster.py); this lets further nodes in.

Nodes of one machine share the folder of their sockets, and Ray takes the first name that no file
has yet: two that start at the same time take the same. Here each has names of its own.

When everything runs this process becomes a small one that waits for them (ray_watch.py).

Ray starts a dashboard server for usage statistics also where none is configured, and an
agent of it for each node: without a dashboard there is neither. A raylet must have an agent, and
ends with it: one that only waits.

A raylet has another one, for its workers' environments. Where there is a zygote that is a fork of
it (forked_agent.py).

On a node where Serve's processes will be forked their zygote begins first of all, and imports while
Ray starts.

What the raylet's children leave behind becomes a child of this process (Linux): zygotes and the
session processes forked from them (`actors.zygote`) are found below it, and end with it.
"""

# ruff: noqa: E402

from __future__ import annotations

import ctypes
import gc
import json
import os
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

from actors.zygote import launch
from ops.local import forked_agent, ray_watch
from ops.local.ray_watch import FRONT_FORKED, NO_DASHBOARD, REGISTERED

_PR_SET_CHILD_SUBREAPER = 36
#: Between looks whether a node that starts has lost a process.
_WATCH_SECONDS = 0.2


def _begin_zygote() -> None:
    os.environ[launch.NODE] = str(os.getpid())
    if FRONT_FORKED in os.environ:
        try:
            launch.begin(dict(os.environ), launch.FRONT)
        except (launch.NotForked, OSError) as error:
            # The first who needs it tries again, and says how it went.
            sys.stderr.write(f"no zygote yet: {error}\n")


if __name__ == "__main__":
    _begin_zygote()

# Until Ray runs: what is imported stays, and looking for garbage in it takes a quarter of the time.
gc.disable()

import ray._raylet
from ray._private import node, ray_constants, services
from ray.scripts import scripts
from ray.scripts.scripts import start

from actors.zygote.ray_waits import wait_longer_in

#: Without anything of Python's that would be more than the program.
_PROGRAM = [sys.executable, "-I", "-S"]
_WATCH = [*_PROGRAM, str(Path(ray_watch.__file__))]
_FORKED_AGENT = [*_PROGRAM, str(Path(forked_agent.__file__))]
_AGENT = "--runtime_env_agent_command="

_raylet: Any = ray._raylet
_PORTS_OF_AGENT = (
    _raylet.METRICS_AGENT_PORT_NAME,
    _raylet.METRICS_EXPORT_PORT_NAME,
    _raylet.DASHBOARD_AGENT_LISTEN_PORT_NAME,
)

_get_node: Any = services.get_node


class _Node(node.Node):
    #: The cluster has it.
    _there = False

    def _prepare_socket_file(self, socket_path: str, default_prefix: str) -> str:
        prefix = f"{default_prefix}.{self._ray_params.node_name}"
        return str(super()._prepare_socket_file(socket_path, prefix))

    def start_api_server(self, *, include_dashboard: bool | None, raise_on_failure: bool) -> None:
        if NO_DASHBOARD not in os.environ:
            super().start_api_server(
                include_dashboard=include_dashboard, raise_on_failure=raise_on_failure
            )

    def start_raylet(self, *args: Any, **options: Any) -> None:
        if NO_DASHBOARD in os.environ:
            for name in _PORTS_OF_AGENT:
                # The raylet waits for them; this says that nothing listens, as minimal Ray does.
                _raylet.persist_port(self._session_dir, self._node_id, name, -1)
        super().start_raylet(*args, **options)

    def start_ray_processes(self) -> None:
        super().start_ray_processes()  # type: ignore[no-untyped-call]
        services.get_node = self._look_up
        threading.Thread(target=self._watch, daemon=True).start()

    def _watch(self) -> None:
        """Ray waits in its C++ for the node to be there, for a minute and more: also when its
        raylet has ended meanwhile, as it does where its agents are not there within 15 seconds."""
        while not self._there:
            if super().dead_processes():  # type: ignore[no-untyped-call]
                sys.stderr.write("a process of this node ended while it started\n")
                sys.stderr.flush()
                os._exit(1)
            time.sleep(_WATCH_SECONDS)

    def _look_up(self, gcs_address: str, node_id: str) -> Any:
        found = _get_node(gcs_address, node_id)
        self._there = True
        if path := os.environ.get(REGISTERED):
            Path(path).write_text(node_id)
        return found

    def dead_processes(self) -> list[tuple[str, subprocess.Popen[bytes]]]:
        """Asked every second by `ray start --block`, once everything runs."""
        became = {name: found[0].process for name, found in self.all_processes.items()}
        control_store = became.get(ray_constants.PROCESS_TYPE_GCS_SERVER)
        for name in (ray_constants.PROCESS_TYPE_GCS_SERVER, ray_constants.PROCESS_TYPE_RAYLET):
            if name in became:
                wait_longer_in(became[name].pid)
        handed = {
            "processes": {name: process.pid for name, process in became.items()},
            "control_store": control_store.args if control_store else [],
        }
        there, here = os.pipe()
        os.write(here, json.dumps(handed).encode())
        os.close(here)
        os.set_inheritable(there, True)
        sys.stdout.flush()
        os.execv(sys.executable, [*_WATCH, str(there)])  # noqa: S606


_start_process: Any = services.start_ray_process
_start_raylet: Any = services.start_raylet
#: gflags' way to say "the value is in the environment", and the name it has there.
_PASSWORD, _FROM_ENVIRONMENT = "--redis_password=", "--fromenv=redis_password"
_VARIABLE = "FLAGS_redis_password"


def _start_trimmed(command: list[str], *args: Any, **options: Any) -> Any:
    """Start a process of Ray's: a raylet without workers that wait for tasks, of which we have
    none, and without a dashboard with an agent that does nothing; a control store without the
    password of its Redis on its command line, which every user of the machine can read."""
    instead = {"--num_prestart_python_workers=": "0"}
    if NO_DASHBOARD in os.environ:
        idle = subprocess.list2cmdline([*_WATCH, ray_watch.AGENT])
        instead["--dashboard_agent_command="] = idle
    trimmed = [
        _FROM_ENVIRONMENT
        if one.startswith(_PASSWORD)
        else next((name + value for name, value in instead.items() if one.startswith(name)), one)
        for one in command
    ]
    if FRONT_FORKED in os.environ:
        forked = subprocess.list2cmdline([*_FORKED_AGENT, os.environ["GATEWAY_DATA_DIR"]])
        trimmed = [one.replace(_AGENT, f"{_AGENT}{forked} ", 1) for one in trimmed]
    return _start_process(trimmed, *args, **options)


def _start_raylet_alone(*args: Any, **options: Any) -> Any:
    """Without that password for the workers' command line: they ask no Redis."""
    return _start_raylet(*args, **{**options, "redis_password": None})


def _arguments() -> list[str]:
    """With the password of the control store's Redis, which `ray start` does not read from the
    environment. Nothing of it is on the command line of a process."""
    password = os.environ.get("RAY_REDIS_PASSWORD")
    if not password or "--head" not in sys.argv or not os.environ.get("RAY_REDIS_ADDRESS"):
        return sys.argv[1:]
    # Of who starts the control store again, too (ray_watch.py).
    os.environ[_VARIABLE] = password
    return [*sys.argv[1:], f"--redis-password={password}"]


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
    services.start_ray_process = _start_trimmed
    services.start_raylet = _start_raylet_alone
    _adopt_orphans()
    start(_arguments())

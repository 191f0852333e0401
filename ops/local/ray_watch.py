"""What stays of `ray start --block`: waits for the processes of a Ray node.

`ray_start.py` becomes this program once they run, by an exec: they stay its children, they end when
it does (Linux), and so does its name in the host's records. Ray asks each second in a process of
90 MB; this one sleeps, in 8.

`python -I -S ray_watch.py N`: at descriptor N is a JSON object, `processes` (process id by what Ray
calls it) and `control_store` (the command line of the head's, else empty). `… ray_watch.py agent`
is what a raylet without a dashboard has for its agent: it waits for the raylet's end.
`… ray_watch.py forked-agent N` stands for a fork at the other end of descriptor N (forked_agent.py)
and ends with it as well. Stands alone: imports of others would be most of its memory.

* A node without its raylet is none, and ends.
* Any other process that ends unasked ends the node, as `ray start --block` has it, but for one:
* what the control store knows is on disk (ray_node.py), and everybody waits for it, so it is
  started again instead.
* What the raylet's children leave behind becomes a child of this process (`ray_start.py`): it is
  let go of as it ends.
"""

from __future__ import annotations

import json
import os
import select
import signal
import sys
import time

NO_DASHBOARD = "GATEWAY_NO_DASHBOARD"
"""In the environment of `ray_start.py`: neither the dashboard nor its agent is started."""
REGISTERED = "GATEWAY_NODE_REGISTERED"
#: Serve's processes will be forked on this node.
FRONT_FORKED = "GATEWAY_FRONT_FORKED"
"""There too: the file that gets Ray's id of the node once the cluster has it."""

AGENT, FORKED_AGENT = "agent", "forked-agent"
CONTROL_STORE, RAYLET = "gcs_server", "raylet"
#: The control store is started again so often within so many seconds.
_STARTS, _WINDOW_SECONDS = 5, 60.0
#: Asked to: by itself, by a signal, and as Ray's own programs answer that.
_ASKED = {0, -signal.SIGTERM, 128 + signal.SIGTERM}
_PR_SET_PDEATHSIG = 1


def watch(processes: dict[str, int], control_store: list[str]) -> None:
    """Returns when the node is to end."""
    names = {pid: name for name, pid in processes.items()}
    # Ended, and waited for by who started it, before it became this program.
    missed = [pid for pid in names if not _is_child(pid)]
    starts: list[float] = []
    while True:
        pid, status = (missed.pop(), 1 << 8) if missed else os.waitpid(-1, 0)
        name = names.pop(pid, "")
        code = os.waitstatus_to_exitcode(status)
        if name == CONTROL_STORE and control_store:
            now = time.monotonic()
            starts = [*(at for at in starts if now - at < _WINDOW_SECONDS), now]
            if len(starts) <= _STARTS:
                _say(f"the control store ended ({code}); it is started again")
                names[_start(control_store)] = CONTROL_STORE
                continue
        if name and (name in {CONTROL_STORE, RAYLET} or code not in _ASKED):
            _say(f"{name} ended ({code}); so does this node")
            return


def _is_child(pid: int) -> bool:
    try:
        os.waitid(os.P_PID, pid, os.WEXITED | os.WNOHANG | os.WNOWAIT)
    except ChildProcessError:
        return False
    return True


def _start(command: list[str]) -> int:
    """As Ray starts it (`start_ray_process`). It writes its log itself."""
    own = os.getpid()
    pid = os.fork()
    if pid == 0:
        try:
            if sys.platform == "linux":
                import ctypes

                ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, int(signal.SIGKILL), 0, 0, 0)
            if os.getppid() == own:
                signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
                os.execv(command[0], command)  # noqa: S606
        finally:
            os._exit(127)
    return pid


def _say(text: str) -> None:
    sys.stderr.write(text + "\n")
    sys.stderr.flush()


def wait_for_raylet(agent: int | None) -> bool:
    """Returns when it has ended, or the agent at the other end of that connection: whether it was
    the raylet. Ray passes its agents who it is."""
    raylet = int(os.environ["RAY_RAYLET_PID"])
    if sys.platform == "linux":
        poll = select.poll()
        try:
            poll.register(os.pidfd_open(raylet), select.POLLIN)
        except ProcessLookupError:
            return True
        if agent is not None:
            poll.register(agent, select.POLLIN)
        # Not the one that has its number now.
        if os.getppid() == raylet and agent in dict(poll.poll()):
            return False
    while os.getppid() == raylet:
        time.sleep(1)
    return True


def main() -> None:
    """Ends with 1, when the node is to end."""
    if sys.argv[1] == AGENT:
        # Beside what the raylet says to an agent.
        wait_for_raylet(None)
        return
    if sys.argv[1] == FORKED_AGENT:
        sys.exit(not wait_for_raylet(int(sys.argv[2])))
    with os.fdopen(int(sys.argv[1])) as handed:
        found = json.load(handed)
    # Ray's connections of before.
    os.closerange(3, os.sysconf("SC_OPEN_MAX"))
    watch(found["processes"], found["control_store"])
    for pid in found["processes"].values():
        try:
            os.kill(pid, signal.SIGKILL)
        except ProcessLookupError:
            continue
    sys.exit(1)


if __name__ == "__main__":
    main()

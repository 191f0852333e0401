"""What a child that reads strangers' files can reach: nothing of the gateway, nobody outside."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from cluster.confined import walls

pytestmark = pytest.mark.attack

_ROOT = Path(__file__).parents[3]
#: What taken over code would try first; each names the wall that is in its way.
ATTEMPTS = {
    "socket.socket(socket.AF_INET)": "seccomp",
    "socket.socket(socket.AF_UNIX)": "seccomp",
    "socket.socketpair()": "seccomp",
    "subprocess.run(['/bin/true'])": "seccomp",
    "os.execv('/bin/true', ['true'])": "seccomp",
    "os.fork()": "seccomp",
    "os.kill(os.getppid(), 0)": "seccomp",
    "signal.pidfd_send_signal(os.pidfd_open(os.getppid()), 0)": "seccomp",
    "os.chmod(kept, 0o777)": "seccomp",
    "libc.ptrace(16, os.getppid(), 0, 0)": "seccomp",
    "libc.unshare(0x10000000)": "seccomp",
    "libc.syscall(425, 8, None)": "seccomp",
    "resource.setrlimit(resource.RLIMIT_AS, (-1, -1))": "seccomp",
    "resource.prlimit(os.getppid(), resource.RLIMIT_NOFILE, (1, 1))": "seccomp",
    "open(kept).read()": "landlock",
    "open(kept, 'w')": "landlock",
    "open('/etc/passwd').read()": "landlock",
    "open(f'/proc/{os.getppid()}/environ').read()": "landlock",
    "os.listdir(home)": "landlock",
    "open(os.path.join(home, 'new'), 'w')": "landlock",
    "os.unlink(kept)": "landlock",
    "os.symlink(kept, os.path.join(own, 'link')) or open(os.path.join(own, 'link')).read()": (
        "landlock"
    ),
    "os.rename(kept, os.path.join(own, 'taken'))": "landlock",
}
ALLOWED = (
    "open(os.path.join(own, 'out'), 'w').write('x')",
    "open(os.path.join(own, 'out')).read()",
    "threading.Thread(target=print).start()",
    "resource.getrlimit(resource.RLIMIT_AS)",
    "__import__('decimal')",
)
_CHILD = """
import ctypes, json, os, resource, signal, socket, subprocess, sys, threading
from pathlib import Path
from cluster.confined import Bounds, confine
own, kept, attempts = json.load(sys.stdin)
home = os.path.dirname(kept)
libc = ctypes.CDLL(None, use_errno=True)
libc.ptrace.errcheck = libc.unshare.errcheck = libc.syscall.errcheck = (
    lambda result, *_: result if result >= 0 else (_ for _ in ()).throw(OSError("refused")))
confine(Bounds(memory=1 << 30, file=1 << 20, processor=10), write=[Path(own)])
done = []
for one in attempts:
    try:
        eval(one)
    except (OSError, ValueError, RuntimeError):
        continue
    done.append(one)
json.dump(done, os.fdopen(os.dup(2), "w"))
"""


def _succeeded(tmp_path: Path, attempts: list[str]) -> list[str]:
    own, home = tmp_path / "own", tmp_path / "home"
    own.mkdir()
    home.mkdir()
    kept = home / "secret"
    kept.write_text("secret")
    child = subprocess.run(
        [sys.executable, "-c", _CHILD],
        input=json.dumps([str(own), str(kept), attempts]),
        env={"PATH": os.environ["PATH"], "PYTHONPATH": str(_ROOT)},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert child.returncode == 0, child.stderr
    assert kept.read_text() == "secret"
    found: list[str] = json.loads(child.stderr)
    return found


def test_what_it_needs_it_has(tmp_path: Path) -> None:
    assert _succeeded(tmp_path, list(ALLOWED)) == list(ALLOWED)


@pytest.mark.parametrize("wall", ["seccomp", "landlock"])
def test_everything_else_is_refused(tmp_path: Path, wall: str) -> None:
    if not walls()[wall]:
        pytest.skip(f"this kernel has no {wall}")
    attempts = [attempt for attempt, by in ATTEMPTS.items() if by == wall]
    assert _succeeded(tmp_path, attempts) == []

"""Process 1 of a machine: `python -m machines.inside NAME FOLDER [BASE]`. Makes what a machine has
of its own, says so in FOLDER/ready, and reaps. With a BASE its root is a layer of its own over that
one, and it becomes the systemd in there."""

from __future__ import annotations

import ctypes
import os
import shutil
import socket
import subprocess
import sys
import time
import uuid
from pathlib import Path
from typing import NoReturn

from machines.debian import PATH

_CLONE_NEWCGROUP = 0x02000000


def main(name: str, folder: Path, base: str = "") -> NoReturn:
    root = _layered(folder, base) if base else ""
    socket.sethostname(name)
    boot = folder / "boot_id"
    boot.write_text(f"{uuid.uuid4()}\n")
    temporary = folder / "tmp"
    shutil.rmtree(temporary, ignore_errors=True)
    temporary.mkdir()
    temporary.chmod(0o1777)
    if root:
        _mount("-t", "sysfs", "sysfs", f"{root}/sys")
        _mount("--rbind", "/dev", f"{root}/dev")
    _mount("-t", "proc", "proc", f"{root}/proc")
    _mount("--bind", str(boot), f"{root}/proc/sys/kernel/random/boot_id")
    _mount("-t", "tmpfs", "-o", "mode=1777,size=2g", "tmpfs", f"{root}/dev/shm")  # noqa: S108
    # Not of memory, as its logs are read when something went wrong.
    _mount("--bind", str(temporary), f"{root}/tmp")  # noqa: S108
    _mount("-t", "tmpfs", "-o", "mode=755,size=64m", "tmpfs", f"{root}/run")
    # Names of the machines, and no server to ask for others: none could be reached.
    _mount("--bind", str(folder.parent / "hosts"), f"{root}/etc/hosts")
    _mount("--bind", str(folder.parent / "resolv.conf"), f"{root}/etc/resolv.conf")
    if root:
        _become_systemd(name, folder, root)
    data = folder / "data"
    data.mkdir(mode=0o700, exist_ok=True)
    _mount("-t", "tmpfs", "-o", "mode=755,size=16m", "tmpfs", "/var/lib")
    Path("/var/lib/gateway").mkdir()
    _mount("--bind", str(data), "/var/lib/gateway")
    Path("/var/lib/gateway").chmod(0o700)
    (folder / "ready").touch()
    while True:
        try:
            os.wait()
        except ChildProcessError:
            time.sleep(0.2)


def _layered(folder: Path, base: str) -> str:
    upper, work, root = (folder / name for name in ("upper", "work", "root"))
    for one in (upper, work, root):
        one.mkdir(exist_ok=True)
    upper.chmod(0o755)
    layers = f"lowerdir={base},upperdir={upper},workdir={work}"
    _mount("-t", "overlay", "overlay", "-o", layers, str(root))
    for name in ("hosts", "resolv.conf"):
        (root / "etc" / name).touch()
    return str(root)


def _become_systemd(name: str, folder: Path, root: str) -> NoReturn:
    Path(root, "etc/hostname").write_text(f"{name}\n")
    identity = Path(root, "etc/machine-id")
    if not identity.exists() or not identity.read_text().strip():
        identity.write_text(f"{uuid.uuid4().hex}\n")
    # Its groups of processes are below one of their own.
    here = Path("/sys/fs/cgroup")
    hybrid = (here / "systemd").is_dir()
    trees = ["systemd", "unified"] if hybrid else [""]
    for tree in trees:
        own = here / tree / f"gateway-{folder.parent.name}-{name}"
        own.mkdir(exist_ok=True)
        (own / "cgroup.procs").write_text("0")
    if ctypes.CDLL(None, use_errno=True).unshare(_CLONE_NEWCGROUP):
        raise OSError(ctypes.get_errno(), "unshare")
    inner = f"{root}/sys/fs/cgroup"
    if hybrid:
        _mount("-t", "tmpfs", "-o", "mode=755", "tmpfs", inner)
        for tree, options in (("systemd", "none,name=systemd"), ("unified", "")):
            Path(inner, tree).mkdir()
            kind = ["-t", "cgroup", "-o", options] if options else ["-t", "cgroup2"]
            _mount(*kind, "cgroup", f"{inner}/{tree}")
    else:
        _mount("-t", "cgroup2", "cgroup2", inner)
    (folder / "ready").touch()
    os.chroot(root)
    os.chdir("/")
    environment = {"container": "other", "PATH": PATH}
    words = ["/lib/systemd/systemd", "--system", "--log-target=console", "--show-status=0"]
    os.execve(words[0], words, environment)  # noqa: S606


def _mount(*words: str) -> None:
    subprocess.run(["mount", *words], check=True)


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]), *sys.argv[3:])

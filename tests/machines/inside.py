"""Process 1 of a machine: `python -m machines.inside NAME FOLDER`. Makes what a machine has of its
own, says so in FOLDER/ready, and reaps."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import sys
import time
import uuid
from pathlib import Path


def main(name: str, folder: Path) -> None:
    socket.sethostname(name)
    boot = folder / "boot_id"
    boot.write_text(f"{uuid.uuid4()}\n")
    data = folder / "data"
    data.mkdir(mode=0o700, exist_ok=True)
    temporary = folder / "tmp"
    shutil.rmtree(temporary, ignore_errors=True)
    temporary.mkdir()
    temporary.chmod(0o1777)
    for command in (
        ["mount", "-t", "proc", "proc", "/proc"],
        ["mount", "--bind", str(boot), "/proc/sys/kernel/random/boot_id"],
        ["mount", "-t", "tmpfs", "-o", "mode=1777,size=2g", "tmpfs", "/dev/shm"],  # noqa: S108
        # Not of memory, as its logs are read when something went wrong.
        ["mount", "--bind", str(temporary), "/tmp"],  # noqa: S108
        ["mount", "-t", "tmpfs", "-o", "mode=755,size=16m", "tmpfs", "/run"],
        ["mount", "-t", "tmpfs", "-o", "mode=755,size=16m", "tmpfs", "/var/lib"],
        ["mkdir", "-p", "/var/lib/gateway"],
        ["mount", "--bind", str(data), "/var/lib/gateway"],
        # Names of the machines, and no server to ask for others: none could be reached.
        ["mount", "--bind", str(folder.parent / "hosts"), "/etc/hosts"],
        ["mount", "--bind", str(folder.parent / "resolv.conf"), "/etc/resolv.conf"],
    ):
        subprocess.run(command, check=True)
    Path("/var/lib/gateway").chmod(0o700)
    (folder / "ready").touch()
    while True:
        try:
            os.wait()
        except ChildProcessError:
            time.sleep(0.2)


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]))

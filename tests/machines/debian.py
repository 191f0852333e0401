"""Machines of a fresh Debian: a root of their own each, over one that debootstrap made, and systemd
as process 1. What docs/operations.md says is run in them, word for word.

Packages of Debian and of Python are had while the image is made: a machine reaches the others only.
"""

from __future__ import annotations

import contextlib
import os
import subprocess
from collections.abc import Iterator, Mapping
from pathlib import Path

from machines.shell import run
from ops.local.layout import ROOT

__all__ = ["LAUNCHED", "PATH", "Debian", "balancer", "check_out", "documented"]

_RELEASE = "bookworm"
#: What the document asks for, and what `ray-cluster.yaml` finds on the images of a cloud.
_PACKAGES = "systemd,systemd-sysv,python3-venv,libmagic1,ca-certificates,openssh-server,sudo,rsync"
#: What pip needs of this machine to reach an index.
_LENT = ("/etc/ssl/certs", "/etc/pip.conf", "/etc/resolv.conf")
PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
#: Of no use to a machine made of namespaces, or of harm to the one around it.
_MASKED = (
    "systemd-udevd.service",
    "systemd-networkd.service",
    "systemd-modules-load.service",
    "getty@tty1.service",
    "console-getty.service",
    "apt-daily.timer",
    "apt-daily-upgrade.timer",
)
#: The user that `ray-cluster.yaml` names.
LAUNCHED = "admin"
_OPERATIONS = ROOT / "docs" / "operations.md"


def documented(naming: str) -> list[str]:
    """The commands of the block in docs/operations.md that names it, without their comments."""
    blocks = [one.partition("```")[0] for one in _OPERATIONS.read_text().split("```sh\n")[1:]]
    (block,) = (one for one in blocks if naming in one)
    return [line.split("  #")[0].rstrip() for line in block.splitlines()]


def balancer(servers: Mapping[str, str]) -> str:
    """The load balancer's configuration in docs/operations.md, with these servers (name to address
    and port)."""
    (block,) = (
        one.partition("```")[0]
        for one in _OPERATIONS.read_text().split("```\n")[1:]
        if "\nbackend gateway\n" in one
    )
    kept = [line for line in block.splitlines() if not line.startswith("  server ")]
    kept += [f"  server {name} {address} check" for name, address in servers.items()]
    return "\n".join(kept) + "\n"


def check_out(folder: Path) -> None:
    """This checkout as it is committed."""
    folder.mkdir(parents=True, exist_ok=True)
    packed = subprocess.run(
        ["git", "archive", "--format=tar", "HEAD"], cwd=ROOT, capture_output=True, check=True
    )
    subprocess.run(["tar", "-x", "-C", folder], input=packed.stdout, check=True)


class Debian:
    """The image that machines begin with."""

    def __init__(self, base: Path) -> None:
        """`base`: where it is, or is to be made."""
        self.base = base

    def make(self) -> None:
        """Debian, this checkout in /opt/gateway, and what the document says. Raises `OSError`."""
        fresh = not self.base.exists()
        if fresh:
            run("debootstrap", "--variant=minbase", f"--include={_PACKAGES}", _RELEASE, self.base)
            for unit in _MASKED:
                (self.base / "etc/systemd/system" / unit).symlink_to(os.devnull)
        check_out(self.base / "opt/gateway")
        first = documented("gateway-head.service")[0]
        self.run(first if fresh else first.partition(" && ")[2])

    def add_launched(self) -> None:
        """What an image for `ray-cluster.yaml` has: its user, who may become root, and the Python
        packages that the setup would fetch."""
        user, home = LAUNCHED, f"/home/{LAUNCHED}"
        self.run(f"id {user} || useradd --create-home --shell /bin/bash {user}")
        self.run(f"echo '{user} ALL=(ALL) NOPASSWD:ALL' > /etc/sudoers.d/{user}")
        check_out(self.base / home[1:] / "gateway")
        self.run(f"chown -R {user}: {home}/gateway")
        self.run(f"su {user} -c 'cd {home}/gateway && ./gateway version'")

    def add_containers(self) -> None:
        """What our image has beside the checkout and its packages (Dockerfile)."""
        self.run("apt-get install -yq --no-install-recommends wget")
        self.run("ln -sfn /opt/gateway/.venv /opt/venv")
        self.run("id 10001 || useradd --uid 10001 --home-dir /var/lib/gateway container")

    def run(self, command: str) -> None:
        """In the image, by its shell, with this machine's network."""
        with self._lent():
            run(
                *("unshare", "--mount", "--pid", "--fork", "--propagation", "private", "--"),
                *("env", "-i", f"PATH={PATH}", "HOME=/root", "DEBIAN_FRONTEND=noninteractive"),
                *("sh", "-c", 'mount -t proc proc "$1/proc" && exec chroot "$1" sh -c "$2"', "sh"),
                *(self.base, command),
            )

    @contextlib.contextmanager
    def _lent(self) -> Iterator[None]:
        bound: list[Path] = []
        try:
            for name in _LENT:
                if not Path(name).exists():
                    continue
                there = self.base / name[1:]
                if Path(name).is_dir():
                    there.mkdir(parents=True, exist_ok=True)
                else:
                    there.touch()
                run("mount", "--bind", name, there)
                bound.append(there)
            yield
        finally:
            for there in reversed(bound):
                run("umount", "--lazy", there)

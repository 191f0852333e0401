"""The machines, their network, and what runs in them. Root, Linux."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import ctypes
import json
import os
import secrets
import shlex
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from enum import StrEnum
from pathlib import Path
from urllib.parse import urlsplit

import yaml
from stepped_clock import SteppedClock

from machines.debian import LAUNCHED, Debian, check_out
from machines.hosts import NETWORK, Host, LaunchedHost, SystemdHost
from machines.pods import PodHost
from machines.shell import run
from ops.local.layout import ROOT
from ops.local.sandbox import SandboxAddresses, sandbox_command

__all__ = ["Bed", "Start", "until"]

_CLONE_NEWNET = 0x40000000
_START_SECONDS = 480.0


class Start(StrEnum):
    """How nodes are started."""

    NODE = "node"
    SYSTEMD = "systemd"
    LAUNCHER = "launcher"
    KUBERNETES = "kubernetes"


_HOSTS = {
    Start.NODE: Host,
    Start.SYSTEMD: SystemdHost,
    Start.LAUNCHER: LaunchedHost,
    Start.KUBERNETES: PodHost,
}


class Bed:
    """Everything together. `stop` ends and removes what was made, by what was noted of it."""

    def __init__(
        self,
        folder: Path,
        workers: int,
        *,
        stepped: bool = False,
        start: Start = Start.NODE,
        debian: Debian | None = None,
    ) -> None:
        """`stepped`: the clocks of machines can be. `debian`: of those that `start` wants."""
        self.folder = folder
        self.tag = f"gw{os.getpid()}"
        self.namespaces: list[str] = []
        self.switch = f"{self.tag}-sw"
        self._all: list[subprocess.Popen[bytes]] = []
        self.stores = Host(self, "stores", 10)
        self.whatsapp = Host(self, "wa", 20)
        self.clients = Host(self, "cl", 50)
        self.debian = debian
        self._start = start
        machine = _HOSTS[start]
        self.head = machine(self, "head", 100)
        self.workers = [machine(self, f"w{n}", 100 + n) for n in range(1, workers + 1)]
        self.api_key = secrets.token_urlsafe(24)
        self.sandbox: SandboxAddresses | None = None
        self.settings = folder / "gateway.env"
        self.database_url = ""
        #: That settings name.
        self.files: list[Path] = []
        #: Of the stores.
        self.ports: dict[str, int] = {}
        self.clocks = {host.name: SteppedClock(host.folder) for host in self.nodes if stepped}

    @property
    def fronts(self) -> list[Host]:
        """Those that a load balancer asks: not the head of a `RayService`."""
        return self.workers if self._start is Start.KUBERNETES else self.nodes

    @property
    def nodes(self) -> list[Host]:
        return [self.head, *self.workers]

    def connect(self, hosts: Sequence[Host]) -> None:
        """Plug these into a network of their own."""
        run("ip", "netns", "add", self.switch)
        self.namespaces.append(self.switch)
        switch = ["ip", "-n", self.switch]
        run(*switch, "link", "set", "lo", "up")
        run(*switch, "link", "add", "br0", "type", "bridge")
        run(*switch, "addr", "add", f"{NETWORK}.1/24", "dev", "br0")
        run(*switch, "link", "set", "br0", "up")
        for host in hosts:
            host.plug_in()
        names = "".join(f"{host.address} {host.name}\n" for host in self.nodes)
        (self.folder / "hosts").write_text(f"127.0.0.1 localhost\n{names}")
        (self.folder / "resolv.conf").touch()

    def start(self, more: dict[str, str]) -> None:
        """Network, stores, WhatsApp, and all nodes."""
        self.connect([self.stores, self.whatsapp, self.clients, *self.nodes])
        store_folder = self.stores.folder / "d"
        store_folder.mkdir(mode=0o711)
        self.stores.beside(
            sys.executable, "-m", "machines.servers", str(store_folder), self.stores.address
        )
        found = store_folder / "env.json"
        port_file = self.whatsapp.folder / "ports.json"
        self.whatsapp.beside(
            *sandbox_command(
                self.whatsapp.folder, "--host", self.whatsapp.address, "--port-file", str(port_file)
            )
        )
        self.wait(lambda: found.exists() and port_file.exists(), "stores and sandbox do not start")
        stores = json.loads(found.read_text())
        self.database_url = stores["DATABASE_URL"]
        self.ports = {
            "postgresql": urlsplit(stores["DATABASE_URL"]).port or 0,
            "s3": urlsplit(f"//{stores['S3_ENDPOINT']}").port or 0,
        }
        self.sandbox = SandboxAddresses.model_validate_json(port_file.read_text())
        self.files = [path for one in self.sandbox.env().values() if (path := Path(one)).is_file()]
        self.settings.touch(mode=0o600)
        settings = {
            **stores,
            **self.sandbox.env(),
            "HTTP_API_KEY": self.api_key,
            "CHECKPOINT_KEYS": "k1:" + base64.b64encode(os.urandom(32)).decode(),
            "RAY_AUTH_TOKEN": secrets.token_hex(32),
            **more,
        }
        self.settings.write_text(
            "".join(f"{name}={shlex.quote(value)}\n" for name, value in settings.items())
        )
        if self._start is Start.LAUNCHER:
            self._launch()
            return
        for host in self.nodes:
            host.boot()
            # One after the other: they share this machine's processors.
            self.wait(lambda host=host: host.is_up(), f"{host.name} is not up")

    def _launch(self) -> None:
        """`ray up` with the file as it is shipped, but for what says where the machines are."""
        key = self.folder / "key"
        run("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(key))
        for host in self.nodes:
            host.boot()
        checkout = self.clients.folder / "gateway"
        check_out(checkout)
        shipped = yaml.safe_load((checkout / "ray-cluster.yaml").read_text())
        for name in ("available_node_types", "head_node_type", "max_workers"):
            # Refused with the provider `local`.
            del shipped[name]
        shipped["provider"] = {
            "type": "local",
            "head_ip": self.head.address,
            "worker_ips": [host.address for host in self.workers],
        }
        assert shipped["auth"] == {"ssh_user": LAUNCHED}
        shipped["auth"]["ssh_private_key"] = str(key)
        # As its comment says.
        shipped["setup_commands"] = [one for one in shipped["setup_commands"] if "boto3" not in one]
        (checkout / "here.yaml").write_text(yaml.safe_dump(shipped))
        ray = Path(sys.executable).with_name("ray")
        launched = self.clients.beside(
            *("env", "-C", str(checkout), f"HOME={self.clients.folder}"),
            *(str(ray), "up", "--yes", "--no-config-cache", "here.yaml"),
        )
        assert launched.wait(_START_SECONDS) == 0, f"`ray up` failed; see {self.clients.folder}"
        for host in self.nodes:
            self.wait(lambda host=host: host.is_up(), f"{host.name} is not up")

    def enter_clients(self) -> None:
        """This thread, and those that it starts, are callers from now on."""
        with Path(f"/run/netns/{self.clients.namespace}").open() as handle:
            if ctypes.CDLL(None, use_errno=True).setns(handle.fileno(), _CLONE_NEWNET):
                raise OSError(ctypes.get_errno(), "setns")

    def popen(
        self, host: Host, *command: str, environment: dict[str, str] | None = None
    ) -> subprocess.Popen[bytes]:
        clean = {name: os.environ[name] for name in ("PATH", "LANG") if name in os.environ}
        with (host.folder / "log").open("ab") as log:
            process = subprocess.Popen(
                command,
                cwd=ROOT,
                env={
                    **clean,
                    "PYTHONPATH": os.pathsep.join([str(ROOT), str(ROOT / "tests")]),
                    "GATEWAY_ENV_FILE": os.devnull,
                    **(environment or {}),
                },
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        self._all.append(process)
        return process

    def wait(self, holds: object, what: str) -> None:
        deadline = time.monotonic() + _START_SECONDS
        while not holds():  # type: ignore[operator]
            if time.monotonic() > deadline:
                raise TimeoutError(f"{what}; see {self.folder}")
            time.sleep(0.1)

    def stop(self) -> None:
        for host in (*self.nodes[::-1], self.whatsapp, self.stores):
            with contextlib.suppress(subprocess.TimeoutExpired):
                host.kill() if host in self.nodes else _end(host)
        for process in self._all:
            if process.poll() is None:
                process.kill()
        for namespace in reversed(self.namespaces):
            subprocess.run(["ip", "netns", "del", namespace], check=False)
        for tree in Path("/sys/fs/cgroup").glob(f"**/gateway-{self.folder.name}-*"):
            _remove_tree(tree)


def _end(host: Host) -> None:
    for process in host.processes:
        process.send_signal(signal.SIGTERM)
        process.wait(20)
    host.processes = []


def _remove_tree(group: Path) -> None:
    """A group of processes that has none any more, and those below it."""
    for below in group.iterdir():
        if below.is_dir():
            _remove_tree(below)
    with contextlib.suppress(OSError):
        group.rmdir()


async def until(holds: object, seconds: float, what: str) -> float:
    """Seconds until it holds. Raises `TimeoutError`."""
    began = time.monotonic()
    while not await holds():  # type: ignore[operator]
        if time.monotonic() - began > seconds:
            raise TimeoutError(what)
        await asyncio.sleep(0.2)
    return time.monotonic() - began

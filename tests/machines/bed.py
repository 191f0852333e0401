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
from pathlib import Path
from urllib.parse import urlsplit

import psutil
from stepped_clock import SteppedClock

from ops.local.layout import ROOT
from ops.local.sandbox import SandboxAddresses, sandbox_command
from ops.local.state import Phase, State

__all__ = ["Bed", "Host", "until"]

_NETWORK = "10.77.0"
_CLONE_NEWNET = 0x40000000
_START_SECONDS = 480.0


class Host:
    """A network namespace; `Machine`s have all the others as well."""

    def __init__(self, bed: Bed, name: str, number: int) -> None:
        self.bed, self.name = bed, name
        self.address = f"{_NETWORK}.{number}"
        self.namespace = f"{bed.tag}-{name}"
        self.folder = bed.folder / name
        self.folder.mkdir(mode=0o711)
        self.processes: list[subprocess.Popen[bytes]] = []
        self._init: subprocess.Popen[bytes] | None = None

    # -- network --------------------------------------------------------------------------------

    def plug_in(self) -> None:
        _run("ip", "netns", "add", self.namespace)
        self.bed.namespaces.append(self.namespace)
        inner, port = ["ip", "-n", self.namespace], f"p-{self.name}"
        switch = ["ip", "-n", self.bed.switch]
        _run(*inner, "link", "set", "lo", "up")
        _run(*inner, "link", "add", "eth0", "type", "veth", "peer", port, "netns", self.bed.switch)
        _run(*inner, "addr", "add", f"{self.address}/24", "dev", "eth0")
        _run(*inner, "link", "set", "eth0", "up")
        _run(*switch, "link", "set", port, "master", "br0", "up")
        # To the bridge, which forwards nothing: programs look for the route.
        _run(*inner, "route", "add", "default", "via", f"{_NETWORK}.1")

    def link(self, up: bool) -> None:
        """The cable; the machine's own end stays up, as behind a switch that died."""
        state = "up" if up else "down"
        _run("ip", "-n", self.bed.switch, "link", "set", f"p-{self.name}", state)

    def drop(self, inwards: Sequence[str] = (), outwards: Sequence[str] = ()) -> None:
        """Lose what these rules of nftables say of packets that come, and that go, silently.
        None: everything gets through again."""
        rules = [
            "table inet cut",
            "delete table inet cut",
            *(
                f"table inet cut {{ chain {chain} {{ type filter hook {chain} priority 0; "
                f"{way} eth0 {rule} drop\n}}\n}}"
                for chain, way, those in (("input", "iif", inwards), ("output", "oif", outwards))
                for rule in those
            ),
        ]
        _run("ip", "netns", "exec", self.namespace, "nft", "-f", "-", stdin="\n".join(rules) + "\n")

    # -- processes ------------------------------------------------------------------------------

    def boot(self) -> None:
        """Process 1 with mount, host name, IPC and process namespaces of its own."""
        ready = self.folder / "ready"
        ready.unlink(missing_ok=True)
        isolate = ["unshare", "--mount", "--propagation", "private", "--uts", "--ipc", "--pid"]
        self._init = self.bed.popen(
            self,
            *("nsenter", f"--net=/run/netns/{self.namespace}"),
            *(*isolate, "--fork", "--kill-child"),
            *(sys.executable, "-m", "machines.inside", self.name, str(self.folder)),
        )
        self.bed.wait(ready.exists, f"{self.name} does not boot")

    @property
    def pid(self) -> int:
        """A process in its network namespace, as this machine counts them; 0: it has no power."""
        return self._init.pid if self._init else 0

    def run(self, *command: str, environment: dict[str, str] | None = None) -> None:
        """Start a program in the machine."""
        (first,) = psutil.Process(self.pid).children()
        self.processes.append(
            self.bed.popen(
                self,
                *("nsenter", "-t", str(first.pid), "-m", "-u", "-i", "-n", "-p", "--"),
                *command,
                environment=environment,
            )
        )

    def beside(self, *command: str) -> subprocess.Popen[bytes]:
        """Start a program that shares everything but the network."""
        process = self.bed.popen(self, "nsenter", f"--net=/run/netns/{self.namespace}", *command)
        self.processes.append(process)
        return process

    def terminate(self) -> None:
        """SIGTERM to what was started last in the machine; returns when it has ended."""
        process = self.processes.pop()
        for child in psutil.Process(process.pid).children():
            child.terminate()
        process.wait(400)

    def kill(self) -> None:
        """The power goes: everything in it ends at once."""
        if self._init is not None:
            self._init.kill()
            self._init.wait()
            self._init = None
        for process in self.processes:
            process.wait(10)
        self.processes = []


class Bed:
    """Everything together. `stop` ends and removes what was made, by what was noted of it."""

    def __init__(self, folder: Path, workers: int, *, stepped: bool = False) -> None:
        """`stepped`: the clocks of machines can be."""
        self.folder = folder
        self.tag = f"gw{os.getpid()}"
        self.namespaces: list[str] = []
        self.switch = f"{self.tag}-sw"
        self._all: list[subprocess.Popen[bytes]] = []
        self.stores = Host(self, "stores", 10)
        self.whatsapp = Host(self, "wa", 20)
        self.clients = Host(self, "cl", 50)
        self.head = Host(self, "head", 100)
        self.workers = [Host(self, f"w{n}", 100 + n) for n in range(1, workers + 1)]
        self.api_key = secrets.token_urlsafe(24)
        self.sandbox: SandboxAddresses | None = None
        self.settings = folder / "gateway.env"
        #: Of the stores.
        self.ports: dict[str, int] = {}
        self.clocks = {host.name: SteppedClock(host.folder) for host in self.nodes if stepped}

    @property
    def nodes(self) -> list[Host]:
        return [self.head, *self.workers]

    def start(self, more: dict[str, str]) -> None:
        """Network, stores, WhatsApp, and all nodes by `gateway node`."""
        _run("ip", "netns", "add", self.switch)
        self.namespaces.append(self.switch)
        switch = ["ip", "-n", self.switch]
        _run(*switch, "link", "set", "lo", "up")
        _run(*switch, "link", "add", "br0", "type", "bridge")
        _run(*switch, "addr", "add", f"{_NETWORK}.1/24", "dev", "br0")
        _run(*switch, "link", "set", "br0", "up")
        for host in (self.stores, self.whatsapp, self.clients, *self.nodes):
            host.plug_in()
        names = "".join(f"{host.address} {host.name}\n" for host in self.nodes)
        (self.folder / "hosts").write_text(f"127.0.0.1 localhost\n{names}")
        (self.folder / "resolv.conf").touch()
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
        self.ports = {
            "postgresql": urlsplit(stores["DATABASE_URL"]).port or 0,
            "s3": urlsplit(f"//{stores['S3_ENDPOINT']}").port or 0,
        }
        self.sandbox = SandboxAddresses.model_validate_json(port_file.read_text())
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
        for host in self.nodes:
            host.boot()
            self.start_node(host)
            # One after the other: they share this machine's processors.
            self.wait(lambda host=host: self.is_up(host), f"{host.name} is not up")

    def is_up(self, host: Host) -> bool:
        """Its node is, as it says itself."""
        state = State.read(host.folder / "data" / "state.json")
        return state is not None and state.phase is Phase.UP

    def start_node(self, host: Host) -> None:
        """As systemd does."""
        clock = self.clocks.get(host.name)
        place = ["--head"] if host is self.head else ["--join", self.head.address]
        host.run(
            *(sys.executable, "-m", "ops.cli", "node", *place),
            *("--settings", str(self.settings)),
            environment={"HOME": "/var/lib/gateway", **(clock.environment if clock else {})},
        )

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


def _end(host: Host) -> None:
    for process in host.processes:
        process.send_signal(signal.SIGTERM)
        process.wait(20)
    host.processes = []


def _run(*command: str, stdin: str = "") -> None:
    done = subprocess.run(command, input=stdin, capture_output=True, text=True, check=False)
    if done.returncode:
        raise OSError(f"{shlex.join(command)}: {done.stderr.strip()}")


async def until(holds: object, seconds: float, what: str) -> float:
    """Seconds until it holds. Raises `TimeoutError`."""
    began = time.monotonic()
    while not await holds():  # type: ignore[operator]
        if time.monotonic() - began > seconds:
            raise TimeoutError(what)
        await asyncio.sleep(0.2)
    return time.monotonic() - began

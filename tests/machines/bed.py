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

import psutil
import yaml
from stepped_clock import SteppedClock

from machines.debian import LAUNCHED, PATH, Debian, check_out, documented
from ops.embedded.process import private_file
from ops.local.layout import ROOT
from ops.local.sandbox import SandboxAddresses, sandbox_command
from ops.local.state import Phase, State

__all__ = ["Bed", "Host", "Start", "SystemdHost", "until"]

_NETWORK = "10.77.0"
_CLONE_NEWNET = 0x40000000
_START_SECONDS = 480.0
_STOP_SECONDS = 400.0


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

    @property
    def data(self) -> Path:
        """Of its node, as this machine finds it."""
        return self.folder / "data"

    def boot(self) -> None:
        """Process 1 with mount, host name, IPC and process namespaces of its own; and its node."""
        self._boot()
        self.start_node()

    def _boot(self, *more: str) -> None:
        ready = self.folder / "ready"
        ready.unlink(missing_ok=True)
        isolate = ["unshare", "--mount", "--propagation", "private", "--uts", "--ipc", "--pid"]
        self._init = self.bed.popen(
            self,
            *("nsenter", f"--net=/run/netns/{self.namespace}"),
            *(*isolate, "--fork", "--kill-child"),
            *(sys.executable, "-m", "machines.inside", self.name, str(self.folder), *more),
        )
        init = self._init

        def booted() -> bool:
            if init.poll() is not None:
                raise OSError(f"{self.name} does not boot; see {self.folder}")
            return ready.exists()

        self.bed.wait(booted, f"{self.name} does not boot")

    def start_node(self) -> None:
        """As systemd does."""
        clock = self.bed.clocks.get(self.name)
        place = ["--join", self.bed.head.address] if self is not self.bed.head else ["--head"]
        self.run(
            *(sys.executable, "-m", "ops.cli", "node", *place),
            *("--settings", str(self.bed.settings)),
            environment={"HOME": "/var/lib/gateway", **(clock.environment if clock else {})},
        )

    def stop_node(self) -> None:
        """SIGTERM to its node; returns when that has ended."""
        process = self.processes.pop()
        for child in psutil.Process(process.pid).children():
            child.terminate()
        process.wait(_STOP_SECONDS)

    @property
    def pid(self) -> int:
        """A process in its network namespace, as this machine counts them; 0: it has no power."""
        return self._init.pid if self._init else 0

    @property
    def first(self) -> int:
        """Its process 1, as this machine counts them."""
        (first,) = psutil.Process(self.pid).children()
        return first.pid

    def run(self, *command: str, environment: dict[str, str] | None = None) -> None:
        """Start a program in the machine."""
        self.processes.append(
            self.bed.popen(
                self,
                *("nsenter", "-t", str(self.first), "-m", "-u", "-i", "-n", "-p", "--"),
                *command,
                environment=environment,
            )
        )

    def beside(self, *command: str) -> subprocess.Popen[bytes]:
        """Start a program that shares everything but the network."""
        process = self.bed.popen(self, "nsenter", f"--net=/run/netns/{self.namespace}", *command)
        self.processes.append(process)
        return process

    def kill(self) -> None:
        """The power goes: everything in it ends at once."""
        if self._init is not None:
            self._init.kill()
            self._init.wait()
            self._init = None
        for process in self.processes:
            process.wait(10)
        self.processes = []


class SystemdHost(Host):
    """A Debian whose node is a unit, installed and started as docs/operations.md says."""

    def __init__(self, bed: Bed, name: str, number: int) -> None:
        super().__init__(bed, name, number)
        assert bed.debian is not None
        self._debian = bed.debian
        self._enabled = False

    @property
    def data(self) -> Path:
        return self.folder / "upper" / "var/lib/gateway"

    @property
    def unit(self) -> str:
        return "gateway-head" if self is self.bed.head else "gateway-worker"

    def boot(self) -> None:
        """It starts its node by itself, once that is enabled."""
        self._boot(str(self._debian.base))
        self.bed.wait(self._runs, f"the systemd of {self.name} does not come up")
        if not self._enabled:
            self._give_settings()
            enable = documented("useradd ")[1]
            self.shell(enable.replace("gateway-head", self.unit))
            self._enabled = True

    def _give_settings(self) -> None:
        settings = self.bed.settings.read_text()
        if self is not self.bed.head:
            settings += f"HEAD={self.bed.head.address}\n"
        inside = Path(f"/proc/{self.first}/root")
        for name in self.bed.files:
            # What the settings name: the sandbox's certificates.
            there = inside / name.relative_to("/")
            there.parent.mkdir(parents=True, exist_ok=True)
            there.write_bytes(name.read_bytes())
        private_file(inside / "etc/gateway.env", settings)

    def _runs(self) -> bool:
        # A machine of namespaces lacks much: it is degraded at best.
        state = self.shell("systemctl is-system-running || true").strip()
        return state in {"running", "degraded"}

    def start_node(self) -> None:
        self.shell(f"systemctl start {self.unit}")

    def stop_node(self) -> None:
        self.shell(f"systemctl stop {self.unit}")

    def reboot(self) -> None:
        """Everything in it is stopped in order; it is down then."""
        init = self._init
        assert init is not None
        self.shell("systemctl --no-block reboot")
        init.wait(_STOP_SECONDS)
        self.kill()

    def shell(self, command: str) -> str:
        """Run it in the machine as root, and wait. Raises `OSError` when it fails."""
        inside = ["nsenter", "-t", str(self.first), "-a", "-r", "-w", "--"]
        clean = ["env", "-i", f"PATH={PATH}", "HOME=/root"]
        return _run(*inside, *clean, "sh", "-c", command)


class LaunchedHost(SystemdHost):
    """A Debian as `ray-cluster.yaml` expects it; its node is started over SSH."""

    def boot(self) -> None:
        self._boot(str(self._debian.base))
        self.bed.wait(self._runs, f"the systemd of {self.name} does not come up")
        self._give_settings()
        key = (self.bed.folder / "key.pub").read_text()
        owned = f"install -D -o {LAUNCHED} -m 600 /dev/stdin ~{LAUNCHED}/.ssh/authorized_keys"
        self.shell(f"{owned} <<'END'\n{key}END\n")
        self.shell(f"chown -R {LAUNCHED}: ~{LAUNCHED}/.ssh /etc/gateway.env")

    def start_node(self) -> None:
        raise NotImplementedError("the launcher does")

    stop_node = start_node


class Start(StrEnum):
    """How nodes are started."""

    NODE = "node"
    SYSTEMD = "systemd"
    LAUNCHER = "launcher"


_HOSTS = {Start.NODE: Host, Start.SYSTEMD: SystemdHost, Start.LAUNCHER: LaunchedHost}


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
            self.wait(lambda host=host: self.is_up(host), f"{host.name} is not up")

    def _launch(self) -> None:
        """`ray up` with the file as it is shipped, but for what says where the machines are."""
        key = self.folder / "key"
        _run("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(key))
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
            self.wait(lambda host=host: self.is_up(host), f"{host.name} is not up")

    def is_up(self, host: Host) -> bool:
        """Its node is, as it says itself."""
        state = State.read(host.data / "state.json")
        return state is not None and state.phase is Phase.UP

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


def _run(*command: str, stdin: str = "") -> str:
    done = subprocess.run(command, input=stdin, capture_output=True, text=True, check=False)
    if done.returncode:
        raise OSError(f"{shlex.join(command)}: {done.stdout.strip()} {done.stderr.strip()}")
    return done.stdout


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

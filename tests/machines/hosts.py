"""The machines of the bed, by how their nodes are started."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import psutil

from machines.debian import LAUNCHED, PATH, documented
from machines.shell import run
from ops.embedded.process import private_file
from ops.local.state import Phase, State

if TYPE_CHECKING:
    from machines.bed import Bed

__all__ = ["STOP_SECONDS", "Host", "LaunchedHost", "SystemdHost"]

NETWORK = "10.77.0"
STOP_SECONDS = 400.0


class Host:
    """A network namespace; `Machine`s have all the others as well."""

    #: Of a node's front.
    http_port = 3000

    def __init__(self, bed: Bed, name: str, number: int) -> None:
        self.bed, self.name = bed, name
        self.address = f"{NETWORK}.{number}"
        self.namespace = f"{bed.tag}-{name}"
        self.folder = bed.folder / name
        self.folder.mkdir(mode=0o711)
        self.processes: list[subprocess.Popen[bytes]] = []
        self._init: subprocess.Popen[bytes] | None = None

    # -- network --------------------------------------------------------------------------------

    def plug_in(self) -> None:
        run("ip", "netns", "add", self.namespace)
        self.bed.namespaces.append(self.namespace)
        inner, port = ["ip", "-n", self.namespace], f"p-{self.name}"
        switch = ["ip", "-n", self.bed.switch]
        run(*inner, "link", "set", "lo", "up")
        run(*inner, "link", "add", "eth0", "type", "veth", "peer", port, "netns", self.bed.switch)
        run(*inner, "addr", "add", f"{self.address}/24", "dev", "eth0")
        run(*inner, "link", "set", "eth0", "up")
        run(*switch, "link", "set", port, "master", "br0", "up")
        # To the bridge, which forwards nothing: programs look for the route.
        run(*inner, "route", "add", "default", "via", f"{NETWORK}.1")

    def link(self, up: bool) -> None:
        """The cable; the machine's own end stays up, as behind a switch that died."""
        state = "up" if up else "down"
        run("ip", "-n", self.bed.switch, "link", "set", f"p-{self.name}", state)

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
        run("ip", "netns", "exec", self.namespace, "nft", "-f", "-", stdin="\n".join(rules) + "\n")

    # -- processes ------------------------------------------------------------------------------

    @property
    def data(self) -> Path:
        """Of its node, as this machine finds it."""
        return self.folder / "data"

    def is_up(self) -> bool:
        """Its node is, as it says itself."""
        state = State.read(self.data / "state.json")
        return state is not None and state.phase is Phase.UP

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
        self._terminate().wait(STOP_SECONDS)

    def _terminate(self) -> subprocess.Popen[bytes]:
        """SIGTERM to what was started last in the machine; it ends with that."""
        process = self.processes.pop()
        for child in psutil.Process(process.pid).children():
            child.terminate()
        return process

    @property
    def pid(self) -> int:
        """A process in its network namespace, as this machine counts them; 0: it has no power."""
        return self._init.pid if self._init else 0

    @property
    def first(self) -> int:
        """Its process 1, as this machine counts them."""
        (first,) = psutil.Process(self.pid).children()
        return first.pid

    def _enter(self) -> list[str]:
        return ["nsenter", "-t", str(self.first), "-m", "-u", "-i", "-n", "-p", "--"]

    def run(self, *command: str, environment: dict[str, str] | None = None) -> None:
        """Start a program in the machine."""
        self.processes.append(
            self.bed.popen(
                self,
                *self._enter(),
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
        self.boot_alone()
        if not self._enabled:
            self._give_settings()
            enable = documented("gateway-head.service")[1]
            self.shell(enable.replace("gateway-head", self.unit))
            self._enabled = True

    def boot_alone(self) -> None:
        """Boot it, with what is enabled."""
        self._boot(str(self._debian.base))
        self.bed.wait(self._runs, f"the systemd of {self.name} does not come up")

    def _give_settings(self) -> None:
        settings = self.bed.settings.read_text()
        if self is not self.bed.head:
            settings += f"HEAD={self.bed.head.address}\n"
        self._give_files()
        private_file(self.inside / "etc/gateway.env", settings)

    @property
    def inside(self) -> Path:
        """Its root, as this machine finds it while it runs."""
        return Path(f"/proc/{self.first}/root")

    def _give_files(self) -> None:
        """What the settings name: the sandbox's certificates."""
        for name in self.bed.files:
            there = self.inside / name.relative_to("/")
            there.parent.mkdir(parents=True, exist_ok=True)
            there.write_bytes(name.read_bytes())

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
        init.wait(STOP_SECONDS)
        self.kill()

    def shell(self, command: str) -> str:
        """Run it in the machine as root, and wait. Raises `OSError` when it fails."""
        clean = ["env", "-i", f"PATH={PATH}", "HOME=/root"]
        return run(*self._enter(), *clean, "sh", "-c", command)

    def _enter(self) -> list[str]:
        return ["nsenter", "-t", str(self.first), "-a", "-r", "-w", "--"]


class LaunchedHost(SystemdHost):
    """A Debian as `ray-cluster.yaml` expects it; its node is started over SSH."""

    def boot(self) -> None:
        self.boot_alone()
        self._give_settings()
        key = (self.bed.folder / "key.pub").read_text()
        owned = f"install -D -o {LAUNCHED} -m 600 /dev/stdin ~{LAUNCHED}/.ssh/authorized_keys"
        self.shell(f"{owned} <<'END'\n{key}END\n")
        self.shell(f"chown -R {LAUNCHED}: ~{LAUNCHED}/.ssh /etc/gateway.env")

    def start_node(self) -> None:
        raise NotImplementedError("the launcher does")

    stop_node = start_node

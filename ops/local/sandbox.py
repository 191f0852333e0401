"""The local WhatsApp as a part: a child process that writes its addresses to a file."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path

from pydantic import BaseModel, SecretStr, ValidationError

from ops.embedded.process import ProcessId, ServerProcess, free_ports
from ops.local.part import Part
from ops.local.processes import descendants
from ops.local.state import PartState

__all__ = ["SandboxAddresses", "SandboxPart", "sandbox_command"]

_PORT_FILE = "ports.json"


class SandboxAddresses(BaseModel):
    """What the sandbox writes into its port file once it answers."""

    proxy_url: str
    #: Hex of the public key that its noise certificates hang on.
    root_key: str
    #: PEM file: the system's roots and its own.
    ca_bundle: str
    control_url: str
    control_token: SecretStr
    pid: int

    def env(self) -> dict[str, str]:
        """The gateway's settings for it."""
        return {
            "WHATSAPP_PROXY_URL": self.proxy_url,
            "WHATSAPP_SANDBOX_ROOT_KEY": self.root_key,
            "WHATSAPP_SANDBOX_CA_BUNDLE": self.ca_bundle,
        }


def sandbox_command(folder: Path, *arguments: str) -> list[str]:
    """How the sandbox is started on a folder."""
    return [sys.executable, "-m", "sandbox", "--data-dir", str(folder), *arguments]


class SandboxPart(Part):
    """`python -m sandbox`."""

    def __init__(self, folder: Path, started: Callable[[SandboxAddresses], None]) -> None:
        """`started` gets its addresses after each start."""
        self._folder = folder
        self._started = started
        self._process = ServerProcess("sandbox", folder)
        self._addresses: SandboxAddresses | None = None
        self._ports: list[int] = []
        self._restarts = 0

    @property
    def name(self) -> str:
        return "sandbox"

    @property
    def addresses(self) -> SandboxAddresses:
        if self._addresses is None:
            raise RuntimeError("the sandbox was not started")
        return self._addresses

    @property
    def port_file(self) -> Path:
        """Where it writes its addresses, anew with each start."""
        return self._folder / _PORT_FILE

    @property
    def ended(self) -> bool:
        return self._addresses is not None and self._process.pid is None

    def start(self) -> None:
        self.begin()
        self.wait()

    def begin(self) -> None:
        """Start it."""
        if self._addresses is not None:
            self._restarts += 1
        # The sessions that run hold its proxy's address in their environment.
        self._ports = self._ports or free_ports(2)
        proxy, control = self._ports
        self._process.begin(
            sandbox_command(
                self._folder,
                *("--port-file", str(self.port_file)),
                *("--proxy-port", str(proxy), "--control-port", str(control)),
            ),
        )

    def wait(self) -> None:
        """Wait for its addresses. Raises `Unavailable`."""
        self._process.wait(self._addresses_written)
        self._started(self.addresses)

    def stop(self) -> None:
        self._addresses = None
        self._process.stop()

    def report(self) -> PartState:
        process = ProcessId.of(self._process.pid) if self._process.pid else None
        return PartState(
            name=self.name,
            process=process,
            port=self._ports[1] if self._ports else None,
            log=self._process.log_file,
            restarts=self._restarts,
            family=sorted(descendants(process), key=lambda one: one.pid) if process else [],
        )

    def _addresses_written(self) -> bool:
        try:
            text = self.port_file.read_text()
            found = SandboxAddresses.model_validate_json(text)
        except (FileNotFoundError, ValidationError):
            return False
        if found.pid != self._process.pid:
            return False  # of an earlier one
        self._addresses = found
        return True

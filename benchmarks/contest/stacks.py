"""The contestants: each with a sandbox of its own, driven by HTTP alone."""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jwt
import psutil

from benchmarks.baseline.process import JWT_SECRET, baseline
from ops.embedded import EmbeddedStores
from ops.local.layout import ROOT, Layout
from ops.local.orphans import RUN_VARIABLE
from ops.local.state import State

__all__ = ["Stack", "the_baseline", "the_gateway", "the_sandbox"]

_UP_SECONDS = 300
#: Nobody's limits: what is measured is how fast it can be.
_UNLIMITED = {"LIMIT_PER_KEY": "none", "LIMIT_PER_TENANT": "none", "LIMIT_PER_SESSION": "none"}
#: What a process is counted as, by its command: the first that fits.
_PARTS = (
    ("sandbox", ("-m sandbox",)),
    ("sessions", ("ray::Session", "ray::Pack", "server.mjs")),
    ("serve", ("ray::Serve", "ray::Proxy", "ray::HAProxy", "haproxy")),
    ("stores", ("postgres", "valkey", "weed")),
    ("gateway", ("ray::", "ops.cli", "ops.local.host")),
    ("ray", ("",)),
)


@dataclass(frozen=True, kw_only=True, slots=True)
class Stack:
    """A running one."""

    name: str
    url: str
    #: headers of each request
    headers: dict[str, str]
    control_url: str
    control_token: str
    #: the processes that started all others, which are counted with them
    pids: tuple[int, ...]
    #: the gateway's run, by which those are known that are nobody's children any more
    run: str = ""

    def session(self, name: str, webhook: str) -> dict[str, object]:
        """The body that creates a session."""
        if not self.run:
            return {"name": name}
        hook = {"url": webhook, "events": ["message"]}
        return {"name": name, "config": {"webhooks": [hook]}}

    def memory(self) -> dict[str, dict[str, float]]:
        """MB by part: `uss` and `pss`, and how many processes."""
        found: dict[str, dict[str, float]] = {}
        for part, process in self._processes():
            with contextlib.suppress(psutil.Error):
                used = process.memory_full_info()
                sums = found.setdefault(part, {"uss": 0.0, "pss": 0.0, "processes": 0})
                sums["uss"] += used.uss / 1e6
                sums["pss"] += used.pss / 1e6
                sums["processes"] += 1
        return found

    def processor(self) -> dict[str, float]:
        """Processor seconds so far by part, those of ended children included."""
        found: dict[str, float] = {}
        for part, process in self._processes():
            with contextlib.suppress(psutil.Error):
                used = process.cpu_times()
                found[part] = found.get(part, 0.0) + (
                    used.user + used.system + used.children_user + used.children_system
                )
        return found

    def _processes(self) -> Iterator[tuple[str, psutil.Process]]:
        # PostgreSQL's processes write their titles over their environment, and Valkey's forks too:
        # they are known by who started them.
        ours: dict[int, psutil.Process] = {}
        for process in psutil.process_iter():
            with contextlib.suppress(psutil.Error):
                if process.pid in self.pids or self._is_marked(process):
                    ours[process.pid] = process
                    ours |= {child.pid: child for child in process.children(recursive=True)}
        for process in ours.values():
            with contextlib.suppress(psutil.Error):
                yield _part(process), process

    def _is_marked(self, process: psutil.Process) -> bool:
        return bool(self.run) and process.environ().get(RUN_VARIABLE) == self.run


def _part(process: psutil.Process) -> str:
    command = " ".join(process.cmdline())
    return next(name for name, signs in _PARTS if any(sign in command for sign in signs))


@contextmanager
def the_sandbox(folder: Path) -> Iterator[dict[str, Any]]:
    """`python -m sandbox`: where it listens, and its `pid`."""
    ports = folder / "sandbox.json"
    command = [sys.executable, "-m", "sandbox", "--data-dir", str(folder / "sandbox")]
    sandbox = subprocess.Popen([*command, "--port-file", str(ports)], cwd=ROOT)
    try:
        deadline = time.monotonic() + 60
        while not ports.exists():
            if time.monotonic() > deadline:
                raise TimeoutError("the sandbox did not start")
            time.sleep(0.1)
        yield json.loads(ports.read_text())
    finally:
        sandbox.terminate()
        sandbox.wait(30)


@contextmanager
def the_baseline(folder: Path, webhook: str, *, full: bool = False) -> Iterator[Stack]:
    """Express over Baileys, in one process; with `full` the original's whole stack: its history in
    PostgreSQL, limits and states in Redis, credentials in S3, tokens, a log."""
    folder.mkdir(mode=0o711, parents=True, exist_ok=True)
    stores = EmbeddedStores(folder / "stores") if full else None
    with contextlib.ExitStack() as running_parts:
        if stores is not None:
            running_parts.enter_context(stores)
        ends = running_parts.enter_context(the_sandbox(folder))
        running = running_parts.enter_context(
            baseline(
                folder / "baseline",
                websocket_url=ends["websocket_url"],
                ca_bundle=ends["ca_bundle"],
                webhook_url=webhook,
                stores=stores.env() if stores is not None else None,
            )
        )
        yield Stack(
            name="original" if full else "baileys",
            url=running.url,
            headers={"Authorization": f"Bearer {_token()}"} if full else {},
            control_url=ends["control_url"],
            control_token=ends["control_token"],
            pids=(running.pid, ends["pid"], *_children(stores)),
        )


def _token() -> str:
    return jwt.encode({"sub": "benchmark"}, JWT_SECRET, algorithm="HS256")


def _children(stores: EmbeddedStores | None) -> Iterator[int]:
    for process in psutil.Process().children() if stores is not None else ():
        with contextlib.suppress(psutil.Error):
            if _part(process) == "stores":
                yield process.pid


@contextmanager
def the_gateway(
    folder: Path, *, packed: int = 0, nodes: int = 1, root: Path = ROOT, port: int = 0
) -> Iterator[Stack]:
    """`gateway up --sandbox`; its settings come from this process's environment.
    `packed`: so many sessions to a process; `root`: another checkout, whose code it runs; `port`:
    where it answers, unless as its settings say."""
    data = folder / "gateway"
    environment = {"GATEWAY_ENV_FILE": os.devnull, **os.environ, **_UNLIMITED}
    if port:
        environment["HTTP_PORT"] = str(port)
    if packed:
        environment["PLACEMENT_SESSIONS_PER_ACTOR"] = str(packed)
        environment["PLACEMENT_SESSION_SLOTS_PER_NODE"] = str(packed)

    def command(*arguments: str) -> None:
        subprocess.run(
            [sys.executable, "-m", "ops.cli", *arguments, "--data", str(data)],
            cwd=root,
            env={**environment, "PYTHONPATH": str(root)},
            stdout=subprocess.DEVNULL,
            timeout=_UP_SECONDS,
            check=True,
        )

    try:
        command("up", "--sandbox", "--nodes", str(nodes))
        state = State.read(Layout.at(data).state)
        if state is None:
            raise RuntimeError("the gateway left no record of itself")
        yield Stack(
            name="gateway",
            url=state.url,
            headers={"X-Api-Key": state.api_key},
            control_url=state.sandbox_control_url,
            control_token=state.sandbox_control_token,
            pids=(state.host.pid,),
            run=state.run,
        )
    finally:
        command("down")

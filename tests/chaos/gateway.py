"""The gateway under test: its command line, its HTTP API, its nodes and processes."""

from __future__ import annotations

import asyncio
import math
import os
import signal
import sys
import time
from pathlib import Path
from typing import Any

import httpx
import psutil

from actors.zygote.spares import spares
from chaos.servers import family, signal_all
from cluster.domain.errors import Unavailable
from cluster.domain.session import SUPERVISOR
from ops.embedded.process import free_ports
from ops.local.generated_secrets import ray_token
from ops.local.layout import ROOT, Layout
from ops.local.orphans import RUN_VARIABLE
from ops.local.ray_state import node_names
from ops.local.state import PartState, State
from ops.local.user_settings import variables

__all__ = ["Gateway"]

_COMMAND_SECONDS = 300
_HEAD = "node-1"
_STARTS = 3


class Gateway:
    """One gateway on its own data folder, with stores and sandbox from outside."""

    def __init__(
        self, data: Path, *, nodes: int, sessions: int, environment: dict[str, str]
    ) -> None:
        self.layout = Layout.at(data)
        self.nodes = nodes
        self._environment = environment
        self._shared = int(environment.get("PLACEMENT_SESSIONS_PER_ACTOR", "1")) > 1
        # Enough for a node that has half as many again as the others.
        self._spares = math.ceil(1.5 * sessions / (nodes * (nodes - 1)))
        self._port = free_ports(1)[0]
        self._api: httpx.AsyncClient | None = None

    @property
    def state(self) -> State:
        """As its host last wrote it."""
        found = State.read(self.layout.state)
        if found is None:
            raise Unavailable("the gateway has no state")
        return found

    @property
    def api(self) -> httpx.AsyncClient:
        if self._api is None:
            raise Unavailable("the gateway is not up")
        return self._api

    async def up(self) -> float:
        """Start it; returns the seconds it took. Raises `Unavailable`."""
        began = time.monotonic()
        for left in reversed(range(_STARTS)):
            try:
                # Ray's state API says where its actors are.
                await self._command("up", "--nodes", str(self.nodes), "--dashboard")
                break
            except Unavailable:
                # Every step of a start is bounded, and a busy machine may be slower.
                if not left:
                    raise
        if self._api is None:
            state = self.state
            self._api = httpx.AsyncClient(
                base_url=state.url,
                headers={"X-Api-Key": state.api_key},
                timeout=20,
                trust_env=False,
                limits=httpx.Limits(max_connections=None),
            )
        return time.monotonic() - began

    async def end(self) -> None:
        """The quick end: nothing of it is needed any more."""
        if self._api is not None:
            await self._api.aclose()
            self._api = None
        if State.read(self.layout.state) is not None:
            await self.kill()

    def part(self, name: str) -> PartState:
        return next(part for part in self.state.parts if part.name == name)

    def members(self, node: str) -> set[int]:
        """All processes of a node, as of now."""
        process = self.part(node).process
        return family(process.pid) if process is not None else set()

    def everything(self) -> set[int]:
        """All processes of this gateway: its host, its nodes, their workers."""
        state = self.state
        found = family(state.host.pid)
        found |= {one.pid for part in state.parts for one in part.family if one.alive}
        for process in psutil.process_iter():
            try:
                if process.environ().get(RUN_VARIABLE) == state.run:
                    found.add(process.pid)
            except (psutil.Error, OSError):
                continue
        return found

    async def kill(self) -> None:
        """SIGKILL all of it; returns when it is gone."""
        members = [psutil.Process(pid) for pid in self.everything() if psutil.pid_exists(pid)]
        signal_all({one.pid for one in members}, signal.SIGKILL)
        await asyncio.to_thread(psutil.wait_procs, members, 10)

    async def node_ids(self) -> dict[str, str]:
        """Node name to Ray's id, of the nodes that are alive. Raises `Unavailable`."""
        state = self.state
        token = ray_token(self.layout.secrets)[1]
        found = await asyncio.to_thread(node_names, state.dashboard_url, token)
        return {name: node_id for node_id, name in found.items()}

    async def workers(self) -> list[str]:
        """Names of the nodes that are not the head."""
        return sorted(name for name in await self.node_ids() if name != _HEAD)

    async def settled(self, seconds: float = 60.0) -> bool:
        """Wait until every node is there with its spare processes, as between faults in life; not
        longer than `seconds`."""
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            try:
                names = await self.node_ids()
            except Unavailable:
                names = {}
            ready = [await asyncio.to_thread(spares, self.layout.node(name)) for name in names]
            if len(ready) >= self.nodes and min(ready) >= self._spares:
                return True
            await asyncio.sleep(1.0)
        return False

    async def wait_for_node(self, name: str, *, other_than: str, seconds: float = 300.0) -> None:
        """Wait until a node of this name, and not that one, is in the cluster: what was received
        there and not yet recorded is on its disk."""
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            try:
                if (await self.node_ids()).get(name, other_than) != other_than:
                    return
            except Unavailable:
                pass
            await asyncio.sleep(0.5)
        raise Unavailable(f"{name} did not come back within {seconds:.0f} s")

    async def spread(self, node: str, seconds: float = 120.0) -> None:
        """Have a node's sessions go where others start. Raises `Unavailable`."""
        if self._shared:
            try:
                await self._command("drain", node, "--timeout", f"{seconds:.0f}")
            finally:
                await self._command("undrain", node)
            return
        # Not by a drain: Ray keeps actors that moved off that node, also when it restarts them.
        node_id = (await self.node_ids())[node]
        theirs = {
            name: int(one["gateway"]["epoch"])
            for name, one in (await self.sessions()).items()
            if one["gateway"]["node"] == node_id
        }
        for name in theirs:
            answer = await self.api.post(f"/api/sessions/{name}/restart")
            if not answer.is_success:
                raise Unavailable(f"restart of {name}: {answer.text}")
        deadline = time.monotonic() + seconds
        while True:
            found = await self.sessions()
            left = {
                name
                for name, epoch in theirs.items()
                if found[name]["status"] != "WORKING" or found[name]["gateway"]["epoch"] <= epoch
            }
            if not left:
                return
            if time.monotonic() > deadline:
                raise Unavailable(f"{', '.join(sorted(left))} did not start again")
            await asyncio.sleep(0.5)

    async def control_plane_again(self, seconds: float) -> float:
        """Seconds until the control store knows actors again. Raises `Unavailable`."""
        began = time.monotonic()
        while time.monotonic() - began < seconds:
            try:
                if await self.actors():
                    return time.monotonic() - began
            except (httpx.HTTPError, KeyError):
                pass
            await asyncio.sleep(0.1)
        raise Unavailable(f"the control store was not back within {seconds:.0f} s")

    async def actor_pid(self, actor: str) -> int:
        """The process of a live actor."""
        return next(int(row["pid"]) for row in await self.actors() if row["name"] == actor)

    async def supervisor_off_the_head(self) -> str:
        """See to it that the supervisor is not on the head; returns the name of its node. Raises
        `Unavailable`."""
        ids = await self.node_ids()
        if await self._node_of_supervisor() == ids[_HEAD]:
            mover = str(ROOT / "tests" / "chaos" / "move_supervisor.py")
            await self._command("run", "python", mover, ids[_HEAD])
        node = await self._node_of_supervisor()
        return next(name for name, node_id in ids.items() if node_id == node)

    async def _node_of_supervisor(self) -> str:
        try:
            rows = await self.actors()
        except (httpx.HTTPError, KeyError) as error:
            raise Unavailable(f"where the supervisor is: {error!r}") from error
        found = [str(row["node_id"]) for row in rows if row["name"] == SUPERVISOR]
        if len(found) != 1:
            raise Unavailable(f"{len(found)} supervisors are alive")
        return found[0]

    async def actors(self) -> list[dict[str, Any]]:
        """All live actors, by Ray's state API, which asks the control store.
        Raises `httpx.HTTPError`, `KeyError`."""
        async with httpx.AsyncClient(trust_env=False, timeout=10) as client:
            answer = await client.get(
                f"{self.state.dashboard_url}/api/v0/actors",
                params={
                    "detail": "1",
                    "limit": "1000",
                    "filter_keys": "state",
                    "filter_predicates": "=",
                    "filter_values": "ALIVE",
                },
                headers={"Authorization": f"Bearer {ray_token(self.layout.secrets)[1]}"},
            )
        return list(answer.raise_for_status().json()["data"]["result"]["result"])

    async def sessions(self) -> dict[str, dict[str, Any]]:
        """All sessions by name, as the API shows them. Raises `Unavailable`."""
        try:
            answer = await self.api.get("/api/sessions", params={"all": "true"})
            answer.raise_for_status()
        except httpx.HTTPError as error:
            raise Unavailable(f"sessions: {error!r}") from error
        return {one["name"]: one for one in answer.json()}

    async def events(self, session: str, *, after: int) -> list[dict[str, Any]]:
        """Events of a session behind a number."""
        answer = await self.api.get(
            f"/api/{session}/events", params={"after": after, "limit": 1000}
        )
        return list(answer.raise_for_status().json()["events"])

    async def newest_event(self, session: str) -> int:
        """The number of a session's newest event."""
        answer = await self.api.get(f"/api/{session}/events", params={"limit": 1})
        return int(answer.raise_for_status().json()["newest"])

    async def _command(self, name: str, *arguments: str) -> None:
        theirs = variables()
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "ops.cli", name, "--data", str(self.layout.data)),
            *arguments,
            cwd=ROOT,
            env={
                **{key: value for key, value in os.environ.items() if key not in theirs},
                "PYTHONPATH": str(ROOT),
                "GATEWAY_ENV_FILE": os.devnull,
                "HTTP_PORT": str(self._port),
                # As docs/operations.md has it for several nodes: one may be lost.
                "HTTP_REPLICAS": "2",
                # Enough for the sessions of one lost node on the others.
                "PLACEMENT_SPARE_PROCESSES": str(self._spares),
                # A node in life is older than these when something breaks.
                "PLACEMENT_SPARES_AFTER_SECONDS": "20",
                # A busy machine is not a fault; Ray's 30 s are.
                "RAY_raylet_start_wait_time_s": "120",
                **self._environment,
            },
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
        )
        async with asyncio.timeout(_COMMAND_SECONDS):
            said, _ = await process.communicate()
        if process.returncode:
            raise Unavailable(f"gateway {name}: {said.decode(errors='replace')[-2000:]}")

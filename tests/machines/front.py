"""The way in, as callers have it: the load balancer of docs/operations.md, on their machine."""

from __future__ import annotations

import csv
import socket
from typing import TYPE_CHECKING, Any

import httpx

from cluster.domain.errors import Unavailable
from machines.debian import balancer
from ops.ingress import haproxy

if TYPE_CHECKING:
    from machines.bed import Bed

__all__ = ["Front"]

_ANSWER_SECONDS = 10.0


class Front:
    """Takes the place of the chaos suite's gateway."""

    def __init__(self, bed: Bed) -> None:
        """Its callers are in the network of `bed.clients`."""
        self._socket = bed.clients.folder / "haproxy.sock"
        shipped = bed.clients.folder / "haproxy.cfg"
        shipped.write_text(
            balancer({host.name: f"{host.address}:{host.http_port}" for host in bed.fronts})
        )
        own = bed.clients.folder / "socket.cfg"
        own.write_text(f"global\n  stats socket {self._socket} mode 600 level user\n")
        bed.clients.beside(haproxy.binary(), "-db", "-f", str(own), "-f", str(shipped))
        bed.wait(self._socket.exists, "the load balancer does not start")
        self.api = httpx.AsyncClient(
            base_url=f"http://{bed.clients.address}",
            headers={"X-Api-Key": bed.api_key},
            timeout=40,
            trust_env=False,
        )

    @property
    def healthy(self) -> list[str]:
        """Machines whose front the load balancer asks."""
        with socket.socket(socket.AF_UNIX) as asking:
            asking.settimeout(_ANSWER_SECONDS)
            asking.connect(str(self._socket))
            asking.sendall(b"show stat\n")
            answer = asking.makefile().read().removeprefix("# ")
        return [
            row["svname"]
            for row in csv.DictReader(answer.splitlines())
            if row["svname"] not in ("FRONTEND", "BACKEND") and row["status"].startswith("UP")
        ]

    async def sessions(self) -> dict[str, dict[str, Any]]:
        """All sessions by name. Raises `Unavailable`."""
        try:
            answer = await self.api.get("/api/sessions", params={"all": "true"})
            answer.raise_for_status()
        except httpx.HTTPError as error:
            raise Unavailable(f"sessions: {error!r}") from error
        return {one["name"]: one for one in answer.json()}

    async def nodes(self) -> dict[str, str]:
        """Node id to name, of those that are alive and whose agent speaks."""
        try:
            answer = await self.api.get("/api/cluster/nodes")
            answer.raise_for_status()
        except httpx.HTTPError as error:
            raise Unavailable(f"nodes: {error!r}") from error
        return {row["id"]: row["name"] for row in answer.json() if row["health"]}

    async def close(self) -> None:
        await self.api.aclose()

"""`gateway nodes`, `gateway drain` and `gateway undrain`."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import Annotated, TypeVar

import typer
from rich.table import Table

from client.nodes import Nodes
from cluster.stores import Stores
from cluster.stores.workers import Worker
from ops.cli.console import console, fail
from ops.cli.data_folder import DataOption
from ops.cli.local_stores import with_stores

__all__ = ["drain", "nodes", "undrain"]

T = TypeVar("T")

NodeArgument = Annotated[str, typer.Argument(help="Name or id of the node: see `gateway nodes`.")]


def nodes(data: DataOption = None) -> None:
    """Show the nodes of the cluster with their sessions."""
    table = Table("node", "id", "address", "slots", "sessions", "takes sessions")
    for worker in _with_nodes(data, lambda found: found.list()):
        table.add_row(
            worker.name,
            worker.node[:12],
            worker.address,
            str(worker.slots),
            str(worker.sessions),
            "drained" if worker.drained else "yes" if worker.slots else "no slots",
        )
    console.print(table)


def drain(
    node: NodeArgument,
    data: DataOption = None,
    timeout: Annotated[
        float, typer.Option(min=0, help="Seconds to wait until the node is empty.")
    ] = 3600.0,
    patience: Annotated[
        float, typer.Option(min=0, help="Seconds to wait for other nodes that have room.")
    ] = 0.0,
) -> None:
    """Hand the sessions of a node over to the others and take no more there, until `undrain`.

    Exit code 1 when sessions are left after the timeout; the drain goes on.
    """
    began = time.monotonic()

    async def run(found: Nodes) -> Worker:
        worker = await found.drain(node, patience=patience)
        async with asyncio.timeout(timeout):
            async for sessions in found.remaining(worker):
                console.print(f"{worker.name}: {sessions} sessions left")
        return worker

    try:
        worker = _with_nodes(data, run)
    except TimeoutError:
        fail(f"{node} is not empty after {timeout:.0f} s; the drain goes on")
    console.print(f"[green]{worker.name} is empty[/] after {time.monotonic() - began:.1f} s")


def undrain(node: NodeArgument, data: DataOption = None) -> None:
    """Take sessions on a drained node again. Those that moved stay where they are."""
    name = _with_nodes(data, lambda found: found.undrain(node))
    console.print(f"{name} takes sessions")


def _with_nodes(data: DataOption, work: Callable[[Nodes], Awaitable[T]]) -> T:
    async def run(stores: Stores) -> T:
        async def opened() -> Stores:
            return stores

        return await work(Nodes(opened))

    return with_stores(data, run)

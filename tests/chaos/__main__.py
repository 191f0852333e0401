"""`gateway chaos`, as `python -m chaos`."""

from __future__ import annotations

import asyncio
import json
import signal
from collections.abc import Coroutine
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console

from chaos.faults import FAULTS
from chaos.report import WIDTH, Result, as_json, publish, read, show
from chaos.suite import Plan, Suite, new_folder, remove
from cluster.domain.errors import GatewayError


def main(
    rounds: Annotated[int, typer.Option(min=1, help="Of each fault.")] = 5,
    fault: Annotated[
        list[str] | None, typer.Option(help=f"Only this one; repeat it. {', '.join(FAULTS)}.")
    ] = None,
    sessions: Annotated[int, typer.Option(min=2, help="Paired sessions.")] = 20,
    nodes: Annotated[int, typer.Option(min=2, help="Ray nodes.")] = 3,
    pause: Annotated[float, typer.Option(min=0.1, help="Seconds between a sender's texts.")] = 2.0,
    patience: Annotated[
        float, typer.Option(min=1, help="What is missing after so long without progress is lost.")
    ] = 90.0,
    sessions_per_actor: Annotated[
        int, typer.Option(min=1, max=200, help="Sessions that share a process.")
    ] = 1,
    json_file: Annotated[Path | None, typer.Option("--json", help="Write figures here.")] = None,
    table: Annotated[
        list[Path] | None,
        typer.Option(help="Run nothing: show the figures that --json wrote; repeat it for more."),
    ] = None,
    into: Annotated[
        Path | None, typer.Option(help="With --table: write it into this document as well.")
    ] = None,
    keep: Annotated[bool, typer.Option("--keep", help="Leave data and logs.")] = False,
) -> None:
    """Break a gateway of its own on purpose; exit code 1 when a promise did not hold."""
    console = Console(width=WIDTH)
    if table:
        figures = read(table)
        show(figures, console)
        if into is not None:
            publish(figures, into)
        return
    unknown = [name for name in fault or [] if name not in FAULTS]
    if unknown:
        raise typer.BadParameter(f"no such fault: {', '.join(unknown)}; there are {list(FAULTS)}")
    plan = Plan(
        faults=[FAULTS[name] for name in fault or FAULTS],
        rounds=rounds,
        sessions=sessions,
        nodes=nodes,
        pause=pause,
        patience=patience,
        sessions_per_actor=sessions_per_actor,
    )
    folder = new_folder()

    def note(results: list[Result]) -> None:
        if json_file is not None:
            json_file.write_text(json.dumps(as_json(results), indent=1) + "\n")

    suite = Suite(plan, console, note)
    try:
        asyncio.run(_until_signal(suite.run(folder)))
    except asyncio.CancelledError:
        console.print("asked to end: what it started is ended, too")
        raise typer.Exit(3) from None
    except GatewayError as error:
        console.print(f"the suite could not go on: {error.detail}", markup=False, soft_wrap=True)
        raise typer.Exit(2) from error
    finally:
        if suite.results:
            show(suite.results, console)
        note(suite.results)
    clean = all(result.clean for result in suite.results)
    if clean and not keep:
        remove(folder)
    else:
        console.print(f"data and logs: {folder}", soft_wrap=True)
    if not clean:
        raise typer.Exit(1)


async def _until_signal(work: Coroutine[Any, Any, Any]) -> None:
    """SIGTERM, and Ctrl-C where a shell had it ignored, end the suite and all that it started."""
    task = asyncio.ensure_future(work)
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, task.cancel)
    await task


if __name__ == "__main__":
    typer.run(main)

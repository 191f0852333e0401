"""`python -m sandbox`: a sandbox in a process of its own."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
from pathlib import Path
from typing import Annotated

import typer

from sandbox.app import Sandbox


def main(
    data_dir: Annotated[Path, typer.Option(help="Where accounts, queues and media are kept.")],
    port_file: Annotated[
        Path | None, typer.Option(help="Write the endpoints to this file (JSON, mode 0600).")
    ] = None,
    proxy_port: Annotated[int, typer.Option(help="0: any free port.")] = 0,
    control_port: Annotated[int, typer.Option(help="0: any free port.")] = 0,
) -> None:
    """A local WhatsApp with virtual phones. Ends on SIGTERM or SIGINT."""
    asyncio.run(_run(data_dir, port_file, proxy_port, control_port))


async def _run(data_dir: Path, port_file: Path | None, proxy_port: int, control_port: int) -> None:
    loop = asyncio.get_running_loop()
    over = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, over.set)
    sandbox = Sandbox(data_dir)
    endpoints = await sandbox.start(proxy_port=proxy_port, control_port=control_port)
    text = json.dumps({**endpoints.as_dict(), "pid": os.getpid()}, indent=2)
    if port_file is None:
        sys.stdout.write(text + "\n")
        sys.stdout.flush()
    else:
        _write(port_file, text)
    try:
        await over.wait()
    finally:
        await sandbox.stop()


def _write(path: Path, text: str) -> None:
    """Whole, and readable by its owner only: it holds the token."""
    fresh = path.with_suffix(".new")
    fresh.unlink(missing_ok=True)
    with os.fdopen(os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as out:
        out.write(text)
    fresh.replace(path)


if __name__ == "__main__":
    typer.run(main)

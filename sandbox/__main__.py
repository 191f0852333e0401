"""`python -m sandbox`: a sandbox in a process of its own."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
from pathlib import Path
from typing import Annotated

import structlog
import typer

from sandbox.app import Ports, Sandbox

_Port = Annotated[int, typer.Option(min=0, max=65535, help="0: any free port.")]


def main(
    data_dir: Annotated[Path, typer.Option(help="Where accounts, queues and media are kept.")],
    port_file: Annotated[
        Path | None, typer.Option(help="Write the endpoints to this file (JSON, mode 0600).")
    ] = None,
    host: Annotated[str, typer.Option(help="Address to listen at.")] = "127.0.0.1",
    proxy_port: _Port = 0,
    websocket_port: _Port = 0,
    media_port: _Port = 0,
    control_port: _Port = 0,
    one_port: _Port = 0,
) -> None:
    """A local WhatsApp with virtual phones. Ends on SIGTERM or SIGINT. Its stdout is the endpoints
    as JSON and nothing else; it logs to stderr."""
    structlog.configure(logger_factory=structlog.PrintLoggerFactory(sys.stderr))
    ports = Ports(
        proxy=proxy_port,
        websocket=websocket_port,
        media=media_port,
        control=control_port,
        everything=one_port,
    )
    asyncio.run(_run(data_dir, port_file, ports, host))


async def _run(data_dir: Path, port_file: Path | None, ports: Ports, host: str) -> None:
    loop = asyncio.get_running_loop()
    over = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, over.set)
    sandbox = Sandbox(data_dir)
    endpoints = await sandbox.start(ports, host=host)
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

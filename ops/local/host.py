"""The host process of a local gateway: `python -m ops.local.host --data DIR`.

It owns all parts as its children. `gateway up` starts it in the background.
"""

from __future__ import annotations

import fcntl
import os
import signal
from pathlib import Path
from types import FrameType
from typing import Annotated

import structlog
import typer

from cluster.domain.errors import GatewayError
from cluster.settings import Settings
from cluster.telemetry.configure import configure_telemetry
from ops.local.background import HostOptions
from ops.local.layout import Layout
from ops.local.lifecycle import LocalGateway

log = structlog.get_logger(__name__)

#: Exit code where another host has the data folder.
TAKEN = 3


class Stop(BaseException):
    """SIGTERM or SIGINT came: not an error, and nothing may swallow it."""


def main(
    data: Annotated[Path, typer.Option(help="Data folder.")],
    nodes: Annotated[int, typer.Option(min=1, help="Ray nodes.")] = 1,
    sandbox: Annotated[bool, typer.Option(help="The local WhatsApp in place of the real.")] = False,
    http_port: Annotated[int, typer.Option(help="0: any; HTTP_PORT comes first.")] = 0,
    dashboard: Annotated[bool, typer.Option(help="Ray's dashboard.")] = False,
) -> None:
    """Run the gateway until SIGTERM."""
    configure_telemetry(Settings(), "host")
    layout = Layout.at(data)
    layout.prepare()
    # Whatever this process and its children write is its user's alone.
    os.umask(0o077)
    lock = os.open(layout.lock, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        log.warning("local.taken", data=str(layout.data))
        raise typer.Exit(TAKEN) from None
    options = HostOptions(
        data=data, nodes=nodes, sandbox=sandbox, http_port=http_port, dashboard=dashboard
    )
    gateway = LocalGateway(options)
    _on_signals(_raise_stop)
    code = 0
    try:
        gateway.start()
        gateway.watch()
    except Stop:
        log.info("local.asked_to_stop")
    except GatewayError as error:
        log.error("local.failed", reason=error.detail)
        gateway.fail(error.detail)
        code = 1
    except Exception as error:
        log.exception("local.crashed")
        gateway.fail(f"{type(error).__name__}: {error}")
        code = 1
    finally:
        _on_signals(signal.SIG_IGN)
        gateway.stop()
    raise typer.Exit(code)


def _raise_stop(number: int, frame: FrameType | None) -> None:
    _on_signals(signal.SIG_IGN)
    raise Stop


def _on_signals(handler: signal.Handlers | signal._HANDLER) -> None:
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(number, handler)


if __name__ == "__main__":
    typer.run(main)

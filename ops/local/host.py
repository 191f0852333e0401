"""The host process of a local gateway: `python -m ops.local.host --data DIR`.

It owns all parts as its children. `gateway up` starts it in the background. It waits for as long as
the gateway is up: what it does not import nobody has to keep.
"""

from __future__ import annotations

if __name__ == "__main__":
    from actors.zygote.import_stubs import leave_out_optional

    leave_out_optional()

import argparse
import fcntl
import os
import signal
import sys
from pathlib import Path
from types import FrameType

import structlog

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


def main() -> int:
    """Run the gateway until SIGTERM; answers the exit code."""
    options = _options()
    configure_telemetry(Settings(), "host")
    layout = Layout.at(options.data)
    layout.prepare()
    # Whatever this process and its children write is its user's alone.
    os.umask(0o077)
    lock = os.open(layout.lock, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        log.warning("local.taken", data=str(layout.data))
        return TAKEN
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
    return code


def _options() -> HostOptions:
    """As `ops.local.background.host_command` writes them."""
    parser = argparse.ArgumentParser(prog="ops.local.host", allow_abbrev=False)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--nodes", type=int, default=1)
    parser.add_argument("--http-port", type=int, default=0)
    parser.add_argument("--sandbox", action="store_true")
    parser.add_argument("--dashboard", action="store_true")
    return HostOptions(**vars(parser.parse_args()))


def _raise_stop(number: int, frame: FrameType | None) -> None:
    _on_signals(signal.SIG_IGN)
    raise Stop


def _on_signals(handler: signal.Handlers | signal._HANDLER) -> None:
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(number, handler)


if __name__ == "__main__":
    sys.exit(main())

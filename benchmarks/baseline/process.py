"""The baseline's server as a process: installed by npm on first use, on a sandbox."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

__all__ = ["Baseline", "NotInstalled", "baseline", "install"]

_FOLDER = Path(__file__).parent
_INSTALL_SECONDS = 300


class NotInstalled(RuntimeError):
    """Node.js or the packages of the baseline are missing."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Baseline:
    """A running one."""

    url: str
    pid: int


def install() -> None:
    """`npm ci`, unless that was done. Raises `NotInstalled`."""
    if (_FOLDER / "node_modules" / "@whiskeysockets").is_dir():
        return
    npm = shutil.which("npm")
    if npm is None or shutil.which("node") is None:
        raise NotInstalled("the baseline needs node and npm")
    done = subprocess.run(
        [npm, "ci"],
        cwd=_FOLDER,
        capture_output=True,
        text=True,
        timeout=_INSTALL_SECONDS,
        check=False,
    )
    if done.returncode:
        raise NotInstalled(f"npm ci failed: {done.stderr[-500:]}")


@contextmanager
def baseline(
    data: Path, *, websocket_url: str, ca_bundle: str, webhook_url: str = ""
) -> Iterator[Baseline]:
    """Started, and ended afterwards. `data`: the folder of its sessions."""
    install()
    data.mkdir(parents=True, exist_ok=True)
    with (data / "server.log").open("wb") as log:
        process = subprocess.Popen(
            ["node", str(_FOLDER / "server.mjs")],
            stdout=subprocess.PIPE,
            stderr=log,
            env={
                **os.environ,
                "DATA": str(data),
                "PORT": "0",
                "WA_URL": websocket_url,
                "WA_CA": ca_bundle,
                "WEBHOOK_URL": webhook_url,
                "NODE_ENV": "production",
            },
        )
        try:
            line = process.stdout.readline() if process.stdout else b""
            if not line:
                raise NotInstalled((data / "server.log").read_text()[-500:])
            yield Baseline(url=f"http://127.0.0.1:{json.loads(line)['port']}", pid=process.pid)
        finally:
            process.terminate()
            process.wait(20)

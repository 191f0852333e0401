"""The baseline's server as a process: installed by npm on first use, on a sandbox."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

__all__ = ["JWT_SECRET", "Baseline", "NotInstalled", "baseline", "install"]

_FOLDER = Path(__file__).parent
_INSTALL_SECONDS = 300
#: Of the tokens that the whole stack takes; it listens on loopback, for the time of a benchmark.
JWT_SECRET = "of-this-benchmark-" * 2


class NotInstalled(RuntimeError):
    """Node.js or the packages of the baseline are missing."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Baseline:
    """A running one."""

    url: str
    pid: int


def install() -> None:
    """`npm ci`, unless that was done. Raises `NotInstalled`."""
    # npm writes it last, with what is there.
    done_for = _FOLDER / "node_modules" / ".package-lock.json"
    if done_for.exists() and done_for.stat().st_mtime >= (_FOLDER / "package.json").stat().st_mtime:
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
    data: Path,
    *,
    websocket_url: str,
    ca_bundle: str,
    webhook_url: str = "",
    stores: Mapping[str, str] | None = None,
) -> Iterator[Baseline]:
    """Started, and ended afterwards. `data`: the folder of its sessions. `stores`: the way to
    PostgreSQL, Redis and S3, for the whole of the original stack (see `parts.mjs`)."""
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
                **({"FULL": "1", "JWT_SECRET": JWT_SECRET, **stores} if stores else {}),
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

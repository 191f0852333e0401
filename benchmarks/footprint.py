"""What a session's process loads before it connects: `python -m benchmarks.footprint`.

Private memory and processor time around each import, in the order of a Ray worker that is to
host sessions (`actors.hosts.preload`). One process, no cluster, no stores: what connecting adds is
measured by `benchmarks.packing`.
"""

from __future__ import annotations

import argparse
import importlib
import json
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from actors.zygote.import_stubs import SESSION_PROCESS

__all__ = ["main"]

#: (what it is called, modules)
_STEPS: tuple[tuple[str, tuple[str, ...]], ...] = (
    ("Ray", ("ray",)),
    ("settings", ("actors", "cluster.settings")),
    ("stores", ("cluster.stores",)),
    ("session", ("actors.session.session",)),
    ("its actor", ("actors.hosts.session_actor",)),
    ("WhatsApp library with its protobuf modules", ("neonize.aioze.client",)),
    ("the adapter", ("actors.whatsapp.neonize_client",)),
)


def main() -> None:
    """Print the figures as JSON; they are taken in a fresh process."""
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks.footprint", "--here"],
        env={**os.environ, SESSION_PROCESS: "1", "GOGC": "50", "MALLOC_ARENA_MAX": "2"},
        stdout=subprocess.PIPE,
        check=True,
    )
    sys.stdout.write(json.dumps(json.loads(done.stdout.splitlines()[-1]), indent=1) + "\n")


def _here() -> None:
    steps: list[dict[str, Any]] = []
    dirty, seconds, known = _dirty(), time.process_time(), len(sys.modules)
    steps.append({"step": "Python", "mb": round(dirty, 1)})
    for name, modules in _STEPS:
        for module in modules:
            importlib.import_module(module)
        now, then = _dirty(), time.process_time()
        steps.append(
            {
                "step": name,
                "mb": round(now - dirty, 1),
                "cpu_ms": round((then - seconds) * 1000),
                "modules": len(sys.modules) - known,
            }
        )
        dirty, seconds, known = now, then, len(sys.modules)
    sys.stdout.write(json.dumps({"steps": steps, "together_mb": round(dirty, 1)}) + "\n")


def _dirty() -> float:
    """MB written by this process alone. Clean pages of files are left out: whether those count as
    private depends on who else maps the same libraries."""
    lines = Path("/proc/self/smaps_rollup").read_text().splitlines()
    return sum(int(line.split()[1]) for line in lines if line.startswith("Private_Dirty")) / 1024


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--here", action="store_true", help="In this very process.")
    if parser.parse_args().here:
        _here()
    else:
        main()

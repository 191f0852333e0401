"""A command that runs to its end."""

from __future__ import annotations

import shlex
import subprocess
from pathlib import Path

__all__ = ["run"]


def run(*command: str | Path, stdin: str = "") -> str:
    """What it says. Raises `OSError` when it fails."""
    words = [str(one) for one in command]
    done = subprocess.run(words, input=stdin, capture_output=True, text=True, check=False)
    if done.returncode:
        raise OSError(f"{shlex.join(words)}: {done.stdout.strip()} {done.stderr.strip()}")
    return done.stdout

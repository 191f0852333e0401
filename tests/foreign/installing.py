"""Packages of other authors, pinned by hash, in a folder of the checkout's data."""

from __future__ import annotations

import hashlib
import shutil
import subprocess
import sys
from pathlib import Path

__all__ = ["NotInstalled", "node_packages", "python_packages"]

_HERE = Path(__file__).parent
_CACHE = _HERE.parents[1] / "data" / "foreign"
_SECONDS = 600


class NotInstalled(RuntimeError):
    """A program that installs is missing, or it failed."""


def node_packages(of: str = "node") -> Path:
    """A folder with the scripts and packages of `tests/foreign/<of>`: `npm ci`, unless that was
    done with the same lock file. Raises `NotInstalled`."""
    source = _HERE / of
    npm = shutil.which("npm")
    if npm is None or shutil.which("node") is None:
        raise NotInstalled("needs node and npm")
    folder = _folder(of, (source / "package-lock.json").read_bytes())
    for file in (*source.glob("package*.json"), *source.glob("*.mjs")):
        shutil.copy(file, folder)
    if not (folder / "done").exists():
        # No scripts of theirs run: what is installed is what was locked.
        _run([npm, "ci", "--ignore-scripts", "--no-audit", "--no-fund"], folder)
        (folder / "done").touch()
    return folder


def python_packages(of: str) -> Path:
    """A folder for PYTHONPATH with what `tests/foreign/<of>.txt` names, without dependencies: those
    are of this environment. Raises `NotInstalled`."""
    requirements = _HERE / f"{of}.txt"
    folder = _folder(requirements.stem, requirements.read_bytes())
    if not (folder / "done").exists():
        pip = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--require-hashes"]
        _run([*pip, "--target", str(folder), "-r", str(requirements)], folder)
        (folder / "done").touch()
    return folder


def _folder(name: str, locked: bytes) -> Path:
    folder = _CACHE / f"{name}-{hashlib.sha256(locked).hexdigest()[:12]}"
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def _run(command: list[str], folder: Path) -> None:
    done = subprocess.run(
        command, cwd=folder, capture_output=True, text=True, timeout=_SECONDS, check=False
    )
    if done.returncode:
        raise NotInstalled(f"{command[0]} failed: {done.stderr[-500:]}")

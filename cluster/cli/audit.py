"""`gateway audit`: known vulnerabilities in what the lock file pins."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import Annotated, Any

import typer

from cluster.cli.console import console, fail
from cluster.local.layout import ROOT

__all__ = ["audit"]

#: Services that know of vulnerabilities; the next one is asked where one cannot be reached.
_SERVICES = ("pypi", "osv")
_SECONDS = 300


def audit(
    strict: Annotated[
        bool, typer.Option("--strict", help="Fail too when no service can be reached.")
    ] = False,
) -> None:
    """Look up requirements.lock with pip-audit. Fails when something is found."""
    for service in _SERVICES:
        known = _asked(service)
        looked_up = [one for one in known if "skip_reason" not in one]
        if not looked_up:
            console.print(
                f"[yellow]![/] {service}: not reachable, or it knows none of the packages"
            )
            continue
        left = len(known) - len(looked_up)
        vulnerable = [one for one in looked_up if one["vulns"]]
        for one in vulnerable:
            for flaw in one["vulns"]:
                mended = ", ".join(flaw["fix_versions"]) or "not mended yet"
                console.print(f"[red]✗[/] {one['name']} {one['version']}: {flaw['id']} ({mended})")
        if vulnerable:
            fail(f"{len(vulnerable)} of {len(looked_up)} packages have known vulnerabilities")
        console.print(
            f"[green]✓[/] {len(looked_up)} packages, nothing known ({service})"
            + (f"; {left} could not be looked up" if left else "")
        )
        return
    told = "nothing was audited: no vulnerability service can be reached from here"
    if strict:
        fail(told)
    console.print(f"[yellow]![/] {told}")


def _asked(service: str) -> list[dict[str, Any]]:
    """What the service says of each package; nothing when it cannot be reached."""
    done = subprocess.run(
        [
            *(sys.executable, "-m", "pip_audit", "--vulnerability-service", service),
            *("-r", "requirements.lock", "--disable-pip", "--format", "json"),
            *("--progress-spinner", "off", "--timeout", "15"),
        ],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=_SECONDS,
        check=False,
    )
    try:
        return list(json.loads(done.stdout)["dependencies"])
    except (ValueError, KeyError):
        return []

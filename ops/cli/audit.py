"""`gateway audit`: what the lock file pins, and known vulnerabilities in it."""

from __future__ import annotations

import base64
import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Annotated, Any

import typer

from ops.cli.console import console, fail
from ops.local.layout import ROOT

__all__ = ["audit", "bill_of_materials"]

#: Services that know of vulnerabilities; the next one is asked where one cannot be reached.
_SERVICES = ("pypi", "osv")
_SECONDS = 300
_PINNED = re.compile(r"(?P<name>[A-Za-z0-9][A-Za-z0-9._-]*)==(?P<version>[^\s;\\]+)")
_HASH = re.compile(r"--hash=sha256:([0-9a-f]{64})")


def audit(
    strict: Annotated[
        bool, typer.Option("--strict", help="Fail too when no service can be reached.")
    ] = False,
    bill: Annotated[
        Path | None,
        typer.Option(
            "--sbom",
            help="Write a software bill of materials there (CycloneDX JSON), and look nothing up.",
        ),
    ] = None,
) -> None:
    """Look up requirements.lock with pip-audit. Fails when something is found."""
    if bill is not None:
        text = (ROOT / "requirements.lock").read_text()
        pages = (ROOT / "console" / "package-lock.json").read_text()
        bill.write_text(json.dumps(bill_of_materials(text, pages), indent=1) + "\n")
        console.print(f"[green]✓[/] {bill}")
        return
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
    text = "nothing was audited: no vulnerability service can be reached from here"
    if strict:
        fail(text)
    console.print(f"[yellow]![/] {text}")


def bill_of_materials(lock: str, npm_lock: str = "{}") -> dict[str, Any]:
    """CycloneDX 1.5 (https://cyclonedx.org/docs/1.5/json/) of two lock files' texts, pip's and
    npm's (what the console's pages are built with): each package with its version, package URL and
    the hashes of its files. The same locks give the same bill."""
    components = []
    for entry in re.split(r"\n(?=\S)", lock.replace("\\\n", " ")):
        if found := _PINNED.match(entry):
            name, version = found["name"].lower(), found["version"]
            url = f"pkg:pypi/{name}@{version}"
            hashes = sorted(set(_HASH.findall(entry)))
            # One of several files is installed, by platform.
            checksums = [{"alg": "SHA-256", "content": one} for one in hashes]
            components.append(_component(name, version, url, checksums))
    for place, entry in sorted(json.loads(npm_lock).get("packages", {}).items()):
        name = place.rpartition("node_modules/")[2]
        kind, _, digest = entry.get("integrity", "").partition("-")
        if name and kind == "sha512":
            content = base64.b64decode(digest).hex()
            url = f"pkg:npm/{name.replace('@', '%40')}@{entry['version']}"
            checksums = [{"alg": "SHA-512", "content": content}]
            components.append(_component(name, entry["version"], url, checksums))
    return {
        "bomFormat": "CycloneDX",
        "specVersion": "1.5",
        "version": 1,
        "metadata": {"component": {"type": "application", "name": "whatsapp-session-gateway"}},
        "components": components,
    }


def _component(name: str, version: str, url: str, hashes: list[dict[str, str]]) -> dict[str, Any]:
    return {
        "type": "library",
        "bom-ref": url,
        "name": name,
        "version": version,
        "purl": url,
        "externalReferences": [{"type": "distribution", "url": url, "hashes": hashes}],
    }


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

"""`gateway library`: which version of the WhatsApp library an installation uses, and whether
another one would do."""

from __future__ import annotations

import contextlib
import json
import os
import re
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any

import typer

from ops.cli.console import console, fail
from ops.cli.exit_codes import ExitCode
from ops.cli.session.connection import JsonOption, print_json
from ops.doctor.library import LibraryNotLoaded, what_holds
from ops.local.layout import ROOT

__all__ = ["library"]

library = typer.Typer(
    name="library",
    help="The WhatsApp library (neonize): what it keeps here, and other versions of it.",
    no_args_is_help=True,
)

_PACKAGE = "neonize"
_VERSION = re.compile(r"\d+(\.\d+)+((a|b|rc|\.post|\.dev)\d+)?")
#: Where `use` writes what it took (`actors.whatsapp.library.versions`).
_ACCEPTED = Path(sys.prefix) / "library-accepted"
_START_SECONDS, _TRIAL_SECONDS = 60, 300

_Version = Annotated[str, typer.Argument(help="As on PyPI: 0.5.3.")]


@library.command()
def show(as_json: JsonOption = False) -> None:
    """What the library of this installation keeps."""
    _end(_print_result(_facts(None), [], as_json=as_json))


@library.command()
def check(version: _Version, as_json: JsonOption = False) -> None:
    """Try a version beside the one in use: what would hold, and a conversation with a sandbox.

    Nothing of this installation is changed. Exit code 1: it does not load, or does not talk.
    """
    with _downloaded(version) as folder:
        facts, steps = _tried(version, folder)
    _end(_print_result(facts, steps, as_json=as_json))


@library.command()
def use(
    version: Annotated[str, typer.Argument(help="A version, or `pinned`: that of the lock.")],
    anyway: Annotated[bool, typer.Option("--anyway", help="Also if it fails the check.")] = False,
) -> None:
    """Take a version for this installation, after `check`. Restart the gateway then.

    The lock is not changed; installing it anew goes back to the pinned version.
    """
    if version == "pinned":
        _install(f"{_PACKAGE}=={_pinned()}")
        _ACCEPTED.unlink(missing_ok=True)
        console.print(f"[green]✓[/] {_PACKAGE} {_pinned()}, as locked; restart the gateway")
        return
    with _downloaded(version) as folder:
        well = _print_result(*_tried(version, folder))
    if not well and not anyway:
        fail(f"{_PACKAGE} {version} is not taken (--anyway takes it)")
    _install(f"{_PACKAGE}=={version}")
    _ACCEPTED.write_text(version + "\n")
    console.print(
        f"[green]✓[/] {_PACKAGE} {version}; restart the gateway. Back: gateway library use pinned"
    )


def _tried(version: str, folder: Path) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """What would hold, and what was tried."""
    environment = {
        "PYTHONPATH": os.pathsep.join([str(folder), str(ROOT)]),
        "WHATSAPP_LIBRARY_ACCEPTED": version,
    }
    facts = _facts(environment)
    if facts["version"] != version:
        fail(f"{facts['version']} was loaded, not {version}")
    return facts, _conversation(environment)


def _facts(environment: dict[str, str] | None) -> dict[str, Any]:
    try:
        return what_holds(ROOT, environment)
    except LibraryNotLoaded as error:
        fail(f"it does not load: {error}")


def _conversation(environment: dict[str, str]) -> list[dict[str, Any]]:
    """What a linked device of that library did in a sandbox of its own."""
    with tempfile.TemporaryDirectory(prefix="gateway-library-") as text, _sandbox() as endpoints:
        given = {"endpoints": endpoints, "store": str(Path(text) / "device.db")}
        try:
            done = subprocess.run(
                [sys.executable, "-P", "-m", "actors.whatsapp.library.trial"],
                input=json.dumps(given),
                capture_output=True,
                text=True,
                timeout=_TRIAL_SECONDS,
                check=False,
                env=os.environ | environment | {"SSL_CERT_FILE": endpoints["ca_bundle"]},
            )
        except subprocess.TimeoutExpired:
            return [{"name": "trial", "ok": False, "detail": f"not over in {_TRIAL_SECONDS} s"}]
    if done.returncode:
        said = done.stderr.strip().splitlines() or [f"exit code {done.returncode}"]
        return [{"name": "trial", "ok": False, "detail": said[-1]}]
    return list(json.loads(done.stdout.splitlines()[-1]))


@contextlib.contextmanager
def _sandbox() -> Iterator[dict[str, Any]]:
    """The endpoints of a running one."""
    with tempfile.TemporaryDirectory(prefix="gateway-sandbox-") as text:
        data, port_file = Path(text) / "data", Path(text) / "endpoints"
        command = [sys.executable, "-m", "sandbox", "--data-dir", str(data)]
        with subprocess.Popen(
            [*command, "--port-file", str(port_file)],
            env=os.environ | {"PYTHONPATH": str(ROOT)},
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        ) as process:
            try:
                until = time.monotonic() + _START_SECONDS
                while not port_file.exists():
                    if process.poll() is not None or time.monotonic() > until:
                        fail("no sandbox came up for the check: see `gateway sandbox`")
                    time.sleep(0.1)
                yield json.loads(port_file.read_text())
            finally:
                process.send_signal(signal.SIGTERM)


@contextlib.contextmanager
def _downloaded(version: str) -> Iterator[Path]:
    """A folder with that version alone."""
    if not _VERSION.fullmatch(version):
        raise typer.BadParameter(f"{version!r} is no version")
    with tempfile.TemporaryDirectory(prefix="gateway-library-") as text:
        _install(f"{_PACKAGE}=={version}", "--target", text)
        yield Path(text)


def _install(what: str, *options: str) -> None:
    command = [sys.executable, "-m", "pip", "install", "--no-deps", "--only-binary", ":all:"]
    command += ["--disable-pip-version-check", "--no-input", "--quiet", *options, what]
    environment = {name: text for name, text in os.environ.items() if name != "PYTHONPATH"}
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=environment)
    if done.returncode:
        said = [line for line in done.stderr.splitlines() if line.startswith("ERROR")]
        fail(f"pip did not install {what}: {said[0] if said else done.stderr.strip()[-300:]}")


def _pinned() -> str:
    lock = (ROOT / "requirements.lock").read_text()
    found = re.search(rf"^{_PACKAGE}==(\S+)", lock, re.MULTILINE)
    if found is None:
        fail(f"{_PACKAGE} is not in the lock")
    return found[1]


def _print_result(
    facts: dict[str, Any], steps: list[dict[str, Any]], *, as_json: bool = False
) -> bool:
    """Say it; gives whether all that was tried went well."""
    well = all(step["ok"] for step in steps)
    if as_json:
        print_json({"ok": well, **facts, "tried": steps})
        return well
    console.print(
        f"{_PACKAGE} {facts['version']} on {facts['machine']}, WhatsApp Web {facts['presents']}"
    )
    for name in facts["kept"]:
        console.print(f"  [green]kept[/]     {name}")
    for name, instead in facts["smaller"].items():
        console.print(f"  [yellow]smaller[/]  {name}: {instead}", highlight=False)
    for step in steps:
        mark = "[green]well[/]   " if step["ok"] else "[red]failed[/] "
        console.print(f"  {mark}  {step['name']}: {step['detail']}", highlight=False)
    return well


def _end(well: bool) -> None:
    raise typer.Exit(ExitCode.OK if well else ExitCode.FAILED)

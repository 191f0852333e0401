"""`gateway doctor`."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Iterator
from dataclasses import asdict
from typing import Annotated

import typer
from rich.table import Column, Table

from cluster.domain.errors import Unavailable
from cluster.settings import Settings
from ops.cli.console import console
from ops.cli.data_folder import DataOption, default_folder, present_state
from ops.cli.exit_codes import ExitCode
from ops.cli.http import gateway_api
from ops.cli.run import gateway_environment, machine_environment
from ops.cli.session.connection import JsonOption, print_json
from ops.config_check import findings
from ops.doctor.check import Check, Verdict
from ops.doctor.computer import machine
from ops.doctor.library import library
from ops.doctor.packages import packages
from ops.doctor.security import decoders, files
from ops.doctor.security import running as what_runs
from ops.doctor.stores import stores
from ops.local.layout import ROOT, Layout
from ops.local.ports import is_free
from ops.local.state import State
from ops.local.user_settings import UserSettings

__all__ = ["doctor"]

_COLOURS = {
    Verdict.OK: "green",
    Verdict.WARNING: "yellow",
    Verdict.ERROR: "red",
    Verdict.SKIPPED: "dim",
}
_PORT = 3000


def doctor(
    as_json: JsonOption = False,
    security: Annotated[
        bool, typer.Option("--security", help="Only what strangers reach on this machine.")
    ] = False,
    data: DataOption = None,
) -> None:
    """Look at machine, packages, WhatsApp library, secrets, stores, security; say what to mend.

    Looks at the gateway that is up here, else at what the settings name. Exit code 1: errors.
    """
    layout, state = present_state(data)
    running = state is not None and state.alive
    strangers: list[Check] = []
    if running and state is not None:
        environment = gateway_environment(state)
        os.environ.update(environment)
        strangers = list(what_runs(state, environment))
    elif data is None:
        layout = Layout.at(default_folder(sandbox=False))
        machine_environment()
    checks = [*files(layout), decoders(), *strangers]
    if not security:
        checks = [
            *machine(layout.data),
            *packages(ROOT / "requirements.lock"),
            *library(ROOT),
            *_secrets(running=running),
            *asyncio.run(_stores(running=running)),
            *checks,
            *_front(state if running else None),
        ]
    worst = {check.verdict for check in checks}
    if as_json:
        print_json({"ok": Verdict.ERROR not in worst, "checks": [asdict(one) for one in checks]})
    else:
        _show(checks)
    raise typer.Exit(ExitCode.FAILED if Verdict.ERROR in worst else ExitCode.OK)


async def _stores(*, running: bool) -> list[Check]:
    own = UserSettings.read()
    if not running and not (own.has_database and own.has_redis and own.has_objects):
        return [
            Check(
                group="stores",
                name="stores",
                verdict=Verdict.SKIPPED,
                found="embedded ones come with `gateway up`; nothing is up",
            )
        ]
    return [check async for check in stores(own.settings)]


def _secrets(*, running: bool) -> Iterator[Check]:
    settings = Settings()
    for one in findings(settings):
        # `up` makes the missing ones; on loopback, with stores of its own, the rest is no mistake.
        hard = one.level == "error" and running and settings.front.production
        yield Check(
            group="secrets",
            name=one.variable,
            verdict=Verdict.ERROR if hard else Verdict.WARNING,
            found=one.what,
            remedy="gateway config check",
        )


def _front(state: State | None) -> Iterator[Check]:
    """The HTTP front that is up, or whether its port is free."""
    if state is None:
        http = UserSettings.read().settings.http
        port = UserSettings.read().http_port or _PORT
        free = is_free(http.host, port)
        yield Check(
            group="gateway",
            name=f"port {port}",
            verdict=Verdict.OK if free else Verdict.ERROR,
            found="free" if free else "taken by another program",
            remedy="" if free else "set HTTP_PORT",
        )
        return
    try:
        with gateway_api(state, timeout=15) as api:
            status = str(api.get("/health/ready")["status"])
    except Unavailable as error:
        status = error.detail
    yield Check(
        group="gateway",
        name="ready",
        verdict={"ready": Verdict.OK, "degraded": Verdict.WARNING}.get(status, Verdict.ERROR),
        found=status,
        remedy="" if status == "ready" else "gateway status, gateway logs",
    )


def _show(checks: list[Check]) -> None:
    table = Table("", Column("check", no_wrap=True), "found", "to do")
    group = ""
    for one in checks:
        if group not in ("", one.group):
            table.add_section()
        group = one.group
        colour = _COLOURS[one.verdict]
        table.add_row(f"[{colour}]{one.verdict}[/]", one.name, one.found, one.remedy)
    console.print(table)
    errors = sum(one.verdict is Verdict.ERROR for one in checks)
    warnings = sum(one.verdict is Verdict.WARNING for one in checks)
    colour = "red" if errors else "yellow" if warnings else "green"
    console.print(f"[{colour}]{errors} errors, {warnings} warnings[/]")

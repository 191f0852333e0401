"""Which data folder a command means.

By default the sandbox and the real WhatsApp have a folder each under one root: sessions of the one
must never be shown to the other.
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path
from typing import Annotated

import typer

from ops.cli.console import fail
from ops.local.layout import ROOT, SERVICE, Layout
from ops.local.state import State

__all__ = ["DataOption", "default_folder", "present_state"]

DataOption = Annotated[
    Path | None,
    typer.Option(
        "--data", help=f"Data folder; by default data/whatsapp, data/sandbox or {SERVICE}."
    ),
]


def default_folder(*, sandbox: bool) -> Path:
    """Where `up` keeps its data by default."""
    return _root() / ("sandbox" if sandbox else "whatsapp")


def present_state(data: Path | None, *, services: bool = True) -> tuple[Layout, State | None]:
    """The folder meant and its last state: the given one, else the one whose gateway runs; with
    `services` also that of this machine's service, where no other runs."""
    if data is not None:
        layout = Layout.at(data)
        return layout, State.read(layout.state)
    ours = [Layout.at(default_folder(sandbox=sandbox)) for sandbox in (False, True)]
    known = _known(ours)
    service = _known([Layout.at(SERVICE)] if services else [])
    for found in (known, service):
        running = [(layout, state) for layout, state in found if state.alive]
        if len(running) > 1:
            fail("two gateways run, one real and one with the sandbox: say which with --data")
        if running:
            return running[0]
    return max(known or service, key=lambda pair: pair[1].started, default=(ours[0], None))


def _known(layouts: Iterable[Layout]) -> list[tuple[Layout, State]]:
    return [(layout, state) for layout in layouts if (state := State.read(layout.state))]


def _root() -> Path:
    return Path(os.environ.get("GATEWAY_DATA_ROOT", ROOT / "data"))

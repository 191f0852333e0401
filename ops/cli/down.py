"""`gateway down`."""

from __future__ import annotations

import time

from ops.cli.console import console, fail
from ops.cli.data_folder import DataOption, present_state
from ops.local.background import end
from ops.local.layout import Layout
from ops.local.orphans import end_orphans
from ops.local.state import State

__all__ = ["down", "take_down"]


def down(data: DataOption = None) -> None:
    """End everything cleanly: sessions, front, Ray, sandbox, stores. Data stays.

    A service of the machine is ended by `systemctl stop`."""
    layout, state = present_state(data, services=False)
    if state is None:
        console.print("nothing is up")
        return
    take_down(layout, state)


def take_down(layout: Layout, state: State) -> None:
    """End the host, and whatever of its run is left."""
    began = time.monotonic()
    was_up = state.alive
    if was_up:
        console.print("going down: sessions first, then the servers [dim](up to half a minute)[/]")
    with console.status("going down"):
        clean = end(state)
        left = end_orphans(State.read(layout.state) or state)
    if not clean:
        fail(f"the host did not answer and was killed, with {left} processes", log=layout.log)
    if not was_up and not left:
        console.print("nothing is up")
    elif was_up:
        console.print(f"[green]down[/] after {time.monotonic() - began:.1f} s")
    else:
        console.print(f"the host had ended; ended {left} processes it left")

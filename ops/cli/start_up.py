"""Starting a local gateway with progress on the terminal; `up` and `demo` share it."""

from __future__ import annotations

import time

from rich.progress import BarColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

from cluster.domain.errors import Unavailable
from ops.cli.console import console
from ops.local.background import HostOptions, end, launch, wait_until_up
from ops.local.layout import Layout
from ops.local.state import Phase, State

__all__ = ["start_gateway"]

_LEAVING = {Phase.STOPPING, Phase.FAILED, Phase.DOWN}


def start_gateway(options: HostOptions, env: dict[str, str]) -> State:
    """Launch the host, or join the one that is starting, and wait until it is up.
    Ctrl-C ends it again. Raises `Unavailable` with the reason."""
    path = Layout.at(options.data).state
    present = State.read(path)
    if present is not None and present.phase in _LEAVING:
        end(present)
    host = None if present is not None and present.alive else launch(options, env)
    try:
        with _Phases() as phases:
            return wait_until_up(options.data, host, phases.show)
    except (KeyboardInterrupt, Unavailable):
        # Whoever starts again finds ports and files free.
        with console.status("going down"):
            if host is not None:
                host.terminate()
                host.wait()
            if (state := State.read(path)) is not None:
                end(state)
        raise


class _Phases:
    """A bar that follows the phases, and a line for each that is done."""

    def __init__(self) -> None:
        self._began = time.monotonic()
        self._bar = Progress(
            SpinnerColumn(),
            TextColumn("{task.description}"),
            BarColumn(bar_width=24),
            TimeElapsedColumn(),
            console=console,
            transient=True,
        )
        self._task = self._bar.add_task("starting the host", total=len(Phase.starting()))
        self._done: set[str] = set()

    def __enter__(self) -> _Phases:
        self._bar.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._bar.stop()

    def show(self, state: State) -> None:
        """Show where the host is."""
        for phase in Phase.starting():
            seconds = state.seconds.get(phase.name.lower())
            if seconds is not None and phase.name not in self._done:
                self._done.add(phase.name)
                self._bar.print(f"[green]✓[/] {phase.value} [dim]{seconds:.1f} s[/]")
        self._bar.update(self._task, description=str(state.phase), completed=len(self._done))

"""The wall clock of one server, stepped at will, by a preloaded library."""

from __future__ import annotations

import subprocess
from pathlib import Path

__all__ = ["SteppedClock"]

_SOURCE = Path(__file__).with_suffix(".c")


class SteppedClock:
    """Start a server with `environment`, and its gettimeofday() is off by what `step` says.

    PostgreSQL's `now()` and `clock_timestamp()` are made of it. Needs a C compiler.
    """

    def __init__(self, folder: Path) -> None:
        """`folder`: one that the server's user may pass through."""
        self._steps = folder / "clock-step"
        self._library = folder / "stepped_clock.so"
        subprocess.run(
            ["cc", "-shared", "-fPIC", "-O2", "-o", str(self._library), str(_SOURCE)],
            check=True,
            capture_output=True,
            timeout=60,
        )
        self._library.chmod(0o755)
        self.step(0)

    @property
    def environment(self) -> dict[str, str]:
        return {"LD_PRELOAD": str(self._library), "CLOCK_STEP_FILE": str(self._steps)}

    def step(self, seconds: int) -> None:
        """From now on the clock is so far off the real one."""
        fresh = self._steps.with_suffix(".new")
        fresh.write_text(str(seconds))
        fresh.chmod(0o644)
        fresh.replace(self._steps)

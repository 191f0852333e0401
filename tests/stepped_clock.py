"""The wall clock of some processes, stepped at will, by a preloaded library."""

from __future__ import annotations

import subprocess
from pathlib import Path

__all__ = ["SteppedClock"]

_SOURCE = Path(__file__).with_suffix(".c")


class SteppedClock:
    """Start a program with `environment`, and its clock is off by what `step` says: PostgreSQL's
    `now()` and `clock_timestamp()`, and Python's `time.time()`. Needs a C compiler.
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
        # In place: processes have it mapped.
        with self._steps.open("r+b" if self._steps.exists() else "w+b") as steps:
            steps.write(str(seconds).encode().ljust(32, b"\0"))
        self._steps.chmod(0o644)

"""The packages that are installed, against the lock."""

from __future__ import annotations

import re
from collections.abc import Iterator
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from ops.doctor.check import Check, Verdict

__all__ = ["packages"]

_PINNED = re.compile(r"^([A-Za-z0-9._-]+)(?:\[[^]]*\])?==([^\s;\\]+) *(;)?", re.MULTILINE)


def packages(lock: Path) -> Iterator[Check]:
    """One check: how many are as locked, and which are not."""
    wrong, right = [], 0
    for name, wanted, conditional in _PINNED.findall(lock.read_text()):
        try:
            found = version(name)
        except PackageNotFoundError:
            if conditional:
                continue  # of other systems or interpreters
            found = "missing"
        if found == wanted:
            right += 1
        else:
            wrong.append(f"{name} {found} (locked {wanted})")
    yield Check(
        group="packages",
        name=lock.name,
        verdict=Verdict.WARNING if wrong else Verdict.OK,
        found=f"{right} as locked" + (f"; {', '.join(wrong[:8])}" if wrong else ""),
        remedy="./gateway installs the lock when it changed; remove .venv otherwise"
        if wrong
        else "",
    )

"""What other users of this machine can reach of the gateway."""

from __future__ import annotations

from collections.abc import Iterator

from cluster.doctor.check import Check, Verdict
from cluster.local.layout import Layout

__all__ = ["files"]


def files(layout: Layout) -> Iterator[Check]:
    """Data and sockets: each entry that others can reach, or that there is none."""
    found = layout.exposures()
    for one in found:
        yield _check(one.path.name, Verdict.ERROR, str(one), f"chmod go= {one.path}")
    if not found:
        looked_at = f"{layout.data} and {layout.short}"
        yield _check("files and sockets", Verdict.OK, f"closed to others: {looked_at}", "")


def _check(name: str, verdict: Verdict, found: str, remedy: str) -> Check:
    return Check(group="security", name=name, verdict=verdict, found=found, remedy=remedy)

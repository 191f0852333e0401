"""The table, and the same as JSON; and the table again from JSON, for the documentation."""

from __future__ import annotations

import io
import json
import math
import statistics
from collections import Counter
from collections.abc import Iterable
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any

from rich import box
from rich.console import Console
from rich.table import Table

from chaos.judge import Verdict

__all__ = ["Result", "as_json", "publish", "read", "show"]

#: What is printed of a run fits into this, columns.
WIDTH = 220
#: The part of a document that `publish` writes.
_BEGIN, _END = "<!-- figures: written by `gateway chaos --table` -->", "<!-- /figures -->"


@dataclass(slots=True)
class Result:
    """All rounds of one fault."""

    fault: str
    what: str
    rounds: int = 0
    nodes: int = 0
    sessions: int = 0
    sessions_per_actor: int = 1
    verdict: Verdict = field(default_factory=Verdict)
    #: Seconds, one for each session concerned and round.
    recoveries: list[float] = field(default_factory=list)
    #: Sessions that did not recover in time.
    not_recovered: int = 0
    double_connections: int = 0
    #: Most logins of one device in one round.
    most_logins: int = 0
    #: Highest load average (1 min) at the end of a round: the machine may not be ours alone.
    load: float = 0.0
    #: What phones could not decrypt at first: entries of the sandbox's journal.
    signal_troubles: list[dict[str, Any]] = field(default_factory=list)
    answers: dict[str, int] = field(default_factory=dict)
    remarks: list[str] = field(default_factory=list)
    #: The suite could not go on with it.
    broken: str = ""

    @property
    def clean(self) -> bool:
        """What was promised held."""
        verdict = self.verdict
        return not (
            verdict.lost
            or verdict.duplicated
            or self.double_connections
            or self.not_recovered
            or self.broken
        )

    def percentile(self, share: float) -> float | None:
        """Of the recoveries, nearest rank."""
        if not self.recoveries:
            return None
        ordered = sorted(self.recoveries)
        return ordered[math.ceil(share * len(ordered)) - 1]


def show(results: list[Result], console: Console) -> None:
    """Print the table; Markdown, so that it can be published as it is."""
    table = Table(
        *(
            "fault",
            "nodes, sessions",
            "to a process",
            "rounds",
            "accepted",
            "delivered",
            "lost",
            "duplicated",
            "redelivered",
        ),
        *("recovery p50 / p95", "double connections", "from phones", "in history", "load"),
        box=box.MARKDOWN,
    )
    for one in results:
        verdict = one.verdict
        p50, p95 = one.percentile(0.5), one.percentile(0.95)
        table.add_row(
            *(one.fault, f"{one.nodes}, {one.sessions}", str(one.sessions_per_actor)),
            str(one.rounds),
            *(str(verdict.accepted), str(verdict.delivered)),
            *(str(verdict.lost), str(len(verdict.duplicated)), str(verdict.redelivered)),
            "–" if p50 is None or p95 is None else f"{p50:.1f} / {p95:.1f} s",
            *(str(one.double_connections), str(verdict.typed), str(verdict.recorded)),
            f"{one.load:.0f}",
        )
    console.print(table)
    for one in results:
        for remark in _remarks(one):
            console.print(f"{one.fault}: {remark}", markup=False, soft_wrap=True)


def as_json(results: list[Result]) -> list[dict[str, Any]]:
    """Everything that was measured."""
    return [
        {
            **asdict(one),
            "lost": one.verdict.lost,
            "recovery_p50": one.percentile(0.5),
            "recovery_p95": one.percentile(0.95),
            "recovery_mean": statistics.fmean(one.recoveries) if one.recoveries else None,
            "clean": one.clean,
        }
        for one in results
    ]


def read(files: Iterable[Path]) -> list[Result]:
    """Results that were written as JSON; rounds of one fault in several files are taken together,
    those with as many sessions to a process. Raises `ValueError` where they are of different
    sizes."""
    found: dict[tuple[int, str], Result] = {}
    for file in files:
        for row in json.loads(file.read_text()):
            known = {one.name for one in fields(Result)}
            result = Result(**{name: value for name, value in row.items() if name in known})
            result.verdict = Verdict(**row["verdict"])
            key = result.sessions_per_actor, result.fault
            if key in found:
                _add(found[key], result)
            else:
                found[key] = result
    return sorted(found.values(), key=lambda one: one.sessions_per_actor)


def publish(results: list[Result], document: Path) -> None:
    """Write the table and its remarks into a document, between the two marks."""
    shown = io.StringIO()
    show(results, Console(file=shown, width=WIDTH, color_system=None))
    lines = [line.strip() for line in shown.getvalue().splitlines() if line.strip()]
    rows = "\n".join(line for line in lines if line.startswith("|"))
    points = "\n".join(f"- {line}" for line in lines if not line.startswith("|"))
    text = document.read_text()
    before, _, rest = text.partition(_BEGIN)
    _, _, after = rest.partition(_END)
    if not rest or not after:
        raise ValueError(f"{document} has no part between {_BEGIN} and {_END}")
    document.write_text(f"{before}{_BEGIN}\n\n{rows}\n\n{points}\n\n{_END}{after}")


def _add(to: Result, more: Result) -> None:
    if (to.nodes, to.sessions) != (more.nodes, more.sessions):
        raise ValueError(f"{to.fault} was run with different numbers of nodes or sessions")
    for one in fields(Verdict):
        # Numbers and lists alike.
        total = getattr(to.verdict, one.name) + getattr(more.verdict, one.name)
        setattr(to.verdict, one.name, total)
    to.rounds += more.rounds
    to.recoveries += more.recoveries
    to.not_recovered += more.not_recovered
    to.double_connections += more.double_connections
    to.most_logins = max(to.most_logins, more.most_logins)
    to.load = max(to.load, more.load)
    to.signal_troubles += more.signal_troubles
    to.answers = dict(Counter(to.answers) + Counter(more.answers))
    to.remarks += more.remarks
    to.broken = to.broken or more.broken


def _remarks(one: Result) -> list[str]:
    verdict = one.verdict
    found = list(dict.fromkeys(one.remarks))
    if one.broken:
        found.append(f"broke off: {one.broken}")
    if one.not_recovered:
        found.append(f"{one.not_recovered} sessions did not recover in time")
    if verdict.failed:
        found.append(f"{verdict.failed} accepted sends ended as failed, and say so")
    for what, texts in (
        ("lost, accepted", verdict.lost_sends),
        ("lost, received", verdict.lost_received),
        ("not in the recipient session's history", verdict.lost_mirrored),
        ("duplicated", verdict.duplicated),
        ("out of order", verdict.reordered),
    ):
        if texts:
            found.append(f"{len(texts)} {what}, such as {'; '.join(texts[:3])}")
    return found

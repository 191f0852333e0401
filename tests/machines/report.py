"""What the rounds measured: a table, JSON, and the table again from JSON for the documentation."""

from __future__ import annotations

import itertools
import json
import math
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path

__all__ = ["Round", "as_json", "publish", "read", "table"]

_BEGIN, _END = "<!-- machines: written by `gateway machines --table` -->", "<!-- /machines -->"
_COLUMNS = (
    *("fault", "rounds", "workers, sessions", "hit"),
    *("connection closed after, most", "waits for a 201, p50 / p95 / most", "others, most"),
    *("successor logs in, p50 / p95", "works again, p50 / p95"),
    *("accepted", "from phones", "lost", "doubled", "double connections", "load"),
)


@dataclass(slots=True, kw_only=True)
class Round:
    """One fault, once. Times are seconds since the strike, one for each session."""

    fault: str
    what: str
    workers: int
    sessions: int
    #: Sessions that the fault concerns.
    hit: int
    #: When their owners' sockets were closed, as the machine's kernel says.
    closed: list[float]
    #: The longest that a caller of each had to wait for his 201, all tries together; and of others.
    waited: list[float]
    waited_others: list[float]
    #: The first login of each after the strike, and how many more there were, of all sessions.
    logins: list[float]
    more_logins: int
    #: A text of it had reached WhatsApp, and it had taken one from there.
    works: list[float]
    accepted: int
    typed: int
    lost: list[str]
    doubled: list[str]
    #: Logins while the owner's own socket was open still.
    double_connections: int
    #: Logins beside an older connection, as WhatsApp sees it: of a cut one it hears nothing.
    replaced: int
    #: Texts that a client gave up on.
    unanswered: int
    #: Logins of sessions that had no reason to.
    needless_logins: int
    answers: dict[str, int]
    load: float
    remarks: list[str] = field(default_factory=list)

    @property
    def clean(self) -> bool:
        """What was promised held."""
        return not (
            self.lost
            or self.doubled
            or self.double_connections
            or self.unanswered
            or self.needless_logins
            or self.remarks
        )

    def __str__(self) -> str:
        return (
            f"{self.fault}: {self.hit} hit; closed {_all(self.closed)}; waited for a 201 "
            f"{_all(self.waited)}, others {_all(self.waited_others)}; logins {_all(self.logins)} "
            f"and {self.more_logins} more; works {_all(self.works)}; {self.accepted} accepted, "
            f"{self.typed} typed, {len(self.lost)} lost {self.lost[:5]}, {len(self.doubled)} "
            f"doubled {self.doubled[:3]}, {self.double_connections} double connections, "
            f"{self.replaced} replaced; answers {self.answers}; load {self.load} {self.remarks}"
        )


def as_json(rounds: Sequence[Round]) -> str:
    return json.dumps([asdict(one) for one in rounds], indent=1) + "\n"


def read(files: Iterable[Path]) -> list[Round]:
    """Rounds that were written as JSON; those of one fault together."""
    found = [Round(**one) for file in files for one in json.loads(file.read_text())]
    order = list(dict.fromkeys(one.fault for one in found))
    return sorted(found, key=lambda one: order.index(one.fault))


def table(rounds: Sequence[Round]) -> str:
    """Markdown, one row for a fault; the rounds of one follow each other."""
    lines = ["| " + " | ".join(_COLUMNS) + " |", "|" + "---|" * len(_COLUMNS)]
    for fault, group in itertools.groupby(rounds, key=lambda one: one.fault):
        those = list(group)
        closed, waited, others, logins, works = (
            sorted(itertools.chain.from_iterable(getattr(one, name) for one in those))
            for name in ("closed", "waited", "waited_others", "logins", "works")
        )
        cells = (
            *(fault, len(those), f"{those[0].workers}, {those[0].sessions}"),
            ", ".join(str(one.hit) for one in those),
            *(_percentiles(closed, 1), _percentiles(waited, 0.5, 0.95, 1), _percentiles(others, 1)),
            *(_percentiles(logins, 0.5, 0.95), _percentiles(works, 0.5, 0.95)),
            *(sum(one.accepted for one in those), sum(one.typed for one in those)),
            *(sum(len(one.lost) for one in those), sum(len(one.doubled) for one in those)),
            *(sum(one.double_connections for one in those), max(one.load for one in those)),
        )
        lines.append("| " + " | ".join(str(cell) for cell in cells) + " |")
    points = [
        f"- {one.fault}: {remark}" for one in rounds for remark in (*one.remarks, *_needless(one))
    ]
    return "\n".join([*lines, "", *points]).strip()


def publish(rounds: Sequence[Round], document: Path) -> None:
    """Write the table into a document, between the two marks. Raises `ValueError` without them."""
    text = document.read_text()
    before, found, rest = text.partition(_BEGIN)
    _, end, after = rest.partition(_END)
    if not found or not end:
        raise ValueError(f"{document} has no {_BEGIN} and {_END}")
    document.write_text(f"{before}{_BEGIN}\n\n{table(rounds)}\n\n{_END}{after}")


def _needless(one: Round) -> list[str]:
    if not one.needless_logins:
        return []
    return [f"{one.needless_logins} logins of sessions that had no reason to connect again"]


def _percentiles(ordered: Sequence[float], *shares: float) -> str:
    """Nearest ranks, seconds."""
    if not ordered:
        return "–"
    ranks = (ordered[max(1, math.ceil(share * len(ordered))) - 1] for share in shares)
    return " / ".join(f"{one:.1f}" for one in ranks) + " s"


def _all(times: Sequence[float]) -> str:
    return "[" + ", ".join(f"{one:.1f}" for one in times) + "]"

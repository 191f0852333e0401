"""Tables in the documentation that tests write: what was found is what stands there."""

from __future__ import annotations

import os
import re
from collections.abc import Awaitable, Callable, Mapping, Sequence
from pathlib import Path
from typing import TypeVar

from foreign.line_process import ForeignError, NoFunction

__all__ = ["NO", "NONE", "YES", "keep_outcomes", "keep_table", "played"]

Side = TypeVar("Side")
#: What a client is asked to do, by name.
Scenes = Sequence[tuple[str, Callable[[Side], Awaitable[None]]]]
YES, NO, NONE = "yes", "no", "has no function for it"

_DOCS = Path(__file__).parents[2] / "docs"


async def played(
    name: str, side: Side, scenes: Scenes[Side], *, rests_on_first: bool = False
) -> list[str]:
    """What a client can do, scene by scene. `rests_on_first`: nothing when that fails."""
    found: list[str] = []
    for scene, act in scenes:
        try:
            await act(side)
            found.append(YES)
        except NoFunction:
            found.append(NONE)
        except (ForeignError, TimeoutError, AssertionError) as error:
            print(f"{name}: {scene}: {error!r}"[:600])  # noqa: T201 - for who reads it
            found.append(NO)
            if rests_on_first and len(found) == 1:
                return [NO] * len(scenes)
    return found


def keep_outcomes(
    page: str,
    table: str,
    scenes: Scenes[Side],
    found: Mapping[str, Sequence[str]],
    cannot: Mapping[tuple[str, str], str],
) -> None:
    """`keep_table` of what each client can do. `cannot`: (client, scene) → why; whatever a client
    cannot has its reason there, and nothing else has. Raises AssertionError."""
    rows = [["", *found]]
    refused = set()
    for at, (scene, _) in enumerate(scenes):
        row = [scene]
        for name, cells in found.items():
            if cells[at] == NO:
                refused.add((name, scene))
            reason = cannot.get((name, scene), "")
            row.append(f"{NO}: {reason}" if cells[at] == NO and reason else cells[at])
        rows.append(row)
    keep_table(page, table, rows)
    assert refused == cannot.keys(), "whatever a client cannot has its reason"


def keep_table(page: str, name: str, rows: Sequence[Sequence[str]]) -> None:
    """Compare a table, its head first, with the one between `<!-- name -->` and `<!-- /name -->` of
    a page. With `GATEWAY_WRITE_TABLES` it is written there instead. Raises AssertionError."""
    head, *body = rows
    lines = [head, ["---"] * len(head), *body]
    text = "\n".join("| " + " | ".join(row) + " |" for row in lines)
    path = _DOCS / page
    before = path.read_text()
    between = re.compile(rf"(<!-- {name} -->\n).*?(\n<!-- /{name} -->)", re.DOTALL)
    assert between.search(before), f"{page} has a place for the table {name}"
    after = between.sub(lambda m: m[1] + text + m[2], before)
    if os.environ.get("GATEWAY_WRITE_TABLES"):
        path.write_text(after)
    assert path.read_text() == after, f"{page} says something else than was found:\n{text}"

"""Tables in the documentation that tests write: what was found is what stands there."""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from pathlib import Path

__all__ = ["keep_table"]

_DOCS = Path(__file__).parents[2] / "docs"


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
    assert path.read_text() == after, f"{page} tells something else than was found:\n{text}"

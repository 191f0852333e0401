"""The paths of WAHA: of its generated client, and of the tables of docs/api."""

from __future__ import annotations

import re
from pathlib import Path

import waha

DOCS = Path(__file__).parents[3] / "docs"
GENERATED = Path(waha.__file__).parent / "generated" / "api.py"
Operation = tuple[str, str]


def shape(path: str) -> str:
    """Parameters have other names in the generated client."""
    return re.sub(r"{[^}]*}", "{}", path)


def of_waha() -> dict[Operation, str]:
    """(method, path) → the class of the generated client that has it."""
    found: dict[Operation, str] = {}
    group = path = ""
    for line in GENERATED.read_text().splitlines():
        if match := re.match(r"class (\w+)", line):
            group = match[1]
        elif match := re.search(r'url = f?"(.*)"', line):
            path = match[1]
        elif match := re.search(r'self\._http\.request\("(\w+)"', line):
            found[match[1], shape(path)] = group
    return found


def in_tables() -> list[tuple[Operation, str]]:
    """((method, path), state) of all tables."""
    row = re.compile(r"^\| `(\w+) (\S+)` \| ([a-z ]+) \|", re.MULTILINE)
    return [
        ((method, shape(path)), state)
        for table in sorted((DOCS / "api").glob("*.md"))
        for method, path, state in row.findall(table.read_text())
    ]

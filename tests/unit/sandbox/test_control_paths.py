"""docs/sandbox.md lists every path of the control API, and no other."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from sandbox.control import api, history, subjects

DOCS = Path(__file__).parents[3] / "docs" / "sandbox.md"
Operation = tuple[str, str]


def shape(path: str) -> str:
    return re.sub(r"{[^}]*}", "{}", path.partition("?")[0])


def served() -> set[Operation]:
    routers: list[Any] = [api._routes, subjects.routes, history.routes]
    return {
        (method, shape(route.path))
        for router in routers
        for route in router.routes
        for method in route.methods
    }


def documented() -> set[Operation]:
    text = DOCS.read_text().partition("## Control API")[2].partition("\n## ")[0]
    found: set[Operation] = set()
    for method, path in re.findall(r"`(GET|POST|PUT|PATCH|DELETE) (/[^ `]*)", text):
        # `/faults[/{id}]` is two.
        optional = re.search(r"\[(.*)\]", path)
        found.add((method, shape(re.sub(r"\[.*\]", "", path))))
        if optional:
            found.add((method, shape(re.sub(r"[\[\]]", "", path))))
    return found


def test_the_table_is_whole() -> None:
    assert len(served()) > 40
    assert served() - documented() == set(), "missing in docs/sandbox.md"
    assert documented() - served() == set(), "in docs/sandbox.md only"

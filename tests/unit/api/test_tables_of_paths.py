"""docs/api: every path of WAHA is in a table, once, and the application keeps to the tables."""

from __future__ import annotations

import re
from collections import Counter
from pathlib import Path

import httpx
import waha
from fake_gateway import FakeGateway

from api.app import create_app
from cluster.settings import HttpSettings

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


def test_no_path_of_waha_is_missing_from_the_tables() -> None:
    known = {operation for operation, _ in in_tables()}
    paths = of_waha()
    assert len(paths) > 180, "the generated client was read"
    assert not paths.keys() - known
    assert not known - paths.keys(), "no table invents a path of WAHA"


def test_the_tables_say_one_of_three_things_once() -> None:
    rows = in_tables()
    assert {state for _, state in rows} <= {"works", "differs", "not possible"}
    of = Counter(state for _, state in rows)
    counts = f"{of['works']} work, {of['differs']} differ, {of['not possible']} are not possible"
    assert f"{len(rows)} paths in all: {counts}." in (DOCS / "api.md").read_text()
    assert [op for op, times in Counter(op for op, _ in rows).items() if times > 1] == []
    for table in (DOCS / "api").glob("*.md"):
        assert f"(api/{table.name})" in (DOCS / "api.md").read_text(), "the index knows it"


def test_the_application_has_every_path_of_the_tables() -> None:
    app = create_app(FakeGateway, HttpSettings())
    served = {
        (method.upper(), shape(path))
        for path, operations in app.openapi()["paths"].items()
        for method in operations
    }
    assert not {operation for operation, _ in in_tables()} - served


async def test_what_is_not_possible_says_so(caller: httpx.AsyncClient) -> None:
    bodies = {
        "participants": [{"id": "4915100002@c.us"}],
        "membersCanAddNewMember": True,
        "membersCanShareHistory": True,
        "newMembersApprovalRequired": True,
        "text": "x",
        "session": "working",
        "chatId": "4915100002@c.us",
        "buttons": [{"type": "reply", "text": "x"}],
    }
    for (method, path), state in in_tables():
        if state == "not possible":
            answer = await caller.request(
                method, path.replace("{}", "working"), json=None if method == "GET" else bodies
            )
            assert answer.status_code == 501, (method, path, answer.text)
            assert answer.json()["code"] == "not_supported"
            assert len(answer.json()["detail"]) > 20

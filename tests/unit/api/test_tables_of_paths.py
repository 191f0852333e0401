"""docs/api: every path of WAHA is in a table, once, and the application keeps to the tables."""

from __future__ import annotations

from collections import Counter
from typing import Any

import httpx
from tables_of_paths import DOCS, in_tables, of_waha, shape


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


def test_the_application_has_every_path_of_the_tables(document: dict[str, Any]) -> None:
    paths = {
        (method.upper(), shape(path))
        for path, operations in document["paths"].items()
        for method in operations
    }
    assert not {operation for operation, _ in in_tables()} - paths


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

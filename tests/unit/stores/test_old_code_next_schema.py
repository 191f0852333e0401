"""What lets processes of the old version go on while the next one's migrations have run.

Columns are only ever added. An old process must not notice: a statement that takes all columns
changes its result with them (PostgreSQL refuses its prepared plan, 0A000), and an INSERT without
names means other columns than it did.
"""

from __future__ import annotations

import re

from statements import STORES, statements

_ALL_COLUMNS = re.compile(
    r"\b(?:SELECT|RETURNING)\s+(?:DISTINCT\s+(?:ON\s*\([^)]*\)\s*)?)?(?:\w+\.)?\*"
    r"|,\s*(?:\w+\.)?\*(?=\s*(?:,|FROM\b|\)|$))|\b(?!count\b)\w+\.\*",
    re.IGNORECASE,
)
_UNNAMED_INSERT = re.compile(
    r"\bINSERT\s+INTO\s+\w+(?:\s+AS\s+\w+)?\s*(?:VALUES|SELECT|TABLE|DEFAULT)\b", re.IGNORECASE
)
#: What an old process would not survive, or would wait for.
_TAKES_AWAY = re.compile(
    r"\bDROP\s+(?:COLUMN|TABLE|FUNCTION|TRIGGER|VIEW)\b|\bRENAME\b|\bALTER\s+COLUMN\s+\w+\s+"
    r"(?:SET\s+DATA\s+)?TYPE\b|\bALTER\s+COLUMN\s+\w+\s+SET\s+NOT\s+NULL\b|\bTRUNCATE\b",
    re.IGNORECASE,
)
_ADDED_COLUMN = re.compile(r"\bADD\s+COLUMN\s+(?:IF NOT EXISTS\s+)?(\w+[^,;]*)", re.IGNORECASE)


def test_no_statement_takes_all_columns() -> None:
    found = [f"{one.module}.{one.place}" for one in statements() if _ALL_COLUMNS.search(one.text)]
    assert not found


def test_every_insert_names_its_columns() -> None:
    found = [
        f"{one.module}.{one.place}" for one in statements() if _UNNAMED_INSERT.search(one.text)
    ]
    assert not found


def test_the_patterns_find_what_they_are_there_for() -> None:
    for text in (
        "SELECT * FROM a",
        "SELECT DISTINCT ON (x) * FROM a",
        "SELECT s.*, 1 FROM a s",
        "SELECT 1, m.* FROM a m",
        "SELECT a, * FROM b",
        "UPDATE a SET b = 1 RETURNING *",
        "DELETE FROM a RETURNING a.*",
    ):
        assert _ALL_COLUMNS.search(text), text
    for text in ("SELECT count(*) FROM a", "SELECT 2 * 3 FROM a", "SELECT a * b, c * d FROM e"):
        assert not _ALL_COLUMNS.search(text), text
    assert _UNNAMED_INSERT.search("INSERT INTO a VALUES (1)")
    assert not _UNNAMED_INSERT.search("INSERT INTO a (b) VALUES (1)")
    assert sum(1 for _ in statements()) > 120, "the search saw the stores"


def test_migrations_only_add() -> None:
    found = []
    for path in sorted((STORES / "sql").glob("*.sql")):
        text = re.sub(r"--.*", "", path.read_text())
        found += [f"{path.name}: {match.group()}" for match in _TAKES_AWAY.finditer(text)]
        for match in _ADDED_COLUMN.finditer(text):
            column = match.group(1).upper()
            if "NOT NULL" in column and "DEFAULT" not in column and "GENERATED" not in column:
                # An old process inserts rows without it.
                found.append(f"{path.name}: {match.group(1)}")
    assert not found

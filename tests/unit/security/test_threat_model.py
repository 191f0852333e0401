"""The threat model names what holds each of its rows, and that exists."""

from __future__ import annotations

import re

from cluster.local.layout import ROOT


def _rows() -> list[list[str]]:
    text = (ROOT / "docs" / "security.md").read_text()
    table = text.partition("## Threat model")[2].partition("\n## ")[0]
    rows = [line.split("|")[1:-1] for line in table.splitlines() if line.startswith("| ")]
    return [[cell.strip() for cell in row] for row in rows[1:]]


def test_each_row_names_tests_that_exist() -> None:
    assert len(_rows()) >= 9
    for row in _rows():
        assert len(row) == 4, row
        if not row[2]:
            # Who reaches everything is held by nothing of ours.
            continue
        named = re.findall(r"`(tests/[^`]+)`", row[3])
        assert named, row
        for path in named:
            assert (ROOT / path).is_file(), path


def test_everybody_who_could_try_has_a_row() -> None:
    everybody = " ".join(row[0] for row in _rows())
    for one in (
        *("anybody", "key", "tenant", "WhatsApp user", "user of the machine", "node", "operator"),
    ):
        assert one in everybody

"""The tables of docs/security.md name what holds each of their rows, and that exists."""

from __future__ import annotations

import re

from ops.local.layout import ROOT


def _rows() -> list[list[str]]:
    text = (ROOT / "docs" / "security.md").read_text()
    table = text.partition("## Threat model")[2].partition("\n## ")[0]
    rows = [line.split("|")[1:-1] for line in table.splitlines() if line.startswith("| ")]
    return [[cell.strip() for cell in row] for row in rows[1:]]


def _in_the_attack_suite(path: str, name: str = "") -> bool:
    """Whether `./gateway test attack` runs the test; without a name, any of the file's."""
    source = (ROOT / path).read_text()
    whole = path.startswith("tests/attack/") or "\npytestmark = pytest.mark.attack\n" in source
    if not name:
        return whole or "@pytest.mark.attack\n" in source
    found = re.search(rf"((?:^@.*\n(?:^[ )\]].*\n)*)*)^(async )?def {name}\(", source, re.MULTILINE)
    return found is not None and (whole or "@pytest.mark.attack\n" in found[1])


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
            assert _in_the_attack_suite(path), path


def test_everybody_who_could_try_has_a_row() -> None:
    everybody = " ".join(row[0] for row in _rows())
    for one in (
        *("anybody", "key", "tenant", "WhatsApp user", "user of the machine", "node", "operator"),
    ):
        assert one in everybody


def test_each_fault_that_was_found_has_tests_that_exist() -> None:
    text = (ROOT / "docs" / "security.md").read_text()
    table = text.partition("### Faults that were found")[2].partition("\n## ")[0]
    rows = [line.split("|")[1:-1] for line in table.splitlines() if re.match(r"\| \d", line)]
    assert [int(row[0]) for row in rows] == list(range(1, 14))
    for row in rows:
        named = re.findall(r"`(tests/[^:`]+)::(\w+)`", row[2])
        assert named, row
        for path, name in named:
            assert _in_the_attack_suite(path, name), (path, name)

"""The published table comes from what runs wrote, whole."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from chaos.judge import Verdict
from chaos.report import Result, as_json, publish, read


def _result(**more: Any) -> Result:
    verdict = Verdict(accepted=10, delivered=9, lost_sends=["s: text"])
    return Result(
        "kill_node", "dead", rounds=2, verdict=verdict, recoveries=[1.0, 4.0], nodes=3, **more
    )


def test_runs_are_taken_together_and_written_between_the_marks(tmp_path: Path) -> None:
    files = [tmp_path / "a.json", tmp_path / "b.json"]
    for file in files:
        file.write_text(json.dumps(as_json([_result(sessions=20)])))
    document = tmp_path / "reliability.md"
    mark = "<!-- figures: written by `gateway chaos --table` -->"
    document.write_text(f"before\n{mark}\nold\n<!-- /figures -->\nafter\n")
    publish(read(files), document)
    publish(read(files), document)
    text = document.read_text()
    assert text.startswith("before\n")
    assert text.endswith("\nafter\n")
    assert "old" not in text
    (row,) = [line for line in text.splitlines() if "kill_node " in line and "|" in line]
    cells = [cell.strip() for cell in row.strip("|").split("|")]
    assert cells[:7] == ["kill_node", "3, 20", "1", "4", "20", "18", "2"]
    assert "1.0 / 4.0 s" in cells
    assert "- kill_node: 2 lost, accepted, such as s: text; s: text" in text


def test_runs_of_different_sizes_are_not_mixed(tmp_path: Path) -> None:
    files = [tmp_path / "a.json", tmp_path / "b.json"]
    for number, file in enumerate(files):
        file.write_text(json.dumps(as_json([_result(sessions=number)])))
    with pytest.raises(ValueError, match="different"):
        read(files)


def test_each_number_of_sessions_to_a_process_is_a_row_of_its_own(tmp_path: Path) -> None:
    file = tmp_path / "a.json"
    several = [_result(sessions=20), _result(sessions=20, sessions_per_actor=5)]
    for one in several:
        one.verdict.lost_sends.clear()
    file.write_text(json.dumps(as_json(several)))
    document = tmp_path / "reliability.md"
    mark = "<!-- figures: written by `gateway chaos --table` -->"
    document.write_text(f"{mark}\n<!-- /figures -->\nafter\n")
    publish(read([file, file]), document)
    lines = [line for line in document.read_text().splitlines() if "kill_node " in line]
    assert [line.split("|")[3].strip() for line in lines] == ["1", "5"]
    assert all(line.startswith("| kill_node") for line in lines)

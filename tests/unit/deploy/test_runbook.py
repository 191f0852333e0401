"""docs/runbook.md has a section for each alert."""

from __future__ import annotations

import re
from pathlib import Path

import yaml

ROOT = Path(__file__).parents[3]


def test_every_alert_has_a_section() -> None:
    groups = yaml.safe_load((ROOT / "deploy" / "prometheus" / "alerts.yaml").read_text())["groups"]
    alerts = {rule["alert"] for group in groups for rule in group["rules"] if "alert" in rule}
    text = (ROOT / "docs" / "runbook.md").read_text()
    headings = set(re.findall(r"^## (Gateway\w+)$", text, re.MULTILINE))
    assert alerts
    assert alerts <= headings, f"what to do about {sorted(alerts - headings)}?"
    sections = re.split(r"^## Gateway\w+$", text, flags=re.MULTILINE)[1:]
    assert all(len(section.split()) > 25 for section in sections)

"""Dockerfile and Compose file, by hadolint and the Compose specification; the systemd units."""

from __future__ import annotations

import configparser
import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

ROOT = Path(__file__).parents[3]
COMPOSE = ROOT / "docker-compose.yaml"
UNITS = sorted((ROOT / "deploy" / "systemd").glob("*.service"))
_BIN = Path(sys.executable).parent


def _compose() -> dict[str, Any]:
    return dict(yaml.safe_load(COMPOSE.read_text()))


def test_hadolint_has_nothing_to_say() -> None:
    done = subprocess.run(
        [str(_BIN / "hadolint"), str(ROOT / "Dockerfile")],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout


def test_the_image_is_small_in_rights() -> None:
    text = (ROOT / "Dockerfile").read_text()
    stages = re.findall(r"^FROM (\S+)", text, re.MULTILINE)
    assert len(stages) == 2, "what builds does not ship"
    assert all(re.search(r":\d+\.\d+\.\d+-", stage) for stage in stages), "pinned"
    assert re.search(r"^USER 10001", text, re.MULTILINE)
    assert "HEALTHCHECK" in text
    assert "/health/live" in text
    copied = re.findall(r"^COPY (?!--from)(.+) \S+$", text, re.MULTILINE)
    allowed = (ROOT / ".dockerignore").read_text()
    for name in " ".join(copied).split():
        assert (ROOT / name).exists(), name
        assert f"!{name}" in allowed, f"{name} would not be sent to the builder"


def test_compose_is_as_specified() -> None:
    done = subprocess.run(
        [
            str(_BIN / "check-jsonschema"),
            *("--builtin-schema", "vendor.compose-spec", str(COMPOSE)),
        ],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout


def test_compose_has_all_parts_and_their_files() -> None:
    found = _compose()
    services = found["services"]
    parts = {"gateway", "postgres", "redis", "minio", "prometheus", "grafana"}
    assert services.keys() == parts
    for name, service in services.items():
        assert re.search(r":[^:]*\d", service["image"]), f"{name} is pinned"
        for port in service.get("ports", ()):
            assert port.startswith("127.0.0.1:"), f"{name} listens on loopback only"
        for one in service.get("configs", ()):
            assert one["source"] in found["configs"]
    for one in found["configs"].values():
        assert (ROOT / one["file"]).is_file(), one


def test_compose_has_no_secret_and_the_example_names_all() -> None:
    variables = set(re.findall(r"\$\{(\w+)", COMPOSE.read_text()))
    example = (ROOT / "deploy" / "compose" / "env.example").read_text()
    named = dict(re.findall(r"^(\w+)=(.*)$", example, re.MULTILINE))
    assert variables <= named.keys()
    assert not [name for name in variables if name != "MINIO_USER" and named[name]]


def test_grafana_finds_its_source_and_dashboard() -> None:
    folder = ROOT / "deploy" / "compose" / "grafana" / "provisioning"
    (source,) = yaml.safe_load((folder / "datasources" / "gateway.yaml").read_text())["datasources"]
    dashboard = json.loads((ROOT / "deploy" / "grafana" / "gateway.json").read_text())
    assert dashboard["panels"]
    assert source["type"] == "prometheus"
    assert source["isDefault"]
    (provider,) = yaml.safe_load((folder / "dashboards" / "gateway.yaml").read_text())["providers"]
    target = next(
        one["target"]
        for one in _compose()["services"]["grafana"]["configs"]
        if one["source"] == "dashboard"
    )
    assert Path(target).parent == Path(provider["options"]["path"])


@pytest.mark.parametrize("unit", UNITS, ids=lambda path: path.name)
def test_units_run_as_somebody_and_come_back(unit: Path) -> None:
    # Directives may repeat.
    parser = configparser.ConfigParser(strict=False, interpolation=None)
    parser.optionxform = str  # type: ignore[assignment, method-assign]
    parser.read_string(unit.read_text())
    service = parser["Service"]
    assert service["User"] == "gateway"
    if service["Type"] != "oneshot":
        assert service["Restart"] == "always"
        assert service["LimitNOFILE"] == "65536"
    assert "EnvironmentFile" in service
    assert parser["Install"]["WantedBy"] == "multi-user.target"

"""`ray-cluster.yaml` is what Ray's own launcher takes."""

from __future__ import annotations

import re
from pathlib import Path

import yaml
from ray.autoscaler._private.util import prepare_config, validate_config

FILE = Path(__file__).parents[3] / "ray-cluster.yaml"


def test_ray_accepts_the_cluster_file() -> None:
    config = prepare_config(yaml.safe_load(FILE.read_text()))
    validate_config(config)
    workers = config["available_node_types"]["sessions"]
    assert workers["resources"]["session_slots"] > 0, "the autoscaler grows by session slots"
    assert workers["min_workers"] >= 2, "a takeover needs a second node"
    assert config["head_node_type"] == "head"


def test_no_secret_is_in_the_cluster_file() -> None:
    text = FILE.read_text()
    for name in ("API_KEY=", "CHECKPOINT_KEYS=", "DATABASE_URL=", "SECRET_KEY="):
        assert name not in text


def test_rays_settings_are_the_same_everywhere() -> None:
    def settings(text: str) -> set[tuple[str, str]]:
        found = re.findall(r"(RAY_(?:health_check|preload|gcs)\w+)[:=]\s*\"?([\w.]+)", text)
        return set(found)

    launcher = settings(FILE.read_text())
    assert len(launcher) == 6
    deploy = FILE.parent / "deploy"
    for other in (
        deploy / "kubernetes" / "base" / "configmap.yaml",
        deploy / "systemd" / "gateway-head.service",
        deploy / "systemd" / "gateway-worker.service",
    ):
        assert settings(other.read_text()) == launcher, other.name


def test_no_cluster_is_open_to_whoever_reaches_its_ports() -> None:
    """Each way of starting Ray asks for the cluster's token, and closes Ray's folder."""
    config = yaml.safe_load(FILE.read_text())
    starts = [*config["head_start_ray_commands"], *config["worker_start_ray_commands"]]
    deploy = FILE.parent / "deploy"
    units = {path.name: path.read_text() for path in (deploy / "systemd").glob("*.service")}
    joining = ("ray start", "actors.bootstrap", "serve_app", "ray health-check")
    by_hand = (FILE.parent / "docs" / "operations.md").read_text()
    begin = by_hand.index("By hand, on each machine:")
    starts += [by_hand[begin : by_hand.index("Settings reach", begin)]]
    starts += [text for text in units.values() if any(one in text for one in joining)]
    found = [text for text in starts if any(one in text for one in joining)]
    assert len(found) == 7
    for text in found:
        assert "RAY_AUTH_MODE=token" in text
        assert "RAY_TMPDIR=/var/lib/gateway" in text
        assert "FORWARDED_ALLOW_IPS=nobody" in text
        assert "RAY_AUTH_TOKEN=" not in text.replace("RAY_AUTH_TOKEN=$", "")
        assert re.search(r"umask 0?077|UMask=0077", text)
    service = yaml.safe_load((deploy / "kubernetes" / "base" / "rayservice.yaml").read_text())
    assert service["spec"]["rayClusterConfig"]["authOptions"] == {"mode": "token"}


def test_the_control_store_can_come_back() -> None:
    config = yaml.safe_load(FILE.read_text())
    head = " ".join(config["head_start_ray_commands"])
    workers = " ".join(config["worker_start_ray_commands"])
    assert "RAY_external_storage_namespace=gateway" in head
    assert "RAY_gcs_rpc_server_reconnect_timeout_s=3600" in head
    for commands in (head, workers):
        assert "RAY_health_check_failure_threshold" in commands
        assert "RAY_gcs_rpc_server_reconnect_timeout_s=3600" in commands

"""`ray-cluster.yaml` is what Ray's own launcher takes."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import yaml
from ray.autoscaler._private.util import prepare_config, validate_config

from ops.local.ray_cluster import RAY_SETTINGS

FILE = Path(__file__).parents[3] / "ray-cluster.yaml"
DEPLOY = FILE.parent / "deploy"


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
    """Kubernetes starts Ray by itself; all others by `gateway node`, which has them."""
    service = yaml.safe_load((DEPLOY / "kubernetes" / "base" / "configmap.yaml").read_text())
    # Those of nodes that share a machine, or write into our own folders.
    own = {"RAY_GRACEFUL_SHUTDOWN_DRAIN_TIMEOUT_S", "RAY_DISABLE_IMPORT_WARNING"}
    own |= {name for name in RAY_SETTINGS if "ROTATION" in name or "ACCEL" in name}
    for name in RAY_SETTINGS.keys() - own:
        assert service["data"][name] == RAY_SETTINGS[name], name


@pytest.mark.attack
def test_every_way_of_starting_a_node_is_the_same() -> None:
    config = yaml.safe_load(FILE.read_text())
    (head,), (worker,) = (config[f"{one}_start_ray_commands"] for one in ("head", "worker"))
    units = {path.name: path.read_text() for path in (DEPLOY / "systemd").glob("*.service")}
    assert re.search(r"gateway node --head\b", head)
    assert re.search(r"gateway node --join \$RAY_HEAD_IP\b", worker)
    assert "gateway node --head\n" in units["gateway-head.service"]
    assert "gateway node --join ${HEAD}\n" in units["gateway-worker.service"]
    # Whoever starts Ray otherwise would have to know of its token, its folders, its settings.
    texts = {**units, "head": head, "worker": worker}
    texts["operations.md"] = (FILE.parent / "docs" / "operations.md").read_text()
    for name, text in texts.items():
        assert "ray start" not in text.replace("`ray start", ""), name
    service = yaml.safe_load((DEPLOY / "kubernetes" / "base" / "rayservice.yaml").read_text())
    assert service["spec"]["rayClusterConfig"]["authOptions"] == {"mode": "token"}
